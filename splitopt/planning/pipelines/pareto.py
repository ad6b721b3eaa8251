"""Which machines to rent: every mix that no other beats in both delay and cost.

MP-SL (section 6.2, Fig. 14) rents compute nodes by the hour and computes delay and cost of an epoch
for some mixes of machine types. Here every mix of the machines on offer is settled:

    delay(mix) = least round of a pipeline of exactly these nodes
    cost(mix)  = delay(mix) / 3600 * sum of their prices per hour

Where nothing is known of the owners, the delay is the least epoch, and what they add is a constant.
For a mix the prices are fixed, so that the shortest round is also the cheapest. Alike machines
count by their number. A mix is skipped only where a lower bound of its delay, and the cost that
goes with it, are no better than those of a mix that is known: the points are all that there are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InfeasibleError, InputError
from splitopt.latency.pipeline import rent
from splitopt.planning.pipelines.proving import proved
from splitopt.problems.arrays import number, number_table, whole_number
from splitopt.problems.inputs import as_profile, as_scenario
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.problems.pipeline_partition.restrict import alike_nodes, restricted
from splitopt.solvers.base import Solver

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike

MOST_MIXES = 200_000
"""More mixes than this are refused."""
_SAME = 1e-12


@dataclass(frozen=True)
class ParetoPoint:
    """A mix of machines that no other beats in both delay and cost.

    Parameters
    ----------
    nodes
        Indices of the machines to rent.
    decision
        Which of them hosts each layer, as indices of all machines on offer.
    delay_s
        The round, or the epoch, in s.
    cost
        Their rent for that time, in the currency of the prices.
    period_s, latency_s
        Of the pipeline.
    """

    nodes: tuple[int, ...]
    decision: PipelinePartitionDecision
    delay_s: float
    cost: float
    period_s: float
    latency_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the point as JSON-ready data."""
        return {
            "nodes": list(self.nodes),
            "assignment": self.decision.assignment.tolist(),
            "delay_s": self.delay_s,
            "cost": self.cost,
            "period_s": self.period_s,
            "latency_s": self.latency_s,
        }


@dataclass(frozen=True)
class ParetoSet:
    """All points, the fastest first; every next one is slower and cheaper.

    Parameters
    ----------
    points
        The points. Of several mixes with the same delay and cost there is one.
    names
        Name of each machine on offer.
    mixes, solved
        How many mixes there are, and how many had to be solved.
    """

    points: tuple[ParetoPoint, ...]
    names: tuple[str, ...]
    mixes: int
    solved: int

    def to_dict(self) -> dict[str, Any]:
        """Return the set as JSON-ready data."""
        return {
            "format": "splitopt-pareto",
            "version": 1,
            "names": list(self.names),
            "mixes": self.mixes,
            "solved": self.solved,
            "points": [point.to_dict() for point in self.points],
        }


def delay_cost_pareto(
    problem: PipelinePartition,
    price_per_hour: npt.ArrayLike,
    *,
    nodes: int | None = None,
    other_s: float = 0.0,
    names: tuple[str, ...] | None = None,
    solver: str | Solver[Any] = "auto",
    progress: Callable[[int, int], object] | None = None,
) -> ParetoSet:
    """Find every mix of machines that no other beats in both delay and cost.

    Parameters
    ----------
    problem
        All machines that could be rented, each as a node of its own, with ``owner_groups``, or with
        the number of ``batches`` of an epoch. Its objective and ``use_all_nodes`` are not used: all
        machines of a mix work.
    price_per_hour
        Shape (N,): in any currency.
    nodes
        Take mixes of exactly so many machines; None for any number.
    other_s
        Seconds that every round lasts beside what the problem knows of.
    names
        Name of each machine; ``"node 0"``, ... by default.
    solver
        A solver that proves the round, or the epoch, of a pipeline.
    progress
        Called with the number of mixes done and of all.

    Raises
    ------
    InputError
        A price or number that does not fit, or more than `MOST_MIXES` mixes.
    InfeasibleError
        No mix can hold the layers.
    SolveError
        The solver ended without a proof.
    """
    prices = number_table(price_per_hour, "price_per_hour", "price per hour", (problem.nodes,))
    if problem.batches is None:
        raise InputError.at("batches", "is missing, a delay needs the batches of an epoch")
    if nodes is not None and not 1 <= whole_number(nodes, "nodes", 1) <= problem.nodes:
        raise InputError.at("nodes", f"is {nodes}, there are {problem.nodes} machines on offer")
    objective = "epoch" if problem.owner_groups is None else "round"
    offer = _Offer(problem.with_objective(objective), prices, number(other_s, "other_s", "s"))
    bounds = offer.bounds(nodes)
    points, solved = _settle(offer, bounds, solver, progress)
    named = names or tuple(f"node {n}" for n in range(problem.nodes))
    return ParetoSet(points, named, len(bounds), solved)


