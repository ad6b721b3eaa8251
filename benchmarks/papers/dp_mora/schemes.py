"""Every scheme of section 7 at a setting: the latency of each device and the length of a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.papers.dp_mora.published import DEFAULT, published
from splitopt import CutAndResources, Result, Scenario, solve
from splitopt.errors import SolveError
from splitopt.latency.sequential import SequentialRound, sequential_round
from splitopt.latency.split_federated import PhaseSeconds
from splitopt.problems.base import FloatArray, IntArray

PARALLEL = ("FAAF", "FSAF", "FSPF", "SF3AF", "SF3PF")
SEQUENTIAL = ("SF1AF", "SF1PF", "SF2AF", "SF2PF")
DP_MORA, SUM, MAKESPAN = "`dp_mora`", "sum optimum", "makespan optimum"
OURS = (DP_MORA, SUM, MAKESPAN)


@dataclass(frozen=True)
class Planned:
    """A plan: its cuts (N,) and the devices' latencies (N,) in s."""

    cuts: IntArray
    latencies: FloatArray

    @property
    def round_s(self) -> float:
        """Length of the round: the slowest device."""
        return float(self.latencies.max())

    @property
    def total_s(self) -> float:
        """Sum over the devices, which the paper's P1 minimises."""
        return float(self.latencies.sum())

    @property
    def waits(self) -> FloatArray:
        """Wait (N,) of each device for the slowest."""
        return np.asarray(self.latencies.max() - self.latencies)


def scenario_at(model: str, setting: dict[str, float] | None = None) -> Scenario:
    """Return the scenario of section 7.2 with other limits, speeds and rates."""
    at = DEFAULT | (setting or {})
    document = Scenario.load(f"dp-mora-{model}").to_dict()
    document["links"] = {
        "downlink": f"{at['downlink_mbit']:g} Mbit/s",
        "uplink": f"{at['uplink_mbit']:g} Mbit/s",
    }
    document["servers"][0]["compute"] = f"{at['server_gmac']:g} GMAC/s"
    document["privacy"]["leakage_limit"] = at["leakage_limit"]
    return Scenario.from_dict(document)


def problem_at(model: str, setting: dict[str, float] | None = None) -> CutAndResources:
    """Return the problem of section 7.2 at a setting, with the sum of latencies as objective."""
    return CutAndResources.from_scenario(scenario_at(model, setting))


def recovered_cuts(model: str, devices: int) -> tuple[int, ...]:
    """Return DP-MORA's own cuts in section 7.2, which its tables imply."""
    types: Sequence[int] = published()["recovered_cuts"][model]
    return tuple(types[n % len(types)] for n in range(devices))


def parallel(problem: CutAndResources, cuts: tuple[int, ...]) -> dict[str, Planned]:
    """Return the parallel baselines; SF3AF and SF3PF take the cuts given."""
    plans = {}
    for name in PARALLEL:
        options: dict[str, Any] = {"cuts": cuts} if name.startswith("SF3") else {}
        plans[name] = planned(problem, solve(problem, name.lower(), **options))
    return plans


def sequential(
    problem: CutAndResources, cuts: tuple[int, ...], *, kept: bool = True
) -> dict[str, SequentialRound]:
    """Return the sequential baselines; SF2 takes the cuts given, SF1 the shallowest one for all.

    With `kept`, devices keep their shares while others run; otherwise each has everything while
    it runs, and AF and PF are the same.
    """
    seconds = PhaseSeconds(problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
    assert problem.weights is not None  # the shipped scenarios state batch sizes
    devices = problem.devices
    shares = {"AF": np.full(devices, 1 / devices), "PF": problem.weights / problem.weights.sum()}
    shallowest = np.full(devices, int(problem.allowed.all(axis=0).argmax()) + 1)
    found = {}
    for name in SEQUENTIAL:
        chosen = shallowest if name.startswith("SF1") else np.array(cuts)
        found[name] = sequential_round(seconds, chosen, shares[name[3:]] if kept else None)
    return found


def replayed(problem: CutAndResources, cuts: tuple[int, ...]) -> Planned:
    """Return the plan of DP-MORA's cuts with the best shares for the sum."""
    decision = problem.complete(cuts)
    return Planned(decision.cut, problem.latencies(decision))


def ours(problem: CutAndResources) -> dict[str, Planned]:
    """Return what DP-MORA's algorithm and the certified optima of both objectives lead to.

    The algorithm needs ``clip=True``: the printed curves go negative.
    """
    return {
        DP_MORA: planned(problem, solve(problem, "dp_mora", clip=True)),
        SUM: planned(problem, _proved(solve(problem, "exact"))),
        MAKESPAN: planned(problem, _proved(solve(problem.with_objective("makespan"), "exact"))),
    }


def planned(problem: CutAndResources, result: Result) -> Planned:
    """Return the plan of a result, which must have one."""
    if not result.is_feasible or result.stop_reason == "solver_error":
        raise SolveError(f"{result.solver} has no plan: {result.message}", result)
    decision: Any = result.decision
    return Planned(decision.cut, problem.latencies(decision))


def _proved(result: Result) -> Result:
    if result.outcome != "optimal":
        raise SolveError(f"{result.solver} proved no optimum (gap {result.gap:.2g})", result)
    return result


def lower_by(seconds: float, than: float) -> float:
    """Return by how many per cent a time is lower than another."""
    return 100 * (1 - seconds / than)
