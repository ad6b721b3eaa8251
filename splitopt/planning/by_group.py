"""Plans of `CutAndResources` by group: what they promise, in tables of bounded size."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from splitopt.latency.groups import FleetGroups, groups_of, sketched
from splitopt.planning.budget_worth import budget_rows
from splitopt.planning.cut_and_resources import CutAndResourcesExplainer
from splitopt.planning.predictions.cut_and_resources import (
    CutAndResourcesPrediction,
    CutUse,
    GroupRounds,
    Leakage,
    PartRound,
)
from splitopt.planning.resource_worth import largest, rows_of_groups
from splitopt.planning.round_rows import Rounds, bottleneck
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources.group_tables import (
    fitting,
    grouped_problem,
    own_leakage_limits,
)
from splitopt.problems.cut_and_resources.grouped import GroupedCutAndResources
from splitopt.problems.cut_and_resources.parts import GroupedDecision
from splitopt.problems.cut_and_resources.tradeoffs import Marginal, marginal_parts
from splitopt.problems.memory import largest_batch
from splitopt.profiles import ModelProfile
from splitopt.scenario import Device, Scenario

MOST_ROWS = 1_000
"""Parts of which a prediction has a row."""
_MOST_NAMES = 100


class GroupedExplainer(CutAndResourcesExplainer):
    """Explains plans by group; words are about a few of the devices of a file."""

    @cached_property
    def groups(self) -> FleetGroups:
        """The groups of the scenario."""
        return groups_of(self.scenario)

    def sketch(self) -> Scenario:
        """Return the scenario with a few of its devices where they are rows of a file."""
        return sketched(self.scenario, self.groups)

    def pose(self) -> Any:
        """Build the problem."""
        return grouped_problem(self.scenario, self.profile, self.objective, self.groups)

    def some_devices(self, indices: IntArray) -> tuple[Device, ...]:
        """Return a device of each of some groups."""
        return tuple(self.scenario.devices[int(g)]._with(count=1) for g in indices)

    def notes(self) -> list[str]:
        """Return the notes of plans by device."""
        return CutAndResourcesExplainer(self.sketch(), self.profile, self.objective).notes()

    def used(self) -> set[str]:
        """Name the fields that plans by device follow from."""
        return CutAndResourcesExplainer(self.sketch(), self.profile, self.objective).used()

    def predict(self, problem: Any, decision: Any) -> CutAndResourcesPrediction:
        """Compute the seconds by group and phase, what limits them, and what more is worth."""
        scenario, groups = self.scenario, self.groups
        phases = problem.phases(decision)
        latencies = phases.sum(axis=1)
        round_s = float(latencies.max())
        known = problem.device_w is not None and problem.radio_w is not None
        energy = problem.energy(decision) if known else None
        saved = marginal_values_of_groups(problem, decision)
        worth = rows_of_groups(problem, saved, groups, scenario)
        return CutAndResourcesPrediction(
            objective_unit="J" if problem.objective == "energy" else "s",
            devices=[],
            groups=_rounds(self, problem, decision, phases, energy),
            round_s=round_s,
            total_s=float(decision.devices @ latencies),
            training_s=round_s * scenario.training.rounds,
            energy_j=None if energy is None else float(decision.devices @ energy),
            leakage=_leakage(decision, groups, scenario, self.profile),
            bottleneck=bottleneck(
                phases,
                lambda k: groups.names[decision.group[k]],
                decision.devices,
                largest(worth),
            ),
            worth=worth,
            budgets=budget_rows(problem, decision),
        )


def marginal_values_of_groups(
    problem: GroupedCutAndResources, decision: GroupedDecision
) -> Marginal:
    """Return what `marginal_values` reports, with a row for all devices of each group."""
    cuts, size = decision.parts, problem.factors.classes
    allocation = None if problem.objective == "energy" else problem.allocate(cuts)
    found = marginal_parts(problem, problem.chosen(cuts), allocation, cuts.group, cuts.devices)
    sums = np.stack([np.bincount(cuts.group, part, size) for part in (found.own, *found.links.T)])
    by_group = sums.astype(np.float64)
    return Marginal(found.resources, by_group[0], by_group[1:].T)


def _rounds(
    explainer: GroupedExplainer,
    problem: GroupedCutAndResources,
    decision: GroupedDecision,
    phases: FloatArray,
    energy: FloatArray | None,
) -> GroupRounds:
    """Return the tables by part and by cut."""
    groups, profile, latencies = explainer.groups, explainer.profile, phases.sum(axis=1)
    shown = np.lexsort((decision.cut, decision.group))
    if len(shown) > MOST_ROWS:
        # of rounds that are equal but for rounding, the first in the order of the groups
        about = np.round(latencies / (latencies.max() or 1.0), 6)
        shown = shown[np.argsort(-about[shown], kind="stable")[:MOST_ROWS]]
    shared, devices = problem.shared_links, explainer.scenario.devices
    share = decision.shares
    if not shared:
        share[:, :2] = 1.0
    fields = Rounds(decision.cut, share, phases, energy).of(shown).fields(profile)
    rows = [
        PartRound(
            group=groups.names[decision.group[k]],
            devices=int(decision.devices[k]),
            **fields[row],
            largest_batch=largest_batch(
                devices[int(decision.group[k])], profile, int(decision.cut[k])
            ),
        )
        for row, k in enumerate(shown)
    ]
    return GroupRounds(
        devices=problem.devices,
        groups=len(groups),
        parts=len(decision.cut),
        cuts=_by_cut(decision, latencies, shared, profile),
        rows=rows,
    )


def _by_cut(
    decision: GroupedDecision, latencies: FloatArray, shared: bool | None, profile: ModelProfile
) -> list[CutUse]:
    found = []
    for cut in np.unique(decision.cut).tolist():
        chosen = decision.cut == cut
        many, taken = decision.devices[chosen], latencies[chosen]
        down, up, server = (
            float(many @ getattr(decision, f"{name}_share")[chosen])
            for name in ("download", "upload", "server")
        )
        found.append(
            CutUse(
                cut=cut,
                cut_layer=profile.layers[cut - 1],
                devices=int(many.sum()),
                download_share=down if shared else None,
                upload_share=up if shared else None,
                server_share=server,
                least_s=float(taken.min()),
                mean_s=float(many @ taken / many.sum()),
                most_s=float(taken.max()),
            )
        )
    return found


def _leakage(
    decision: GroupedDecision, groups: FleetGroups, scenario: Scenario, profile: ModelProfile
) -> Leakage | None:
    """Return what the cuts leak, and which groups the limit binds; None without a leakage."""
    if profile.leakage is None:
        return None
    at, limits = decision.cut - 1, own_leakage_limits(groups, scenario)
    above = np.maximum(at - 1, 0)
    bound = (at > 0) & (profile.leakage[above] > limits[decision.group])
    candidates = np.flatnonzero(bound)
    for start in range(0, len(candidates), 65_536):
        part = candidates[start : start + 65_536]
        rows = decision.group[part]
        fits = fitting(groups, profile, rows)
        bound[part] &= fits[np.arange(len(part)), above[part]]
    strictest = float(limits.min())
    names = dict.fromkeys(groups.names[g] for g in decision.group[bound][:_MOST_NAMES])
    return Leakage(
        largest=float(profile.leakage[at].max()),
        state=profile.state_of("leakage"),
        limit=strictest if np.isfinite(strictest) else None,
        bound_devices=list(names),
        bound=int(decision.devices[bound].sum()),
    )
