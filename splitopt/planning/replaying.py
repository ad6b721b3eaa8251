"""`simulate`: a plan event by event, from the plan alone."""

from __future__ import annotations

from splitopt.errors import InfeasibleError
from splitopt.planning.planner import open_plan
from splitopt.plans import PlanLike, as_plan
from splitopt.simulation.replay import Replay, simulate_decision


def simulate(plan: PlanLike, *, noise: float = 0.0, seed: int = 0, source: str = "plan") -> Replay:
    """Replay a plan event by event.

    Parameters
    ----------
    plan
        A plan with a decision, the path of its file or its plain data; it needs no other file.
    noise
        Standard deviation of the factor, of mean 1, by which every task is stretched.
    seed
        Seed of the noise.
    source
        How messages call the plan.

    Returns
    -------
    Replay
        The timeline, and beside it what the models promise.

    Raises
    ------
    InputError
        The plan cannot be read, or the noise is negative.
    InfeasibleError
        The plan has no decision to replay.
    """
    plan = as_plan(plan, source)
    opened = open_plan(plan, source)
    if opened.problem is None or opened.decision is None:
        reason = plan.result.get("message") or "no feasible decision was found"
        raise InfeasibleError(f"{source}: there is nothing to simulate: {reason}")
    return simulate_decision(
        opened.problem,
        opened.decision,
        scenario=opened.scenario,
        profile=opened.profile,
        noise=noise,
        seed=seed,
    )
