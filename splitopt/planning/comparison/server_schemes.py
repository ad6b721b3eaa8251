"""Federated learning, and the schemes that split between the devices and one server."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.planning.comparison.loads import (
    batch_sizes,
    copies_memory,
    cut_words,
    device_loads,
    server_rent,
    shared_memory,
)
from splitopt.planning.comparison.rows import SchemeRow, none, unsolved
from splitopt.planning.comparison.star_rounds import ServerContext, helps_most, round_phases
from splitopt.planning.planner import plan
from splitopt.planning.predictions.cut_and_resources import CutAndResourcesPrediction
from splitopt.plans import Plan
from splitopt.problems.base import BoolArray
from splitopt.problems.common_cut import CommonCut
from splitopt.problems.common_cut.reasons import why_none
from splitopt.problems.common_cut.tables import model_bytes, without_server
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario

COMMON_CUT = ("sl", "sflv1", "sflv2")


def federated(scenario: Scenario, profile: ModelProfile) -> SchemeRow:
    """Federated learning: everything on the devices, links divided for the shortest round."""
    bare = without_server(scenario)
    context = ServerContext.of(bare, profile)
    asked = CommonCut.from_scenario(scenario, profile, "federated")  # with the server's memory
    if reason := why_none(asked, scenario, profile):
        return none("fl", "infeasible", reason)
    cuts = context.everyone(profile.layer_count)
    loads = device_loads(bare, profile, cuts) | {"leakage": None}
    priced = bool(scenario.servers) and scenario.servers[0].price_per_hour is not None
    return SchemeRow(
        scheme="fl",
        status="feasible",
        cut="none",
        proved=True,
        gap=0.0,
        round_s=float(round_phases("fl", context, [profile.layer_count]).sum()),
        server_memory_bytes=model_bytes(profile),
        energy_j=context.energy(cuts),
        round_cost=0.0 if priced else None,
        **help_fields(*helps_most("fl", context, profile.layer_count)),
        **loads,
    )


def common_cut(scheme: str, context: ServerContext) -> SchemeRow:
    """Vanilla SL, SplitFedV1 or SplitFedV2 at the best cut that all devices can share."""
    possible = possible_cuts(scheme, context)
    if isinstance(possible, str):
        return none(scheme, "infeasible", possible)
    columns = np.flatnonzero(possible) + 1
    rounds = round_phases(scheme, context, columns.tolist()).sum(axis=1)
    cut, seconds = int(columns[rounds.argmin()]), float(rounds.min())
    cuts = context.everyone(cut)
    return SchemeRow(
        scheme=scheme,
        status="feasible",
        cut=cut_words(context.profile, cuts),
        proved=True,
        gap=0.0,
        round_s=seconds,
        server_memory_bytes=_server_memory(scheme, context, cut),
        energy_j=context.energy(cuts),
        round_cost=server_rent(context.scenario, seconds),
        **help_fields(*helps_most(scheme, context, cut)),
        **device_loads(context.scenario, context.profile, cuts),
    )


def dp_mora_plan(
    context: ServerContext, objective: str, time_limit_s: float | None, seed: int
) -> Plan:
    """Return DP-MORA's plan with a cut and shares per device: the answer of `splitopt.plan`."""
    return plan(
        context.scenario,
        problem=CutAndResources.name,
        objective=objective,
        time_limit_s=time_limit_s,
        seed=seed,
        by_group=False,
    )


def dp_mora(context: ServerContext, objective: str, planned: Plan) -> SchemeRow:
    """Return the row of a plan of `dp_mora_plan`."""
    scheme = f"dp_mora_{objective}"
    if planned.decision is None or planned.prediction is None:
        return unsolved(scheme, planned.result)
    cuts = np.array(planned.decision["cut"], dtype=np.int64)
    found = CutAndResourcesPrediction.from_dict(planned.prediction)
    return SchemeRow(
        scheme=scheme,
        status="feasible",
        cut=cut_words(context.profile, cuts),
        proved=planned.result["outcome"] == "optimal",
        gap=planned.result["gap"],
        round_s=found.round_s,
        server_memory_bytes=copies_memory(context.scenario, context.profile, cuts),
        energy_j=found.energy_j,
        round_cost=server_rent(context.scenario, found.round_s),
        **help_fields(found.bottleneck.helps_most, found.bottleneck.saved_per_percent),
        **device_loads(context.scenario, context.profile, cuts),
    )


def possible_cuts(scheme: str, context: ServerContext) -> BoolArray | str:
    """Shape (L,): the cuts that all devices and the server can take, or why there are none."""
    problem = context.common(scheme)
    return why_none(problem, context.scenario, context.profile) or problem.possible


def _server_memory(scheme: str, context: ServerContext, cut: int) -> float | None:
    if scheme == "sflv1":
        return copies_memory(context.scenario, context.profile, context.everyone(cut))
    sizes = batch_sizes(context.scenario)
    most = None if sizes is None else float(sizes.max())
    devices = len(context.scenario.fleet()) if scheme == "sflv2" else 1
    return shared_memory(context.profile, cut, most, devices)


def help_fields(resource: str | None, seconds: float) -> dict[str, Any]:
    """Return the fields of a row about what would save most."""
    return {} if resource is None else {"helps_most": resource, "saved_per_percent_s": seconds}
