"""`simulate`: a plan event by event, from the plan alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from splitopt.errors import InfeasibleError
from splitopt.planning.insured import insured, insured_facts, replayed
from splitopt.planning.planner import open_plan
from splitopt.plans import PlanLike, as_plan
from splitopt.simulation.replay import Replay


def simulate(
    plan: PlanLike,
    *,
    noise: float = 0.0,
    seed: int = 0,
    slow: Sequence[str] | str | None = None,
    source: str = "plan",
) -> Replay:
    """Replay a plan event by event.

    Parameters
    ----------
    plan
        A plan with a decision, the path of its file or its plain data; it needs no other file.
    noise
        Standard deviation of the factor, of mean 1, by which every task is stretched.
    seed
        Seed of the noise.
    slow
        Of a plan for slow devices: the names of those that are slow in this round, or ``"worst"``
        for those of its worst case; nobody if None.
    source
        How messages call the plan.

    Returns
    -------
    Replay
        The timeline, and beside it what the models promise; of a plan for slow devices also what a
        round takes if none is slow, and at worst.

    Raises
    ------
    InputError
        The plan cannot be read, the noise is negative, or no device of the plan may be slow.
    InfeasibleError
        The plan has no decision to replay.
    """
    plan = as_plan(plan, source)
    opened = open_plan(plan, source)
    if opened.problem is None or opened.decision is None:
        reason = plan.result.get("message") or "no feasible decision was found"
        raise InfeasibleError(f"{source}: there is nothing to simulate: {reason}")
    found = replayed(opened, slow, noise, seed)
    covered = insured(opened, noise=noise, seed=seed)
    if covered is None:
        return found
    return replace(found, insured=covered, facts=(*found.facts, *insured_facts(covered)))
