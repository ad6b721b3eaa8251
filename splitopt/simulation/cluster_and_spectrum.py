"""A round of `ClusterAndSpectrum` event by event: clusters in turn, their devices in parallel.

In each phase of a cluster everybody waits for the last device, and then for the server. A broadcast
reaches all at once and is shown at the devices that receive it; so is a device's model on its way
up where the problem sends it over the full band, since everybody then takes all of it at once.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum, ClusterAndSpectrumDecision
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.simulation.tracks import Row, drawn, make_timeline, side_by_side
from splitopt.timeline import FloatArray, IntArray, Resource

PHASES = (
    "model broadcast",
    "device forward",
    "upload",
    "server",
    "gradient download",
    "device backward",
    "model upload",
)
_STARTING = ("model broadcast", "device forward", "upload")
_INNER = ("gradient download", "device backward", "device forward", "upload")
_ENDING = ("gradient download", "device backward", "model upload")


def replay(
    problem: ClusterAndSpectrum, decision: ClusterAndSpectrumDecision, setting: Setting
) -> Replay:
    """Simulate a round."""
    by_cluster, server = problem.cluster_seconds(decision), problem.server_seconds(decision)
    return replay_clusters(problem, decision, (by_cluster, server), setting, problem.name)


def replay_clusters(
    problem: ClusterAndSpectrum,
    decision: ClusterAndSpectrumDecision,
    seconds: tuple[FloatArray, FloatArray],
    setting: Setting,
    name: str,
) -> Replay:
    """Simulate a round of clusters.

    Parameters
    ----------
    seconds
        Of every cluster, shapes (M,) each: as the plan's model has it, and of the server in a
        phase.
    name
        Of the problem that the plan answers.
    """
    names = setting.device_names(problem.devices)
    by_cluster, server = seconds
    rows, start, end = _tasks(problem, decision, server, setting)
    resources = [
        *(Resource(name, "device") for name in names),
        Resource("spectrum", "link"),
        Resource("server", "server"),
    ]
    slowest = int(by_cluster.argmax())
    return Replay(
        timeline=make_timeline(resources, PHASES, names, rows, start, end, setting.origin(name)),
        span="a round",
        forecasts=(Forecast("the plan's model (CPSL Eq. 25)", float(by_cluster.sum())),),
        binding=f"cluster {slowest} takes the longest, {by_cluster[slowest]:.4g} s",
    )


def _tasks(
    problem: ClusterAndSpectrum,
    decision: ClusterAndSpectrumDecision,
    served_s: FloatArray,
    setting: Setting,
) -> tuple[list[Row], FloatArray, FloatArray]:
    """Return all tasks of a round with their starts and ends (T,)."""
    server, own = problem.devices + 1, _seconds(problem, decision)
    share = np.asarray(decision.subcarriers) / problem.subcarriers
    epochs = [(_STARTING, True), *[(_INNER, True)] * problem.inner_phases, (_ENDING, False)]
    count = sum(len(tasks) for tasks, _ in epochs) * problem.devices
    count += (len(epochs) - 1) * len(decision.clusters)
    factors = drawn(count, setting.noise, setting.seed)
    rows: list[Row] = []
    starts: list[FloatArray] = []
    ends: list[FloatArray] = []
    clock = 0.0
    for cluster, work_s in zip(decision.clusters, served_s.tolist(), strict=True):
        for epoch, (tasks, served) in enumerate(epochs):
            new = _rows(problem, share, cluster, epoch, tasks)
            seconds = np.array([own[row.phase][row.owner] for row in new])
            if epoch and served:  # gradients of tied weights go up with all but the first
                sent = np.array([row.phase == PHASES.index("upload") for row in new])
                owner = np.array([row.owner for row in new])
                seconds += sent * (problem.upload_tied_s / decision.subcarriers)[owner]
            used = None if factors is None else factors[len(rows) : len(rows) + len(new)]
            start, end = side_by_side(new, seconds, used, clock)
            clock = float(end.max())  # all wait for the last device of the cluster
            rows += new
            starts.append(start)
            ends.append(end)
            if served:
                work = work_s * (1.0 if factors is None else float(factors[len(rows)]))
                rows.append(Row(server, PHASES.index("server"), int(cluster[0]), epoch, 1.0))
                starts.append(np.array([clock]))
                clock += work
                ends.append(np.array([clock]))
    return rows, np.concatenate(starts), np.concatenate(ends)


def _rows(
    problem: ClusterAndSpectrum,
    share: FloatArray,
    cluster: IntArray,
    epoch: int,
    tasks: tuple[str, ...],
) -> list[Row]:
    """Return the tasks of a cluster's devices in one epoch; `share` (N,) is of the spectrum."""
    shares_band = {"upload", "gradient download", "model upload"}
    if problem.device_model_over_full_band:
        shares_band.remove("model upload")
    spectrum = problem.devices
    return [
        Row(
            spectrum if task in shares_band else int(n),
            PHASES.index(task),
            int(n),
            epoch,
            float(share[n]) if task in shares_band else 1.0,
        )
        for n in cluster
        for task in tasks
    ]


def _seconds(
    problem: ClusterAndSpectrum, decision: ClusterAndSpectrumDecision
) -> dict[int, FloatArray]:
    """Phase -> seconds (N,) of each device, at its subcarriers."""
    x = np.asarray(decision.subcarriers, dtype=np.float64)
    band = problem.subcarriers if problem.device_model_over_full_band else x
    found = {
        "model broadcast": problem.broadcast_s,
        "device forward": problem.forward_s,
        "upload": problem.upload_smashed_s / x,
        "gradient download": problem.download_gradient_s / x,
        "device backward": problem.backward_s,
        "model upload": problem.upload_model_s / band,
    }
    return {PHASES.index(task): seconds for task, seconds in found.items()}
