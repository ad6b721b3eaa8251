"""The cuts that a scenario leaves to its plan: those with the shortest round.

The objective of a pipeline is about the nodes. Cuts are also about the owners: deeper parts there
make any pipeline faster and every trip slower. Pairs of cuts are therefore compared by what a plan
predicts for a round, with the pipeline that is optimal for the objective asked: with the objective
``round`` cuts and pipeline are optimal together. `splitopt.planning.pipelines.cuts` compares pairs
by the objective alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.planning.pipelines.cuts import Pair, between
from splitopt.planning.pipelines.proving import proved
from splitopt.problems.limits import allowed_by_leakage, check_leakage
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.tables import (
    Cuts,
    links_of,
    not_with_owner,
    owner_groups,
    owner_memory,
    stated_cut,
    tables_from_scenario,
    why_not_with_owner,
)
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import AUTO
from splitopt.units import readable_bytes


@dataclass(frozen=True)
class RoundCuts:
    """The chosen cuts, how many pairs the owners can hold, and how many were solved."""

    cuts: Cuts
    round_s: float
    pairs: int
    solved: int


def with_round_cuts(
    scenario: Scenario, profile: ModelProfile, objective: str
) -> tuple[Scenario, list[str]]:
    """Return a scenario with the cuts chosen that it leaves open, and a note about the choice.

    Raises
    ------
    InfeasibleError
        No pair is within the owners' limits, or none has a feasible pipeline.
    """
    pipeline = scenario.pipeline
    if not scenario.nodes or AUTO not in (pipeline.first_cut, pipeline.last_cut):
        return scenario, []  # the problem itself checks stated cuts against the owners' limits
    found = choose_round_cuts(scenario, profile, objective)
    chosen = pipeline.model_copy(
        update={"first_cut": found.cuts.first, "last_cut": found.cuts.last}
    )
    note = (
        f"first and last cut were chosen for the shortest round among {found.pairs:,} pairs that "
        f"the owners can hold; {found.solved:,} had to be solved"
    )
    return scenario.model_copy(update={"pipeline": chosen}), [note]


def choose_round_cuts(scenario: Scenario, profile: ModelProfile, objective: str) -> RoundCuts:
    """Choose the cuts that the scenario leaves open.

    Pairs are taken in the order of a lower bound on their round, until the next bound is no better
    than the best round: none of the others can be shorter.

    Raises
    ------
    InfeasibleError
        No pair is within the owners' limits, or none has a feasible pipeline.
    SolveError
        The solver ended without a proof.
    """
    whole = PipelinePartition(
        **tables_from_scenario(scenario, profile, Cuts(0, profile.layer_count)),
        objective="period",
    )
    waiting = []
    for cuts in owner_pairs(scenario, profile):
        problem = between(
            whole,
            Pair(*cuts),
            objective="round",
            links=links_of(scenario, profile, cuts),
            owner_groups=owner_groups(scenario, profile, cuts),
        )
        waiting.append((problem.bound() * (1 - 1e-12), cuts, problem))
    waiting.sort(key=lambda entry: entry[:2])
    best: tuple[float, Cuts] | None = None
    reason, solved = None, 0
    for least, cuts, problem in waiting:
        if best is not None and least >= best[0]:
            break
        result, decision = proved(replace(problem, objective=objective))
        solved += 1
        if decision is None:
            reason = result.message
            continue
        found = problem.evaluate(decision)
        if best is None or found < best[0]:
            best = (found, cuts)
    if best is None:
        raise InfeasibleError(f"no pair of cuts has a pipeline; for the last one, {reason}")
    return RoundCuts(best[1], best[0], len(waiting), solved)


def _within_leakage(
    scenario: Scenario, profile: ModelProfile, every: list[Cuts], stated: int | None
) -> list[Cuts]:
    """Keep the pairs whose first cut, where activations leave an owner, every device allows."""
    if stated is not None:
        check_leakage(scenario, profile, stated, "pipeline.first_cut")
    within = np.asarray(allowed_by_leakage(scenario, profile).all(axis=0))
    kept = [cuts for cuts in every if within[cuts.first - 1]]
    if every and not kept:
        check_leakage(scenario, profile, every[-1].first, "pipeline.first_cut at its latest")
    return kept


def _with_tied(profile: ModelProfile, every: list[Cuts]) -> list[Cuts]:
    """Keep the pairs with which an owner has all layers that train one weight."""
    apart = [not_with_owner(profile, cuts) for cuts in every]
    kept = [cuts for cuts, weight in zip(every, apart, strict=True) if weight is None]
    if every and not kept:
        weight = next(weight for weight in apart if weight is not None)
        raise InfeasibleError(why_not_with_owner(weight))
    return kept


def owner_pairs(scenario: Scenario, profile: ModelProfile) -> Iterator[Cuts]:
    """Yield the pairs that the scenario allows and the owners can hold."""
    total = profile.layer_count
    first, last = (stated_cut(scenario, profile, field) for field in ("first_cut", "last_cut"))
    firsts = range(1, total - 1) if first is None else [first]
    lasts = range(2, total) if last is None else [last]
    every = [Cuts(a, b) for a in firsts for b in lasts if a < b]
    limits = [device.memory for device in scenario.devices if device.memory is not None]
    every = _with_tied(profile, _within_leakage(scenario, profile, every, first))
    if not every:
        raise InfeasibleError(
            "no pair of cuts leaves a layer to the nodes; take an earlier first_cut or a later "
            "last_cut"
        )
    if not limits:
        yield from every
        return
    needs = [owner_memory(scenario, profile, cuts) for cuts in every]
    if min(needs) > min(limits):
        raise InfeasibleError(
            f"owners keep at least their first and last layer, which takes "
            f"{readable_bytes(min(needs))}, and the smallest has {readable_bytes(min(limits))}; "
            "take smaller batches or more memory"
        )
    yield from (cuts for cuts, need in zip(every, needs, strict=True) if need <= min(limits))
