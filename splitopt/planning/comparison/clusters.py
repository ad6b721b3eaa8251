"""CPSL on a fleet: clusters in turn, with the best cut, clusters and subcarriers."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.driver import solve
from splitopt.errors import InputError
from splitopt.latency.energy import device_energy
from splitopt.planning.comparison.loads import (
    cut_words,
    device_memory,
    server_rent,
    shared_memory,
    work_per_sample,
)
from splitopt.planning.comparison.rows import SchemeRow, none
from splitopt.problems.base import IntArray
from splitopt.problems.cluster_and_spectrum import PHASES
from splitopt.problems.cut_and_clusters import CutAndClusters, CutAndClustersDecision
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import exchanged_bytes
from splitopt.results import OPTIMAL_GAP, Result
from splitopt.scenario import Scenario


def clustered(
    scenario: Scenario, profile: ModelProfile, time_limit_s: float | None, seed: int
) -> SchemeRow:
    """CPSL's best plan: all cuts that are possible, or the one of the scenario.

    Its local epochs are mini-batches; a round here has as many of them as the device with most
    batches needs to pass over its samples as often as in the other schemes.

    Raises
    ------
    InputError
        A batch size or a signal is missing.
    InfeasibleError
        A limit of leakage or memory allows no cut, or not the one that is named.
    """
    if scenario.spectrum is None or scenario.clusters is None:
        return none(
            "cpsl",
            "not_comparable",
            "needs the sections 'spectrum' and 'clusters', from which subcarriers get their rates",
        )
    whole = _with_passes(scenario)
    problem = CutAndClusters.from_scenario(whole, profile)
    if (reason := problem.infeasibility()) is not None:
        return none("cpsl", "infeasible", reason)
    result = solve(problem, time_limit_s=time_limit_s, seed=seed)
    if result.outcome == "infeasible":
        return none("cpsl", "infeasible", result.message or "no partition meets all limits")
    if not result.is_feasible:
        return none("cpsl", "no_solution", "no plan was found in time; allow more of it")
    return _row(whole, profile, problem, result)


def _with_passes(scenario: Scenario) -> Scenario:
    """Return the scenario whose local epochs are the mini-batches of a round."""
    batches = []
    for index, device in enumerate(scenario.devices):
        if device.batch_size is None:
            raise InputError.at(
                f"devices[{index}] ({device.name})",
                "has no batch_size; a device trains one mini-batch in a local epoch",
            )
        batches.append(-(-device.samples // device.batch_size))
    epochs = scenario.training.epochs * max(batches)
    training = scenario.training.model_copy(update={"epochs": epochs})
    return scenario.model_copy(update={"training": training})


def _row(
    scenario: Scenario, profile: ModelProfile, problem: CutAndClusters, result: Result
) -> SchemeRow:
    decision = result.decision
    assert isinstance(decision, CutAndClustersDecision)
    seconds = problem.evaluate(decision)
    batch = np.array([device.batch_size for device in scenario.fleet()], dtype=np.float64)
    passed, work = scenario.training.epochs * batch, work_per_sample(profile)
    layers = [profile.layers.index(problem.cuts[cut]) + 1 for cut in decision.cuts.tolist()]
    cuts = np.empty(problem.devices, dtype=np.int64)
    cuts[decision.members] = np.repeat(layers, np.diff(decision.round.starts))
    held = [
        shared_memory(profile, cut, float(batch[cluster].sum()), len(cluster))
        for cut, cluster in zip(layers, decision.clusters, strict=True)
    ]
    return SchemeRow(
        scheme="cpsl",
        status="feasible",
        cut=cut_words(profile, cuts),
        proved=result.gap <= OPTIMAL_GAP,
        gap=result.gap,
        round_s=seconds,
        traffic_bytes=_traffic(scenario, profile, cuts, layers, batch),
        device_flop=None if work is None else float((passed * work[cuts - 1]).max()),
        device_memory_bytes=device_memory(scenario, profile, cuts),
        server_memory_bytes=None if None in held else max(one for one in held if one is not None),
        leakage=None if profile.leakage is None else float(profile.leakage[cuts - 1].max()),
        energy_j=_energy(scenario, problem, decision),
        round_cost=server_rent(scenario, seconds),
        limit=_limit(problem, decision),
    )


def _traffic(
    scenario: Scenario, profile: ModelProfile, cuts: IntArray, layers: list[int], batch: Any
) -> float:
    """Bytes of a round: the model down once per cluster and up once per device, and the batches.

    `cuts` (N,) are the devices', `layers` the clusters'.
    """
    assert scenario.clusters is not None  # clustered() saw to it
    literal = scenario.clusters.gradient_batch_factor == "literal"
    returned, at = np.ones_like(batch) if literal else batch, cuts - 1
    model = profile.device_model_bytes[np.array(layers) - 1].sum()
    model += profile.device_model_bytes[at].sum()
    crossing = batch * profile.smashed_bytes[at] + returned * profile.gradient_bytes[at]
    epochs, tied = scenario.training.epochs, exchanged_bytes(profile)[at]
    return float(model + epochs * crossing.sum() + (2 * epochs - 1) * tied.sum())


def _energy(
    scenario: Scenario, problem: CutAndClusters, decision: CutAndClustersDecision
) -> float | None:
    """Joule of all devices: computing, and sending on their own subcarriers."""
    fleet = scenario.fleet()
    compute = [device.compute_power for device in fleet]
    radio = [scenario.link(device, "uplink").transmit_power for device in fleet]
    if None in compute or None in radio:
        return None
    one, x, epochs = problem.placed(decision), decision.subcarriers, problem.local_epochs
    model = one.upload_model_s / (one.subcarriers if one.device_model_over_full_band else x)
    data = epochs * one.upload_smashed_s + problem.inner_phases * one.upload_tied_s
    sending = data / x + model
    computing = epochs * (one.forward_s + one.backward_s)
    watt = np.array([compute, radio], dtype=np.float64)
    return float(device_energy(watt[0], computing, watt[1], sending).sum())


def _limit(problem: CutAndClusters, decision: CutAndClustersDecision) -> str:
    """Name the longest phase, and whether it is the server's."""
    weight = np.array([1, problem.inner_phases, 1])
    phases = problem.cluster_phases(decision) * weight
    server = float(problem.server_seconds(decision).sum()) * problem.local_epochs
    if server > phases.sum() / 2:
        return "the server's work, cluster after cluster"
    return f"the {PHASES[int(phases.sum(axis=0).argmax())]} phase, cluster after cluster"
