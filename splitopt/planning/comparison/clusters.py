"""CPSL on a fleet: clusters in turn, with the best cut, clusters and subcarriers."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.driver import solve
from splitopt.errors import InputError
from splitopt.latency.cell import cell_seconds, cut_index
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
from splitopt.problems.cluster_and_spectrum import (
    PHASES,
    ClusterAndSpectrum,
    ClusterAndSpectrumDecision,
)
from splitopt.problems.limits import check_cluster_cut, cluster_cuts
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import exchanged_bytes
from splitopt.results import Result
from splitopt.scenario import Scenario
from splitopt.solvers.cluster_and_spectrum.enumeration import Enumerate

_FEW = 20_000
"""Partitions that are gone through in about a second."""


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
    cuts = _possible(scenario, profile)
    whole = _with_passes(scenario)
    problems = {
        cut: ClusterAndSpectrum.from_seconds(cell_seconds(whole, profile, cut), whole)
        for cut in cuts
    }
    reasons = [reason for cut in cuts if (reason := problems[cut].infeasibility())]
    if reasons:  # it is about sizes and subcarriers, the same at every cut
        return none("cpsl", "infeasible", reasons[0])
    best, lowest = _search(problems, time_limit_s, seed)
    if best is None:
        return none("cpsl", "no_solution", "no plan was found in time; allow more of it")
    cut, result = best
    return _row(whole, profile, problems[cut], cut, result, lowest)


def _possible(scenario: Scenario, profile: ModelProfile) -> list[int]:
    """Return the cuts that all devices and the server can take; raise where there are none."""
    assert scenario.clusters is not None  # clustered() saw to it
    if scenario.clusters.cut == "auto":
        return cluster_cuts(scenario, profile, last=False, exchanging=True)
    cut = cut_index(profile, scenario.clusters.cut)
    check_cluster_cut(scenario, profile, cut, exchanging=True)
    return [cut]


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


def _search(
    problems: dict[int, ClusterAndSpectrum], time_limit_s: float | None, seed: int
) -> tuple[tuple[int, Result] | None, float]:
    """Return the best cut with its result, and a lower bound over all cuts.

    Cuts are tried in the order of their cheap bounds; one whose bound is no better than the best
    value so far need not be solved.
    """
    bounds = {cut: problem.bound() for cut, problem in problems.items()}
    share = None if time_limit_s is None else time_limit_s / len(problems)
    best: tuple[int, Result] | None = None
    for cut in sorted(problems, key=lambda c: bounds[c]):
        if best is not None and bounds[cut] >= (best[1].objective or 0.0):
            continue
        result = solve(problems[cut], _solver(problems[cut]), time_limit_s=share, seed=seed)
        bounds[cut] = max(bounds[cut], result.bound)
        if not result.is_feasible or result.objective is None:
            continue
        if best is None or best[1].objective is None or result.objective < best[1].objective:
            best = cut, result
    return best, min(bounds.values())


def _solver(problem: ClusterAndSpectrum) -> str | Enumerate:
    """Go through all partitions where they are few, which proves the best; else the preferred."""
    every = Enumerate(max_partitions=_FEW)
    return "auto" if every.refusal(problem) else every


def _row(
    scenario: Scenario,
    profile: ModelProfile,
    problem: ClusterAndSpectrum,
    cut: int,
    result: Result,
    lowest: float,
) -> SchemeRow:
    decision = result.decision
    assert isinstance(decision, ClusterAndSpectrumDecision)
    seconds = problem.evaluate(decision)
    gap = max(0.0, (seconds - lowest) / seconds)
    batch = np.array([device.batch_size for device in scenario.fleet()], dtype=np.float64)
    passed, cuts = scenario.training.epochs * batch, np.full(problem.devices, cut)
    largest = max(float(batch[cluster].sum()) for cluster in decision.clusters)
    most = max(map(len, decision.clusters))
    work = work_per_sample(profile)
    return SchemeRow(
        scheme="cpsl",
        status="feasible",
        cut=cut_words(profile, cuts),
        proved=gap <= 1e-9,
        gap=gap,
        round_s=seconds,
        traffic_bytes=_traffic(scenario, profile, cut, batch, len(decision.clusters)),
        device_flop=None if work is None else float((passed * work[cut - 1]).max()),
        device_memory_bytes=device_memory(scenario, profile, cuts),
        server_memory_bytes=shared_memory(profile, cut, largest, most),
        leakage=None if profile.leakage is None else float(profile.leakage[cut - 1]),
        energy_j=_energy(scenario, problem, decision.subcarriers),
        round_cost=server_rent(scenario, seconds),
        limit=_limit(problem, decision),
    )


def _traffic(
    scenario: Scenario, profile: ModelProfile, cut: int, batch: Any, clusters: int
) -> float:
    """Bytes of a round: the model down once per cluster and up once per device, and the batches."""
    assert scenario.clusters is not None  # clustered() saw to it
    literal = scenario.clusters.gradient_batch_factor == "literal"
    returned = np.ones_like(batch) if literal else batch
    model = profile.device_model_bytes[cut - 1] * (clusters + len(batch))
    crossing = batch * profile.smashed_bytes[cut - 1] + returned * profile.gradient_bytes[cut - 1]
    epochs, tied = scenario.training.epochs, float(exchanged_bytes(profile)[cut - 1])
    exchanged = len(batch) * (2 * epochs - 1) * tied
    return float(model + epochs * crossing.sum() + exchanged)


def _energy(scenario: Scenario, problem: ClusterAndSpectrum, x: IntArray) -> float | None:
    """Joule of all devices: computing, and sending on their own subcarriers."""
    fleet = scenario.fleet()
    compute = [device.compute_power for device in fleet]
    radio = [scenario.link(device, "uplink").transmit_power for device in fleet]
    if None in compute or None in radio:
        return None
    epochs = problem.local_epochs
    model = problem.upload_model_s / (
        problem.subcarriers if problem.device_model_over_full_band else x
    )
    sending = (
        epochs * problem.upload_smashed_s + problem.inner_phases * problem.upload_tied_s
    ) / x + model
    computing = epochs * (problem.forward_s + problem.backward_s)
    watt = np.array([compute, radio], dtype=np.float64)
    return float(device_energy(watt[0], computing, watt[1], sending).sum())


def _limit(problem: ClusterAndSpectrum, decision: ClusterAndSpectrumDecision) -> str:
    """Name the longest phase, and whether it is the server's."""
    weight = np.array([1, problem.inner_phases, 1])
    phases = problem.cluster_phases(decision) * weight
    sizes = np.diff(decision.starts)
    server = float((sizes * problem.server_s_per_device).sum()) * problem.local_epochs
    if server > phases.sum() / 2:
        return "the server's work, cluster after cluster"
    return f"the {PHASES[int(phases.sum(axis=0).argmax())]} phase, cluster after cluster"