def scenario_pareto(
    scenario: ScenarioLike,
    profile: ProfileLike | None = None,
    *,
    nodes: int | None = None,
    solver: str | Solver[Any] = "auto",
    progress: Callable[[int, int], object] | None = None,
) -> ParetoSet:
    """Find the delay-cost Pareto set of the compute nodes of a scenario, see `delay_cost_pareto`.

    A node group with a ``count`` says how many machines of a type there are; all need a
    ``price_per_hour``. A delay is the round that `splitopt.plan` predicts with these nodes.
    """
    from splitopt.planning.pipelines.round_cuts import with_round_cuts

    scenario = as_scenario(scenario)
    found = as_profile(profile, scenario)
    scenario, _ = with_round_cuts(scenario, found, "round")
    problem = PipelinePartition.from_scenario(scenario, found)
    listed, prices = scenario.node_list(), []
    for node in listed:
        if node.price_per_hour is None:
            raise InputError.at(
                f"nodes[{node.name}].price_per_hour", "is missing, the cost of a mix needs it"
            )
        prices.append(node.price_per_hour)
    return delay_cost_pareto(
        problem,
        prices,
        nodes=nodes,
        names=tuple(node.name for node in listed),
        solver=solver,
        progress=progress,
    )


@dataclass(frozen=True)
class _Bound:
    """A mix, and delay and cost that it cannot go below."""

    delay_s: float
    cost: float
    mix: tuple[int, ...]


class _Front:
    """The points that nothing beats so far."""

    def __init__(self) -> None:
        self.points: list[ParetoPoint] = []

    def beats(self, delay_s: float, cost: float) -> bool:
        """Whether a point is no worse in both."""
        return any(
            point.delay_s <= delay_s * (1 + _SAME) and point.cost <= cost * (1 + _SAME)
            for point in self.points
        )

    def add(self, new: ParetoPoint) -> None:
        """Add a point unless one beats it, and drop those that it beats."""
        if self.beats(new.delay_s, new.cost):
            return
        self.points = [
            point
            for point in self.points
            if point.delay_s < new.delay_s * (1 - _SAME) or point.cost < new.cost * (1 - _SAME)
        ]
        self.points.append(new)

    def sorted(self) -> tuple[ParetoPoint, ...]:
        """Return the points, the fastest first."""
        return tuple(sorted(self.points, key=lambda point: point.delay_s))


