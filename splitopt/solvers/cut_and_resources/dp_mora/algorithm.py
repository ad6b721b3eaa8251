"""Algorithm 1 (block coordinate descent over cut, downlink, uplink, server) and its use of 2."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from splitopt.problems.cut_and_resources.decision import SHARES
from splitopt.results import StopReason
from splitopt.solvers.cut_and_resources.dp_mora.cut_step import CutRule
from splitopt.solvers.cut_and_resources.dp_mora.fleet import Network
from splitopt.solvers.cut_and_resources.dp_mora.flow import DIVERGED, SETTLED

_WORK = 20_000_000
"""Prices heard between two looks at the clock."""

Watch = Callable[[], StopReason | None]


class Rules(Protocol):
    """The options of `DpMora` that both algorithms go by."""

    @property
    def units(self) -> str:
        """Units of the flow: ``"scaled"`` or ``"printed"``."""
        ...

    @property
    def step(self) -> float | None:
        """Integration step eta of the flow, None to choose and halve it."""
        ...

    @property
    def tolerance(self) -> float:
        """Stopping tolerance sigma of Algorithm 2."""
        ...

    @property
    def max_iterations(self) -> int:
        """Largest number of steps of one run of Algorithm 2."""
        ...

    @property
    def round_tolerance(self) -> float:
        """Stopping tolerance sigma of Algorithm 1, relative."""
        ...

    @property
    def max_rounds(self) -> int:
        """Largest number of rounds over the four blocks."""
        ...

    @property
    def clip(self) -> bool:
        """Whether a negative value of a curve counts as zero."""
        ...

    def cut_rule(self) -> CutRule:
        """Return the rule of the cut step."""
        ...


@dataclass
class Trajectory:
    """The course of a run: objectives, steps and why it stopped.

    Parameters
    ----------
    relaxed
        The sum of latencies at the relaxed cuts after each round, in s (line 7).
    flow_steps
        Steps of each run of Algorithm 2.
    cut_steps
        Steps of each cut step, those of the slowest device.
    halvings
        How often a step size was halved because the flow did not settle.
    unsettled
        How many of the last three flows ended at their limit.
    notes
        Sentences about what did not go as it should the last time around.
    reason
        Why it stopped early, None as long as it did not.
    """

    relaxed: list[float] = field(default_factory=list)
    flow_steps: list[int] = field(default_factory=list)
    cut_steps: list[int] = field(default_factory=list)
    halvings: int = 0
    unsettled: int = 0
    notes: list[str] = field(default_factory=list)
    reason: StopReason | None = None


def descend_in_blocks(network: Network, rules: Rules, watch: Watch) -> Trajectory:
    """Run lines 2 to 11 of Algorithm 1."""
    trajectory = Trajectory()
    for _ in range(rules.max_rounds):
        trajectory.cut_steps.append(network.improve_cuts(rules.cut_rule()))
        share_out_all(network, rules, trajectory, watch)
        if trajectory.reason is not None:
            return trajectory
        trajectory.relaxed.append(network.latency_total(rules.clip))
        if _has_converged(trajectory.relaxed, rules.round_tolerance):
            trajectory.reason = "converged"
            return trajectory
    trajectory.notes.append(
        f"the relaxed objective still moved by more than round_tolerance = "
        f"{rules.round_tolerance:g} after max_rounds = {rules.max_rounds} rounds"
    )
    trajectory.reason = "iterations"
    return trajectory


def share_out_all(network: Network, rules: Rules, trajectory: Trajectory, watch: Watch) -> None:
    """Run Algorithm 2 for downlink, uplink and server in turn, until something stops it."""
    trajectory.notes.clear()
    trajectory.unsettled = 0
    for resource in range(3):
        trajectory.reason = watch()
        if trajectory.reason is None:
            _share_out(network, resource, rules, trajectory, watch)
        if trajectory.reason is not None:
            return


def _share_out(
    network: Network, resource: int, rules: Rules, trajectory: Trajectory, watch: Watch
) -> None:
    """Run Algorithm 2 for one resource; on divergence the shares stay as they were."""
    name = SHARES[resource].removesuffix("_share")
    if negative := network.alarms(resource, rules.clip):
        trajectory.reason = "solver_error"
        trajectory.notes.append(
            f"the curves give device {negative[0]} a negative {name} time at its relaxed cut"
            + (f" (and {len(negative) - 1} more devices)" if len(negative) > 1 else "")
            + ", where latency is unbounded below; the last feasible plan is kept, clip=True takes "
            "zero for it"
        )
        return
    scale = network.root_total(resource) ** 2 if rules.units == "scaled" else 1.0
    if scale == 0:
        return  # nobody needs it: the shares stay as they are
    network.start_flow(resource, scale)
    ending, steps = _settle(network, resource, rules, trajectory, watch)
    trajectory.flow_steps.append(steps)
    if ending == DIVERGED:
        network.undo(resource)
        trajectory.reason = "solver_error"
        trajectory.notes.append(
            f"the flow for the {name} shares diverged after {steps} steps; the last feasible plan "
            f"is kept, take a step below {_stable(network, rules):g}"
        )
    elif ending != SETTLED and trajectory.reason is None:
        trajectory.unsettled += 1
        trajectory.notes.append(
            f"the flow for the {name} shares did not settle within max_iterations = "
            f"{rules.max_iterations} steps"
        )


def _settle(
    network: Network, resource: int, rules: Rules, trajectory: Trajectory, watch: Watch
) -> tuple[int, int]:
    """Step the flow until it settles; without a given step, halve it as long as that takes.

    With the step that belongs to N devices the flow settles at a known rate; where a share is
    smaller than the step it keeps overshooting instead, and taking longer shows it.
    """
    step, steps, ending = _first_step(network, rules), 0, 0
    look = max(1, _WORK // max(1, len(network.graph.neighbours)))
    patience = _patience(network, step, rules)
    while steps < rules.max_iterations:
        limit = min(look, rules.max_iterations - steps, patience)
        run = network.flow(resource, step, rules.tolerance, limit)
        steps, ending, patience = steps + run.steps, run.ending, patience - run.steps
        if ending:
            break
        trajectory.reason = watch()
        if trajectory.reason is not None:
            break
        if patience <= 0 and steps < rules.max_iterations:
            step /= 2
            trajectory.halvings += 1
            patience = _patience(network, step, rules)
    return ending, steps


def _first_step(network: Network, rules: Rules) -> float:
    return 0.5 / network.graph.devices if rules.step is None else rules.step


def _stable(network: Network, rules: Rules) -> float:
    """Return a smaller step: 1/N keeps the consensus on any graph stable, shares may need less."""
    return min(_first_step(network, rules), 1 / network.graph.devices)


def _patience(network: Network, step: float, rules: Rules) -> int:
    """Count the steps to wait before halving: 3/2 of what the slowest mode, step / 2N, needs."""
    if rules.step is not None or rules.units == "printed":
        return rules.max_iterations
    rates = 2 * network.graph.devices / step
    return math.ceil(1.5 * rates * max(1.0, -0.5 * math.log(rules.tolerance)))


def _has_converged(relaxed: list[float], tolerance: float) -> bool:
    """Line 8: the objective changed by less than the tolerance, relatively."""
    if len(relaxed) < 2:
        return False
    return abs(relaxed[-1] - relaxed[-2]) <= tolerance * abs(relaxed[-1])
