"""The objects behind a plan of cuts and resources, by group, that sections of its page need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from splitopt.documents.packed import unpacked
from splitopt.errors import InfeasibleError
from splitopt.latency.groups import FleetGroups, groups_of
from splitopt.plans import Plan
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources.choice_tables import has_choices
from splitopt.problems.cut_and_resources.group_tables import grouped_problem
from splitopt.problems.cut_and_resources.grouped import GroupedCutAndResources
from splitopt.problems.cut_and_resources.parts import is_grouped
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


class OpenedStar(NamedTuple):
    """What a plan of `CutAndResources` was made of.

    Parameters
    ----------
    scenario, profile
        As given.
    groups
        The entries of the fleet, None where the problem has no form by group.
    problem
        The problem by group, None where it has no such form or could not be built.
    counts
        Shape (G, L): how many devices of each group have each cut; None without a decision.
    """

    scenario: Scenario
    profile: ModelProfile
    groups: FleetGroups | None = None
    problem: GroupedCutAndResources | None = None
    counts: IntArray | None = None


def opened_star(plan: Plan) -> OpenedStar:
    """Return the objects of a plan of `CutAndResources`."""
    scenario = Scenario.from_dict(plan.scenario, "plan: scenario")
    profile = ModelProfile.from_dict(plan.profile, "plan: profile")
    if has_choices(scenario) or scenario.robust is not None:
        return OpenedStar(scenario, profile)
    groups = groups_of(scenario)
    try:
        problem = grouped_problem(scenario, profile, plan.objective, groups)
    except InfeasibleError:
        return OpenedStar(scenario, profile, groups)
    counts = None if plan.decision is None else plan_counts(plan.decision, groups, profile)
    return OpenedStar(scenario, profile, groups, problem, counts)


def plan_counts(
    decision: Mapping[str, Any], groups: FleetGroups, profile: ModelProfile
) -> IntArray:
    """Shape (G, L): how many devices of each group have each cut in the decision of a plan."""
    cut = np.asarray(unpacked(decision["cut"], "decision.cut"), dtype=np.int64)
    if is_grouped(decision):
        group = np.asarray(unpacked(decision["group"], "decision.group"), dtype=np.int64)
        many = np.asarray(unpacked(decision["devices"], "decision.devices"), dtype=np.int64)
    else:
        group = np.repeat(np.arange(len(groups)), groups.count)
        many = np.ones(len(cut), dtype=np.int64)
    counts = np.zeros((len(groups), profile.layer_count), dtype=np.int64)
    np.add.at(counts, (group, cut - 1), many)
    return counts
