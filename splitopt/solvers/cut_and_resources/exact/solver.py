"""The solver `exact`: what one run does, from the root of the relaxation to the tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.problem import RobustCutAndResources
from splitopt.results import OPTIMAL_GAP, StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.exact.annealing import anneal, can_anneal
from splitopt.solvers.cut_and_resources.exact.annealing import load_for as load_annealing
from splitopt.solvers.cut_and_resources.exact.feasible import within_budgets
from splitopt.solvers.cut_and_resources.exact.large import solve_large
from splitopt.solvers.cut_and_resources.exact.local import improve, may_gain, rounded
from splitopt.solvers.cut_and_resources.exact.one_resource import OneResource, load_for
from splitopt.solvers.cut_and_resources.exact.robust import solve_robust
from splitopt.solvers.cut_and_resources.exact.space import Space, undecided
from splitopt.solvers.cut_and_resources.exact.tree import Tree
from splitopt.solvers.cut_and_resources.exact.wide import NUMBERS, improve_wide
from splitopt.solvers.cut_and_resources.relaxation import LoadsRelaxation
from splitopt.solvers.cut_and_resources.relaxation.budget_measure import BudgetMeasure
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.grouping import SLACK, fleet_of, in_tables
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LARGE, LargeFleet
from splitopt.solvers.cut_and_resources.relaxation.makespan_dual import deadline_costs, quadratic
from splitopt.solvers.cut_and_resources.relaxation.measures import (
    EigenvalueMeasure,
    Measure,
    SumMeasure,
)
from splitopt.solvers.cut_and_resources.relaxation.root import solve_root
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Root
from splitopt.solvers.cut_and_resources.relaxation.sum_dual import sum_costs
from splitopt.solvers.cut_and_resources.repair import repaired
from splitopt.solvers.cut_and_resources.warm.starting import follow_old, load_following

_RESTART = 64
"""Nodes up to which a better plan starts the tree afresh, with more cuts ruled out."""

_SEARCH_AFTER = 16
"""Nodes to the first local search in the tree, and fewest from one to the next."""
_MOST_HELD = 20_000_000
"""Classes times cuts up to which the tree may hold tables of all devices."""
_FINEST = 1e-12
"""A smaller gap is not aimed for."""
_REMEMBERED = 1_000
"""Classes times cuts, and plans, that are remembered, so that none is scored twice."""
_JUST = 1 + 1e-6
"""How far past the bound the deadline is at which a plan is annealed."""
_LONG, _SHORT = 400, 20
"""Most steps of a local search, at the root and in the tree."""


@dataclass(frozen=True)
class Exact(LoadsRelaxation, Solver[CutAndResources]):
    """Dual prices, rounding, local search, reduced-cost fixing, and branch and bound on counts.

    Parameters
    ----------
    max_nodes
        Stop after this many nodes of the tree; None for no limit.
    local_moves
        How many single moves the local search combines in pairs.
    max_listed
        A node with at most so many plans left is settled by going through them.
    chunk_above
        From more than so many devices times cuts on, the relaxed problem is solved block by block,
        in memory that holds no table of all devices.

    With a decision or prices to start from it first follows them: single moves from the old plan,
    and a few passes that prove a bound from the old prices, see `splitopt.solvers.cut_and_resources
    .warm`. With a ``rel_gap`` it stops as soon as that gap is proved.
    """

    name: ClassVar[str] = "exact"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "exact"
    by_group: ClassVar[bool] = True
    start_use: ClassVar[str] = "the first plan to beat, followed by single moves"
    takes_prices: ClassVar[bool] = True
    prices_use: ClassVar[str] = "the first bound, and where the relaxation starts"
    robust: ClassVar[bool] = True
    removed: ClassVar[Mapping[str, str]] = {
        "prices": "give them to solve(problem, prices=...), beside the solver"
    }

    max_nodes: int | None = None
    local_moves: int = 200
    max_listed: int = 16_384
    chunk_above: int = LARGE

    def __post_init__(self) -> None:
        if self.max_nodes is not None:
            check_whole("max_nodes", self.max_nodes, 1)
        for name, least in (("local_moves", 3), ("max_listed", 1), ("chunk_above", 0)):
            check_whole(name, getattr(self, name), least)

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject more classes and cuts than fit into tables."""
        if not in_tables(problem):
            return None
        classes = problem.devices if problem.budgets is None else len(problem.budgets.use)
        if classes * problem.layers <= _MOST_HELD:
            return None
        return (
            f"cannot take {'' if problem.budgets is None else 'budgets of '}{classes:,} classes "
            f"times {problem.layers} {problem.choice_word}s, at most {_MOST_HELD:,} in all: it "
            "holds them in tables; count equal devices in 'factors' if they choose cuts"
        )

    def load(self, problem: CutAndResources) -> None:
        """Compile what a run on this problem needs, or load what an earlier process compiled."""
        super().load(problem)
        load_for(problem)
        load_annealing(problem)

    def load_warm(self, problem: CutAndResources) -> None:
        """Compile the loops that follow an old plan."""
        if problem.devices * problem.layers <= self.chunk_above and not problem.by_group:
            load_following(problem)

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Prove the optimum, or stop when asked to.

        Raises
        ------
        InfeasibleError
            No cuts keep all budgets together.
        """
        if isinstance(problem, RobustCutAndResources):
            return solve_robust(problem, search, self.run)
        if (reason := follow_old(problem, search, self.chunk_above)) is not None:
            return reason
        if in_tables(problem) or problem.devices * problem.layers <= self.chunk_above:
            return _Run(self, problem, search, fleet_of(problem)).run()
        large = LargeFleet.of(problem)
        if large.classes * large.layers > self.chunk_above:
            tolerance = min(max(search.rel_gap, _FINEST), OPTIMAL_GAP)
            reason = solve_large(problem, large, search, tolerance, search.prices)
            if reason is not None:
                return reason
            if large.classes * large.layers > _MOST_HELD:
                search.message = (
                    "the gap of the relaxation is left: the tree would need much memory"
                )
                return "converged"
        return _Run(self, problem, search, large.fleet()).run()


class _Run:
    """The state of one run."""

    def __init__(
        self, solver: Exact, problem: CutAndResources, search: Search, fleet: Fleet
    ) -> None:
        self.solver = solver
        self.problem = problem
        self.search = search
        self.tolerance = 0.99 * min(max(search.rel_gap, _FINEST), OPTIMAL_GAP)
        self.fleet = fleet
        self.is_sum = problem.objective == "sum"
        packing = fleet.layout.packing
        self.measure: Measure = SumMeasure() if self.is_sum else EigenvalueMeasure(packing)
        self.nodes = 0
        self.cost: FloatArray | None = None
        """What each class (C, L) pays for a cut beside the budgets: by it plans are repaired."""
        self._offered: set[bytes] = set()

    def run(self) -> StopReason:
        search, fleet = self.search, self.fleet
        self._begin()
        search.details["nodes"] = 0
        if (reason := search.stop()) is not None:
            return reason
        root = solve_root(self.problem.objective, fleet, self._watch, search.prices)
        search.iterations += root.passes
        search.details["prices"] = root.warm_start.tolist()
        search.prove(root.bound)
        if root.weight is not None:
            self._price_budgets(root, root.weight)
        for column in root.columns:
            self._offer(_one_each(fleet, column), repair=True)
        mixed = rounded(root.columns, root.weights, fleet.count, fleet.device_s.shape[1])
        self._offer(mixed, repair=True)
        search.details["root_gap"] = search.gap
        self._partition(root)
        while True:
            if (reason := search.stop()) is not None:
                return reason
            space = self._polished(root)
            if space is None:
                search.prove(self._limit)
                return "proved"
            tree = Tree(
                space,
                self.measure,
                self._target,
                self.solver.max_listed,
                self._offer_used,
                self._halted,
            )
            if (reason := self._search_tree(tree, root)) is not None:
                return reason

    def _partition(self, root: Root) -> None:
        """Fill resource by resource where each choice loads one: the tree has few prices then."""
        devices = None if self.is_sum else OneResource.of(self.fleet, root.price)
        if devices is None or self._halted():
            return
        self._polished(root)
        asked = devices.fill(self.fleet, self.search, self._offer, self._halted, self.tolerance)
        self.search.details["deadlines"] = asked

    @property
    def _limit(self) -> float:
        """What a plan must beat to be worth finding."""
        return self.search.objective * (1 - self.tolerance)

    @property
    def _deadline(self) -> float | None:
        return None if self.is_sum else self._limit

    @property
    def _target(self) -> float:
        """The limit in the units of the measure."""
        return self._limit if self.is_sum else 1.0

    def _watch(self, bound: float) -> bool:
        self.search.prove(bound)
        return self._halted()

    def _halted(self) -> bool:
        return self.search.stop() is not None

    def _begin(self) -> None:
        """Propose a first plan; raise if no cuts keep all budgets."""
        fleet, problem = self.fleet, self.problem
        first = _one_each(fleet, fleet.fastest_alone())
        if fleet.use is None:
            self._offer(first)
            return
        listed = self.solver.max_listed
        cuts = within_budgets(problem, fleet, fleet.cuts(first), listed, self._halted)
        if cuts is not None:
            self.search.propose(problem.complete(cuts))
        elif self.search.stop() is None:
            raise InfeasibleError(problem.over_budgets())

    def _price_budgets(self, root: Root, weight: FloatArray) -> None:
        """Add the budgets to the measure, and report what one more unit of each is worth."""
        fleet, budgets = self.fleet, self.problem.budgets
        assert fleet.use is not None
        assert budgets is not None
        self.measure = BudgetMeasure(self.measure, weight)
        bare = replace(fleet, use=None)
        if self.is_sum:
            self.cost = sum_costs(bare, root.price)
            rooms = dict(zip(budgets.names, budgets.room, strict=True))
            self.search.details["budget_prices"] = {
                name: float(price / rooms[name])
                for name, price in zip(
                    fleet.budgets, root.price[fleet.resources + 1 :], strict=True
                )
            }
        else:
            service, usable = bare.service(max(root.bound, bare.earliest()) * (1 + 1e-9))
            self.cost = deadline_costs(
                quadratic(bare, root.price[: bare.layout.packing.size]), service, usable
            )

    def _offer(self, counts: IntArray, repair: bool = False) -> bool:
        """Propose counts (C, L) and tell whether they are the best so far.

        Counts that exceed a budget are not proposed, or first repaired.
        """
        before = self.search.objective
        if self.fleet.use is None and counts.size <= _REMEMBERED:
            if (key := counts.tobytes()) in self._offered:
                return False  # it was no better then, or is the best
            if len(self._offered) < _REMEMBERED:
                self._offered.add(key)
        if not may_gain(self.fleet, self.is_sum, counts, before):
            return False  # its total says so without shares, which take longer
        cuts = self.fleet.cuts(counts)
        used = 0.0 if self.fleet.use is None else np.einsum("cl,clb->b", counts, self.fleet.use)
        if np.all(used <= 1 + SLACK):
            self.search.propose(self.problem.complete(cuts))
        elif repair and self.cost is not None:
            kept = repaired(self.problem, cuts, self.cost[self.fleet.member])
            if kept is not None:
                self.search.propose(self.problem.complete(kept))
        return self.search.objective < before

    def _offer_used(self, used: IntArray) -> bool:
        return self._offer(self._tree_space.counts(used))

    def _polished(self, root: Root) -> Space | None:
        """Fix what can be fixed and improve the incumbent on the rest, in turn.

        None if nothing is left that could beat the limit.
        """
        for _ in range(20):
            before = self.search.objective
            space = undecided(
                self.fleet,
                self._deadline,
                root.price,
                self.measure.constant(root.price),
                self._target,
            )
            if space is None:
                return None
            used = space.used(self._incumbent())
            self._offer(space.counts(self._improved(space, used, root, _LONG)), repair=True)
            if not self.search.objective < before * (1 - 1e-12):
                break
        return space

    def _improved(self, space: Space, used: IntArray, root: Root, steps: int) -> IntArray:
        moves = self.solver.local_moves
        if steps == _LONG and can_anneal(self.measure, space, self.fleet.device_s.size):
            tight = space.at(self.fleet, max(self.search.bound, self.fleet.earliest()) * _JUST)
            return anneal(
                tight, self.fleet.layout.packing, used, root.price, self._halted, self.search.rng
            )
        if space.vector.shape[2] > NUMBERS:
            used = improve_wide(space, self.measure, used, root.price, moves, steps, self._halted)
        return improve(space, self.measure, used, root.price, moves, steps, self._halted)

    def _try(self, used: IntArray) -> None:
        """Propose counts of the tree's space if they reach its target."""
        total = self._tree_space.total(used)
        if float(self.measure.values(total[None])[0]) < self._target:
            self._offer_used(used)

    def _incumbent(self) -> IntArray:
        """Return the counts (C, L) of the best decision so far."""
        return self.fleet.counts(self.search.best)

    def _search_tree(self, tree: Tree, root: Root) -> StopReason | None:
        """Work through a tree; None if a better plan makes it worth to fix and start again."""
        search, first = self.search, self.nodes
        self._tree_space = tree.space
        known, again = search.objective, _SEARCH_AFTER
        tree.open((), root.price)
        while True:
            self.nodes, before = first + tree.nodes, self.nodes
            search.iterations += self.nodes - before
            search.details["nodes"] = self.nodes
            if search.objective < known:
                known = search.objective
                if tree.nodes < _RESTART:
                    return None
                self._lower(tree)
            search.prove(self._proven(tree.bound))
            if (reason := search.stop()) is not None:
                return reason
            if not tree.heap:
                return "proved"
            if self.solver.max_nodes is not None and self.nodes >= self.solver.max_nodes:
                return "iterations"
            tree.expand()
            if tree.latest is not None and tree.nodes >= again:
                again = tree.nodes + max(_SEARCH_AFTER, tree.nodes // 4)
                self._try(self._improved(tree.space, tree.latest, root, _SHORT))

    def _lower(self, tree: Tree) -> None:
        """Lower the target of a tree to what the new incumbent leaves; its bounds stay valid."""
        tree.target = self._target
        if not self.is_sum:
            tree.space = self._tree_space = tree.space.at(self.fleet, self._limit)

    def _proven(self, bound: float) -> float:
        """Turn a tree's bound into one on the objective.

        For the makespan the bound h is the least cost at the deadline T. At an earlier t every
        cost w / (t - d) is at least (1 + (T - t) / T) times as large, so that t is too early while
        (1 + (T - t) / T) h > 1. Prices of budgets, which may be any, grow by the same factor.
        """
        if self.is_sum:
            return bound
        if bound <= 0:
            return -np.inf
        return self._limit * min(1.0, 2 - 1 / bound)


def _one_each(fleet: Fleet, cuts: IntArray) -> IntArray:
    """Return the counts (C, L) in which all devices of a class use the same cut."""
    counts = np.zeros(fleet.device_s.shape, dtype=np.int64)
    counts[np.arange(fleet.classes), cuts] = fleet.count
    return counts