@dataclass(frozen=True, eq=False)
class _Offer:
    """All machines that could be rented.

    Parameters
    ----------
    problem
        With the objective that is the delay.
    prices
        Shape (N,): per hour.
    other_s
        Seconds that every round lasts beside what the problem knows of.
    """

    problem: PipelinePartition
    prices: npt.NDArray[np.float64]
    other_s: float

    def part(self, mix: tuple[int, ...]) -> PipelinePartition:
        """Return the problem of a mix, all of whose machines work."""
        return restricted(self.problem, mix, use_all_nodes=True)

    def cost(self, mix: tuple[int, ...], delay_s: float) -> float:
        """Return the rent of a mix for its delay."""
        return float(rent(delay_s, self.prices[list(mix)]))

    def bounds(self, nodes: int | None) -> list[_Bound]:
        """Return every mix with lower bounds of its delay and cost, the lowest delays first."""
        kinds = _kinds(self.problem, self.prices)
        _check_number(kinds)
        found = [self.bound(mix) for mix in _mixes(kinds, nodes)]
        return sorted(found, key=lambda bound: (bound.delay_s, bound.cost))

    def bound(self, mix: tuple[int, ...]) -> _Bound:
        """Bound delay and cost of a mix from below, infinite if it clearly has no answer."""
        if len(mix) > self.problem.layers:
            return _Bound(math.inf, math.inf, mix)
        some = self.part(mix)
        if some.infeasibility() is not None:
            return _Bound(math.inf, math.inf, mix)
        # Lower by the tolerance of `_Front`, so that rounding never makes it exceed the delay.
        delay_s = some.bound() * (1 - _SAME) + self.other_s
        return _Bound(delay_s, self.cost(mix, delay_s), mix)

    def solve(self, mix: tuple[int, ...], solver: str | Solver[Any]) -> ParetoPoint | str | None:
        """Return the point of a mix, or why it has none in the words of the solver."""
        some = self.part(mix)
        result, decision = proved(some, solver)
        if decision is None:
            return result.message
        load, delay_s = some.load(decision), result.objective + self.other_s
        hosts = PipelinePartitionDecision(np.array(mix)[decision.assignment])
        cost = self.cost(mix, delay_s)
        return ParetoPoint(mix, hosts, delay_s, cost, load.period_s, load.latency_s)


def _settle(
    offer: _Offer,
    bounds: list[_Bound],
    solver: str | Solver[Any],
    progress: Callable[[int, int], object] | None,
) -> tuple[tuple[ParetoPoint, ...], int]:
    """Return the points that no mix beats, the fastest first, and how many mixes were solved.

    Raises
    ------
    InfeasibleError
        No mix can hold the layers.
    """
    front, solved, reason = _Front(), 0, None
    # By rising bounds, so that early points are fast ones, which rule out many of the rest.
    for done, bound in enumerate(bounds):
        if progress is not None:
            progress(done, len(bounds))
        # A point that is no worse than the bounds is no worse than the mix itself.
        if math.isinf(bound.delay_s) or front.beats(bound.delay_s, bound.cost):
            continue
        found = offer.solve(bound.mix, solver)
        solved += 1
        if isinstance(found, ParetoPoint):
            front.add(found)
        else:
            reason = found
    if not front.points:
        raise InfeasibleError(
            f"none of the {len(bounds):,} mixes of machines can hold the layers"
            + (f"; of the last one: {reason}" if reason else "; offer machines with more memory")
        )
    return front.sorted(), solved


def _kinds(problem: PipelinePartition, prices: npt.NDArray[np.float64]) -> list[list[int]]:
    """Group machines that can stand in for each other at the same price."""
    groups: dict[tuple[int, float], list[int]] = {}
    for node, first in enumerate(alike_nodes(problem)):
        groups.setdefault((first, float(prices[node])), []).append(node)
    return list(groups.values())


def _check_number(kinds: list[list[int]]) -> None:
    count = math.prod(len(members) + 1 for members in kinds) - 1
    if count > MOST_MIXES:
        raise InputError.at(
            "nodes",
            f"make {count:,} mixes of {len(kinds)} kinds, more than {MOST_MIXES:,}; offer fewer "
            "machines or fewer different ones",
        )


def _mixes(kinds: list[list[int]], nodes: int | None) -> Iterator[tuple[int, ...]]:
    """Yield every mix as its lowest indices, rising."""
    for counts in itertools.product(*(range(len(members) + 1) for members in kinds)):
        size = sum(counts)
        if size and nodes in (None, size):
            pairs = zip(kinds, counts, strict=True)
            yield tuple(sorted(n for members, count in pairs for n in members[:count]))
