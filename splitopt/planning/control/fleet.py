"""A controller of a fleet with shares: after every event a plan for the changed fleet, and its gap.

A re-plan follows the old plan and the old prices (`splitopt.solvers.cut_and_resources.warm`); what
that leaves open beyond the goal is closed by `exact`, which starts from both. Shares are chosen
anew each time, since that costs nothing; cuts change where that gains enough.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.documents.checks import check_number
from splitopt.driver import solve
from splitopt.errors import InfeasibleError, InputError, shown
from splitopt.planning.control.events import Event, check_events
from splitopt.planning.control.fleet_events import Taken, names_of, newcomer, take_events
from splitopt.planning.control.held_parts import HeldParts, read_moving
from splitopt.planning.control.moving import moving_seconds
from splitopt.planning.control.replan import Damping, Replan, moves_in_words
from splitopt.planning.control.state import FleetState
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.problems.inputs import as_scenario
from splitopt.results import relative_gap
from splitopt.scenario import Scenario
from splitopt.solvers.cut_and_resources.warm import Followed, WarmTables, follow, loops

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike

GOAL = 5e-4
"""The gap that a re-plan aims for, unless it is told otherwise."""


class FleetController:
    """Plans a fleet with shares anew after every event.

    Parameters
    ----------
    problem
        The fleet as it is now.
    names
        Of its devices; ``device-1`` to ``device-N`` by default.
    decision
        The plan that is there already; by default the fleet is planned first.
    damping
        When another plan is taken, see `Damping`.
    moving
        Shape (N, L): seconds that it takes to bring a device the part of the model that it holds
        with each cut. A device that goes over to a deeper cut fetches what it lacks. None where
        parts travel in every round anyway, so that a change costs nothing more.
    horizon
        Rounds over which the cost of moving is spread.
    goal
        The relative gap to aim for.
    time_limit_s
        The most time that `exact` may take to close what following leaves open.

    Raises
    ------
    InputError
        An argument does not fit the problem.
    InfeasibleError
        The fleet has no plan to begin with.
    """

    def __init__(
        self,
        problem: CutAndResources,
        names: Sequence[str] | None = None,
        *,
        decision: CutAndResourcesDecision | None = None,
        damping: Damping | None = None,
        moving: Any = None,
        horizon: float = 1.0,
        goal: float = GOAL,
        time_limit_s: float = 1.0,
    ) -> None:
        if not isinstance(problem, CutAndResources) or problem.by_group:
            raise InputError.at(
                "problem",
                f"is {shown(problem, 80)}, it must be a CutAndResources, planned device by device",
            )
        check_number("horizon", horizon, 1.0, 1e9)
        check_number("goal", goal, 0.0, 1.0)
        check_number("time_limit_s", time_limit_s, 0.0, 1e6)
        self.damping = Damping() if damping is None else damping
        self.goal, self.horizon, self.time_limit_s = goal, float(horizon), time_limit_s
        self._state = FleetState(problem, names_of(names, problem.devices))
        fetched = read_moving(moving, (problem.devices, problem.layers))
        result = solve(
            problem,
            "auto" if decision is None else "exact",
            start=decision,
            rel_gap=min(goal, 1e-9) if decision is None else goal,
            time_limit_s=max(10.0, time_limit_s),
        )
        first = result.decision if decision is None else problem.taken(decision)
        if not isinstance(first, CutAndResourcesDecision) or problem.violations(first):
            raise InfeasibleError(result.message or "there is no plan to begin with")
        self._held = HeldParts(first.cut - 1, fetched, self.horizon)
        self._prices = np.array(result.details.get("prices", ()), dtype=np.float64)
        self._scenario: Scenario | None = None
        self.plan = Replan(
            first,
            tuple(self._state.names),
            problem.evaluate(first),
            result.bound,
            changed=("the first plan",),
            found=result.objective,
            took_s=result.times.total_s,
            prices=tuple(self._prices.tolist()),
            by=result.solver,
        )
        self._warm_up()

    @classmethod
    def start(
        cls,
        scenario: ScenarioLike,
        objective: str = "sum",
        *,
        moving: bool = False,
        **options: Any,
    ) -> FleetController:
        """Plan the fleet of a scenario, with ``options`` as for the constructor.

        Parameters
        ----------
        scenario
            A fleet with one server.
        objective
            Of `CutAndResources`.
        moving
            Count the seconds in which a device fetches the layers that it lacks over its downlink.
        """
        scenario = as_scenario(scenario)
        profile = scenario.load_model()
        problem = CutAndResources.from_scenario(scenario, profile, objective)
        table = moving_seconds(scenario, profile) if moving else None
        names = [device.name for device in scenario.fleet()]
        found = cls(problem, names, moving=table, **options)
        found._scenario = scenario
        return found

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices that take part, in the order of the decision."""
        return self._state.devices

    @property
    def problem(self) -> CutAndResources:
        """The changed problem of the devices that take part."""
        return self._state.changed(self._state.here, with_budgets=True)

    def row_of(self, device: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ``numbers`` of a `DeviceJoins` for a device as in a scenario's file.

        Raises
        ------
        InputError
            The controller was not started from a scenario, or the device does not fit into it.
        """
        if self._scenario is None:
            raise InputError("row_of needs a controller that was started from a scenario")
        return newcomer(self._scenario, device, self._state)

    def apply(self, events: Event | Iterable[Event] = ()) -> Replan:
        """Plan anew after some events.

        Events about devices or resources that are not known are kept out and logged.

        Raises
        ------
        InputError
            What is given is no event, or the numbers of a new device do not fit.
        """
        begin = time.perf_counter()
        taken = take_events(self._state, check_events(events))
        self._state.refresh(taken.rows)
        self._held.grow(len(self._state.names))
        self.plan = self._planned(taken, self._state.stuck(taken.rows), begin)
        return self.plan

    def _planned(self, taken: Taken, stuck: IntArray, begin: float) -> Replan:
        state = self._state
        told: dict[str, Any] = {"events": taken.happened, "kept_out": taken.kept_out}
        if (reason := self._nothing(stuck)) is not None:
            return Replan(
                None,
                self.devices,
                np.inf,
                np.inf,
                **told,
                message=reason,
                took_s=time.perf_counter() - begin,
                prices=tuple(self._prices.tolist()),
            )
        if state.problem.budgets is not None:
            return self._within_budgets(told, begin)
        tables = state.tables
        search = self._held.with_moving(tables)
        old = self._old(search)
        found = follow(search, old, self._prices, goal=self.goal, bounded=tables)
        bound, prices, by = found.bound, found.prices, "prices"
        cuts, reached, kept = found.cuts, found.value, found.before
        if relative_gap(self._plain_value(search, cuts, reached), bound) > self.goal:
            cuts, reached, bound, prices, by = self._closed(search, found)
        return self._decided(told, begin, old, kept, (cuts, reached, bound, prices, by))

    def _plain_value(self, search: WarmTables, cuts: IntArray, value: float) -> float:
        """Return what cuts take without the cost of moving, from what they take with it."""
        return value if search is self._state.tables else self._state.tables.value(cuts)

    def _nothing(self, stuck: IntArray) -> str | None:
        """Return why there is no plan at all, None if there may be one."""
        if not self._state.tables.here.any():
            return "no device takes part"
        if not len(stuck):
            return None
        names = ", ".join(self._state.names[n] for n in stuck[:3])
        more = f" and {len(stuck) - 3} more" if len(stuck) > 3 else ""
        return f"{names}{more} can use no cut without the server: bring it back, or allow more cuts"

    def _old(self, search: WarmTables) -> IntArray:
        """Return the present cuts; who has none that is allowed gets the best."""
        cuts, here = search.repaired(self._held.cuts), search.here
        lost = (cuts != self._held.cuts) & (here > 0)
        if lost.any() and search.objective == "sum":
            total = search.total(cuts)
            only = WarmTables(search.objective, search.roots, search.own, lost.astype(np.int64))
            only.run(loops.sweep_sum, cuts, total)
        return cuts

    def _closed(
        self, search: WarmTables, found: Followed
    ) -> tuple[IntArray, float, float, FloatArray, str]:
        """Run `exact` to close the gap from where following ended."""
        here, problem = self._state.here, self.problem
        result = solve(
            problem,
            "exact",
            start=problem.complete(found.cuts[here] + 1),
            prices=found.prices,
            rel_gap=self.goal,
            time_limit_s=self.time_limit_s,
        )
        bound, cuts, reached = max(found.bound, result.bound), found.cuts, found.value
        if isinstance(result.decision, CutAndResourcesDecision):
            other = found.cuts.copy()
            other[here] = result.decision.cut - 1
            value = search.value(other)
            if value < reached:
                cuts, reached = other, value
        prices = np.array(result.details.get("prices", found.prices), dtype=np.float64)
        return cuts, reached, bound, prices, "exact"

    def _decided(
        self,
        told: dict[str, Any],
        begin: float,
        old: IntArray,
        kept: float,
        found: tuple[IntArray, float, float, FloatArray, str],
    ) -> Replan:
        """Choose the plan that was found, or the old one where it gains too little."""
        cuts, reached, bound, prices, by = found
        state, here = self._state, self._state.here
        other = here[cuts[here] != old[here]]
        needed = self.damping.needed(takes_back=self._held.takes_back(cuts, other))
        changed: tuple[str, ...] = ()
        if len(other) and not reached < kept * (1 - needed):
            gain = 100 * (1 - reached / kept)
            changed = (
                f"kept: {len(other)} changes of cuts would gain {gain:.3g} %, "
                f"no more than the {100 * needed:.3g} % asked for",
            )
            cuts = old
        moved = {state.names[n]: cut for n, cut in self._held.change(cuts, here).items()}
        self._prices = prices
        value = (kept if cuts is old else reached) if not self._held.moving_costs else None
        decision, objective = self._decision(cuts, value)
        return Replan(
            decision,
            self.devices,
            objective,
            min(bound, objective),
            **told,
            changed=(*moves_in_words(moved), *changed),
            moved=moved,
            found=reached,
            kept=kept,
            took_s=time.perf_counter() - begin,
            prices=tuple(prices.tolist()),
            by=by,
        )

    def _decision(
        self, cuts: IntArray, value: float | None
    ) -> tuple[CutAndResourcesDecision, float]:
        """Return the decision of the devices that take part, and what it takes, if not known."""
        tables, here = self._state.tables, self._state.here
        value = tables.value(cuts) if value is None else value
        if self._state.problem.objective == "energy":  # whose shares are not those of its tables
            return self.problem.complete(cuts[here] + 1), value
        shares = tables.allocation(cuts).shares
        return self._state.problem.decision_of(cuts[here] + 1, shares), value

    def _within_budgets(self, told: dict[str, Any], begin: float) -> Replan:
        """Plan a fleet with budgets, by `exact` from the old cuts."""
        here, problem, old = (
            self._state.here,
            self.problem,
            self._state.tables.repaired(self._held.cuts),
        )
        start = problem.complete(old[here] + 1)
        result = solve(
            problem,
            "exact",
            start=start,
            prices=self._prices,
            rel_gap=self.goal,
            time_limit_s=max(self.time_limit_s, 1.0),
        )
        if not isinstance(result.decision, CutAndResourcesDecision):
            return Replan(
                None,
                self.devices,
                np.inf,
                result.bound,
                **told,
                message=result.message,
                took_s=time.perf_counter() - begin,
            )
        search = self._held.with_moving(self._state.tables)
        cuts = old.copy()
        cuts[here] = result.decision.cut - 1
        kept = search.value(old) if not problem.violations(start) else np.inf
        prices = np.array(result.details.get("prices", self._prices), dtype=np.float64)
        found = cuts, search.value(cuts), result.bound, prices, "exact"
        return self._decided(told, begin, old, kept, found)

    def _warm_up(self) -> None:
        """Load the compiled loops before an event waits for them."""
        if self._state.problem.budgets is None:
            follow(self._state.tables, self._held.cuts, self._prices, goal=self.goal)
            follow(self._state.tables, np.zeros_like(self._held.cuts), None, goal=0.0)
