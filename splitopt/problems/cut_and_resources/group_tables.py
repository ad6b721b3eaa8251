"""`GroupedCutAndResources` from a scenario: factors of its groups, allowed cuts, and the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.groups import FleetGroups, groups_of, phase_factors
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.cut_and_resources.grouped import GroupedCutAndResources
from splitopt.problems.limits import allowed_by_tied
from splitopt.problems.memory import SERVER_MEMORY
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.memory import server_parts
from splitopt.scenario import Scenario

_BLOCK = 65_536
"""Groups whose cuts are looked at together."""
_MOST_HELD = 20_000_000
"""Groups times cuts of which a budget keeps a table."""


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
def grouped_problem(
    scenario: Scenario,
    profile: ModelProfile,
    objective: str,
    groups: FleetGroups | None = None,
) -> GroupedCutAndResources:
    """Build the problem whose decisions are by group from a scenario.

    The numbers are those of `tables_from_scenario`, up to rounding, in arrays with a row for each
    group.

    Raises
    ------
    InputError
        As for `tables_from_scenario`, or the memory of the server has too large a table.
    """
    groups = groups_of(scenario) if groups is None else groups
    parts = phase_factors(groups, scenario, profile)
    masks, mask = _allowed(groups, scenario, profile)
    factors = Factors(
        tuple(np.ascontiguousarray(part.scales) for part in parts),
        tuple(part.shapes for part in parts),
        masks,
        mask.astype(np.int32),
        groups.count,
    )
    factors.check_range("the seconds of the devices")
    optional: dict[str, Any] = {
        "weights": _if_all(groups.batch_size),
        "device_w": _if_all(groups.compute_power),
        "radio_w": _if_all(groups.transmit_power),
        "priority": None,
        "seconds_per_joule": scenario.tradeoff.seconds_per_joule,
        "shared_links": scenario.links.shared,
        "budgets": _server_budget(groups, scenario, profile),
    }
    if not np.isnan(groups.priority).all():
        optional["priority"] = np.where(np.isnan(groups.priority), 1.0, groups.priority)
    return GroupedCutAndResources(factors, objective, **optional)


def _if_all(values: FloatArray) -> FloatArray | None:
    """Return the values, None if one is not stated."""
    return None if np.isnan(values).any() else values


def own_leakage_limits(groups: FleetGroups, scenario: Scenario) -> FloatArray:
    """Shape (G,): every group's own limit, else the scenario's, else infinity."""
    shared = scenario.privacy.leakage_limit
    other = np.inf if shared is None else shared
    return np.where(np.isnan(groups.leakage_limit), other, groups.leakage_limit)


def fitting(groups: FleetGroups, profile: ModelProfile, rows: slice | IntArray) -> BoolArray:
    """Shape (R, L): the cuts whose device part fits into the memory of the devices of some groups.

    Where that is not known every cut is allowed, as in `allowed_by_memory`.
    """
    fixed, per_sample = profile.device_memory_fixed_bytes, profile.device_memory_per_sample_bytes
    size, memory = groups.batch_size[rows], groups.memory[rows]
    if fixed is None or per_sample is None or np.isnan(memory).all():
        return np.ones((len(memory), profile.layer_count), dtype=np.bool_)
    need = fixed + size[:, None] * per_sample
    return ~(need > memory[:, None])  # NaN, where one is not known, is not above


def _allowed(
    groups: FleetGroups, scenario: Scenario, profile: ModelProfile
) -> tuple[BoolArray, IntArray]:
    """Return the different sets of cuts (M, L) that are allowed, and which each group has (G,)."""
    limits = own_leakage_limits(groups, scenario)
    leakage = profile.leakage
    if np.isinf(limits).all():
        leakage = np.zeros(profile.layer_count)
    elif leakage is None:
        raise InputError(
            f"leakage_limit is {limits.min():g}, but the profile {profile.name!r} has no leakage "
            "for its cuts; measure it ('splitopt leakage MODEL --into PROFILE.json'), take another "
            "profile, or drop the limit"
        )
    tied, words = allowed_by_tied(profile, exchanging=True), -(-profile.layer_count // 64)
    keys = np.zeros((len(groups), words), dtype=np.uint64)
    for start in range(0, len(groups), _BLOCK):
        rows = slice(start, start + _BLOCK)
        allowed = (leakage <= limits[rows, None]) & fitting(groups, profile, rows) & tied
        padded = np.zeros((len(allowed), 64 * words), dtype=np.bool_)
        padded[:, : profile.layer_count] = allowed
        keys[rows] = np.packbits(padded, axis=1).view(np.uint64)
    if words == 1:
        kinds, mask = np.unique(keys[:, 0], return_inverse=True)
        kinds = kinds[:, None]
    else:
        kinds, mask = np.unique(keys, axis=0, return_inverse=True)
    bits = np.unpackbits(np.ascontiguousarray(kinds).view(np.uint8), axis=1)
    return bits[:, : profile.layer_count].astype(np.bool_), np.asarray(mask).reshape(-1)


def _server_budget(
    groups: FleetGroups, scenario: Scenario, profile: ModelProfile
) -> list[dict[str, Any]] | None:
    """Return the memory of the one server as a budget, None without one; see `server_budget`."""
    memory = scenario.servers[0].memory if len(scenario.servers) == 1 else None
    parts = server_parts(profile)
    if memory is None or parts is None or np.isnan(groups.batch_size).any():
        return None
    if len(groups) * profile.layer_count > _MOST_HELD:
        raise InputError(
            f"servers[0].memory: {len(groups):,} different devices are too many for the memory of "
            f"a server, which takes a table of at most {_MOST_HELD // profile.layer_count:,} at "
            f"{profile.layer_count} cuts; count alike devices in 'count', or drop it"
        )
    use = parts[0] + groups.batch_size[:, None] * parts[1]
    return [{"name": SERVER_MEMORY, "use": use, "limit": memory}]
