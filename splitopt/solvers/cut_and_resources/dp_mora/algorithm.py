"""Algorithm 1 (block coordinate descent over cut, downlink, uplink, server) and its use of 2."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from splitopt.problems.cut_and_resources.decision import SHARES
from splitopt.results import StopReason
from splitopt.solvers.cut_and_resources.dp_mora.flow import DIVERGED, SETTLED

if TYPE_CHECKING:
    from splitopt.solvers.cut_and_resources.dp_mora import DpMora
    from splitopt.solvers.cut_and_resources.dp_mora.fleet import Network

_WORK = 20_000_000
"""Prices heard between two looks at the clock."""

Watch = Callable[[], StopReason | None]


@dataclass
class Journey:
    """What happened on the way.

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


def descend_in_blocks(network: Network, rules: DpMora, watch: Watch) -> Journey:
    """Run lines 2 to 11 of Algorithm 1."""
    journey = Journey()
    for _ in range(rules.max_rounds):
        journey.cut_steps.append(network.improve_cuts(rules.cut_rule()))
        share_out_all(network, rules, journey, watch)
        if journey.reason is not None:
            return journey
        journey.relaxed.append(network.latency_total(rules.clip))
        if _has_converged(journey.relaxed, rules.round_tolerance):
            journey.reason = "converged"
            return journey
    journey.notes.append(
        f"the relaxed objective still moved by more than round_tolerance = "
        f"{rules.round_tolerance:g} after max_rounds = {rules.max_rounds} rounds"
    )
    journey.reason = "iterations"
    return journey


def share_out_all(network: Network, rules: DpMora, journey: Journey, watch: Watch) -> None:
    """Run Algorithm 2 for downlink, uplink and server in turn, until something stops it."""
    journey.notes.clear()
    journey.unsettled = 0
    for resource in range(3):
        journey.reason = watch()
        if journey.reason is None:
            _share_out(network, resource, rules, journey, watch)
        if journey.reason is not None:
            return


def _share_out(
    network: Network, resource: int, rules: DpMora, journey: Journey, watch: Watch
) -> None:
    """Run Algorithm 2 for one resource; on divergence the shares stay as they were."""
    name = SHARES[resource].removesuffix("_share")
    if negative := network.alarms(resource, rules.clip):
        journey.reason = "solver_error"
        journey.notes.append(
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
    ending, steps = _settle(network, resource, rules, journey, watch)
    journey.flow_steps.append(steps)
    if ending == DIVERGED:
        network.undo(resource)
        journey.reason = "solver_error"
        journey.notes.append(
            f"the flow for the {name} shares diverged after {steps} steps; the last feasible plan "
            f"is kept, take a step below {_stable(network, rules):g}"
        )
    elif ending != SETTLED and journey.reason is None:
        journey.unsettled += 1
        journey.notes.append(
            f"the flow for the {name} shares did not settle within max_iterations = "
            f"{rules.max_iterations} steps"
        )


def _settle(
    network: Network, resource: int, rules: DpMora, journey: Journey, watch: Watch
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
        journey.reason = watch()
        if journey.reason is not None:
            break
        if patience <= 0 and steps < rules.max_iterations:
            step /= 2
            journey.halvings += 1
            patience = _patience(network, step, rules)
    return ending, steps


def _first_step(network: Network, rules: DpMora) -> float:
    return 0.5 / network.graph.devices if rules.step is None else rules.step


def _stable(network: Network, rules: DpMora) -> float:
    """Give a smaller step: 1/N keeps the consensus on any graph stable, shares may need less."""
    return min(_first_step(network, rules), 1 / network.graph.devices)


def _patience(network: Network, step: float, rules: DpMora) -> int:
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
