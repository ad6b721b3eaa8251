"""Decisions by group against every single device: enumeration, expansion, and plain arithmetic."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitopt import CutAndResources, solve
from splitopt.errors import CapabilityError, InputError
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.cut_and_resources.grouped import GroupedCutAndResources
from splitopt.problems.cut_and_resources.parts import GroupCuts, GroupedDecision, dealt

OBJECTIVES = ("sum", "makespan")


def tables(seed: int, groups: int, layers: int, devices: int) -> tuple[np.ndarray, ...]:
    """Draw four tables of seconds whose shared parts matter as much as the devices' own."""
    rng = np.random.default_rng(seed)
    return tuple(
        rng.uniform(0.1, 10, (groups, layers)) / (devices if part < 3 else 1) for part in range(4)
    )


def pair(
    seed: int, count: list[int], layers: int, objective: str, **optional: Any
) -> tuple[GroupedCutAndResources, CutAndResources]:
    """Return a problem by group, and the same one with a table row for every device."""
    four = tables(seed, len(count), layers, sum(count))
    allowed = np.random.default_rng(seed + 1).random((len(count), layers)) < 0.8
    allowed[:, 0] = True
    expanded = {
        name: np.repeat(value, count, axis=0) if isinstance(value, np.ndarray) else value
        for name, value in optional.items()
    }
    if "budgets" in optional:
        expanded["budgets"] = [
            {**one, "use": np.repeat(one["use"], count, axis=0)} for one in optional["budgets"]
        ]
    single = CutAndResources(
        *(np.repeat(table, count, axis=0) for table in four),
        allowed=np.repeat(allowed, count, axis=0),
        objective=objective,
        **expanded,
    )
    factors = Factors.of_tables(four, allowed, np.array(count))
    return GroupedCutAndResources(factors, objective, **optional), single


def by_hand(single: CutAndResources, objective: str) -> float:
    """Return the optimum over all cuts of all devices, shares by arithmetic of this test alone."""
    best = np.inf
    choices = [np.flatnonzero(row) for row in single.allowed]
    for cuts in itertools.product(*choices):
        rows = np.arange(len(cuts))
        shared = np.stack(
            [t[rows, list(cuts)] for t in (single.download_s, single.upload_s, single.server_s)]
        )
        own = single.device_s[rows, list(cuts)]
        if objective == "sum":
            value = float((np.sqrt(shared).sum(axis=1) ** 2).sum() + own.sum())
        else:
            low, high = float(own.max()), float(own.max() + 9 * shared.sum())
            for _ in range(200):  # the deadline at which the prices that clear it are one
                middle = 0.5 * (low + high)
                alpha = np.sqrt(shared)
                matrix = (alpha / (middle - own)) @ alpha.T
                low, high = (middle, high) if np.linalg.eigvalsh(matrix)[-1] > 1 else (low, middle)
            value = high
        best = min(best, value)
    return best


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("count", [[3, 3], [1, 5], [2, 1, 3]])
def test_small_groups_reach_the_optimum_of_all_single_devices(
    count: list[int], objective: str
) -> None:
    grouped, single = pair(7, count, 3, objective)
    result = solve(grouped, rel_gap=1e-12)
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(by_hand(single, objective), rel=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_thousands_have_value_and_bound_of_the_expanded_problem(objective: str) -> None:
    grouped, single = pair(3, [700, 1, 650, 649, 1000], 6, objective)
    one, all_ = solve(grouped), solve(single, "exact")
    assert one.objective == pytest.approx(all_.objective, rel=1e-9)
    assert one.bound == pytest.approx(all_.bound, rel=2e-9)
    decision = one.decision.by_device()  # type: ignore[union-attr]
    assert not single.violations(decision)
    assert single.evaluate(decision) == pytest.approx(one.objective, rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("alike", [False, True])
def test_block_by_block_comes_to_the_same(objective: str, alike: bool) -> None:
    grouped, single = pair(5, [40, 1, 65, 9, 100], 6, objective)
    if alike:  # so that groups are merged into classes
        two = np.repeat(np.arange(5), 2)
        factors = grouped.factors.part(two, np.array([30, 10, 1, 1, 60, 5, 4, 5, 99, 1]))
        grouped = GroupedCutAndResources(factors, objective)
    one = solve(grouped, chunk_above=0)
    all_ = solve(grouped)
    assert one.objective == pytest.approx(all_.objective, rel=1e-9)
    planned = np.bincount(one.decision.group, one.decision.devices)  # type: ignore[union-attr]
    assert planned.tolist() == grouped.factors.count.tolist()
    if not alike:
        assert single.evaluate(one.decision.by_device()) == pytest.approx(one.objective)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("objective", "optional"),
    [
        ("sum", {"priority": np.array([1.0, 3.0, 0.5])}),
        ("makespan", {"priority": np.array([1.0, 3.0, 0.5]), "shared_links": False}),
        ("sum", {"shared_links": False}),
        ("energy", {"device_w": np.array([2.0, 1.0, 5.0]), "radio_w": np.ones(3)}),
        (
            "latency_energy",
            {
                "device_w": np.array([2.0, 1.0, 5.0]),
                "radio_w": np.ones(3),
                "seconds_per_joule": 0.7,
            },
        ),
    ],
)
def test_priorities_energy_and_own_links_count_as_for_single_devices(
    objective: str, optional: dict[str, Any]
) -> None:
    grouped, single = pair(11, [4, 30, 9], 4, objective, **optional)
    one, all_ = solve(grouped), solve(single, "exact")
    assert one.objective == pytest.approx(all_.objective, rel=1e-9)
    decision = one.decision.by_device()  # type: ignore[union-attr]
    assert not single.violations(decision)
    assert single.evaluate(decision) == pytest.approx(one.objective, rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("part", [0.15, 0.5])
def test_budgets_are_kept_and_cost_what_they_cost_single_devices(
    objective: str, part: float
) -> None:
    use = np.random.default_rng(5).uniform(1, 9, (3, 4))
    free, _ = pair(13, [20, 5, 12], 4, objective)
    allowed, count = free.allowed, np.array([20, 5, 12])
    ends = [count @ np.where(allowed, use, fill).min(axis=1) for fill in (np.inf,)]
    ends.append(count @ np.where(allowed, use, -np.inf).max(axis=1))
    limit = float(ends[0] + part * (ends[1] - ends[0]))
    budgets = [{"name": "store", "use": use, "limit": limit}]
    grouped, single = pair(13, [20, 5, 12], 4, objective, budgets=budgets)
    one, all_ = solve(grouped), solve(single, "exact")
    assert one.objective == pytest.approx(all_.objective, rel=1e-8)
    parts = one.decision.parts  # type: ignore[union-attr]
    assert sum(parts.devices * use[parts.group, parts.cut - 1]) <= limit * (1 + 1e-9)


def test_a_budget_that_nobody_can_keep_is_named() -> None:
    budgets = [{"name": "store", "use": np.ones((2, 3)), "limit": 10.0}]
    grouped, _ = pair(1, [8, 8], 3, "sum", budgets=budgets)
    result = solve(grouped)
    assert result.outcome == "infeasible"
    assert "take 16, which is 6 more: raise the limit" in str(result.message)


def test_a_hundred_million_devices_are_settled_without_an_entry_each() -> None:
    count = np.full(20, 5_000_000)
    four = tables(2, 20, 8, int(count.sum()))
    factors = Factors.of_tables(four, np.ones((20, 8), dtype=np.bool_), count)
    for objective in OBJECTIVES:
        result = solve(GroupedCutAndResources(factors, objective))
        decision = result.decision
        assert isinstance(decision, GroupedDecision)
        assert result.outcome == "optimal"
        assert len(decision.cut) < 30
        # priced again, by nothing of the package
        total = np.zeros(3)
        value = 0.0
        for g, cut, many, *shares in zip(
            decision.group, decision.cut, decision.devices, decision.download_share,
            decision.upload_share, decision.server_share, strict=True,
        ):  # fmt: skip
            seconds = [table[g, cut - 1] for table in four]
            latency = sum(s / x for s, x in zip(seconds, shares, strict=False)) + seconds[3]
            total += many * np.array(shares)
            value = value + many * latency if objective == "sum" else max(value, latency)
        assert np.all(total <= 1 + 1e-9)
        assert value == pytest.approx(result.objective, rel=1e-9)
        planned = np.bincount(decision.group, decision.devices)
        assert planned.tolist() == count.tolist()


def test_alike_groups_are_one_class_and_get_their_own_devices_back() -> None:
    four = tuple(np.repeat(table, 2, axis=0) for table in tables(4, 2, 4, 30))
    factors = Factors.of_tables(four, np.ones((4, 4), dtype=np.bool_), np.array([7, 8, 9, 6]))
    result = solve(GroupedCutAndResources(factors))
    assert np.bincount(result.decision.group, result.decision.devices).tolist() == [7, 8, 9, 6]  # type: ignore[union-attr]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_dealing_gives_every_group_its_devices_and_every_cut_its_own(data: st.DataObject) -> None:
    member = np.array(data.draw(st.lists(st.integers(0, 2), min_size=3, max_size=8)))
    groups = np.array(
        data.draw(st.lists(st.integers(1, 9), min_size=len(member), max_size=len(member)))
    )
    sizes = np.bincount(member, groups, 3).astype(int)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    counts = np.array([rng.multinomial(size, [0.5, 0.3, 0.2]) for size in sizes])
    found = dealt(counts, member, groups)
    assert np.bincount(found.group, found.devices, len(groups)).tolist() == groups.tolist()
    again = np.zeros_like(counts)
    np.add.at(again, (member[found.group], found.cut - 1), found.devices)
    assert (again == counts).all()
    assert len({*zip(found.group.tolist(), found.cut.tolist(), strict=True)}) == len(found.cut)


def test_plain_data_are_read_back_also_packed() -> None:
    grouped, _ = pair(7, [3, 3], 3, "sum")
    decision = grouped.complete(np.array([1, 1]))
    again = grouped.decode(decision.to_dict())
    assert again.to_dict() == decision.to_dict()
    size = 3000
    four = tables(1, size, 3, size)
    factors = Factors.of_tables(four, np.ones((size, 3), np.bool_), np.ones(size, np.int64))
    many = GroupedCutAndResources(factors)
    large = many.complete(np.full(size, 2))
    document = large.to_dict()
    assert set(document["cut"]) == {"dtype", "length", "base64"}
    for name in ("group", "cut", "devices", "download_share"):
        assert (getattr(many.decode(document), name) == getattr(large, name)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"group": [0, 5]}, r"decision.group\[1\]"),
        ({"cut": [1, 9]}, r"decision.cut\[1\]"),
        ({"devices": [3, 0]}, r"decision.devices\[1\]"),
        ({"devices": [3]}, "decision.devices"),
        ({"server_share": [0.5, -1.0]}, r"decision.server_share\[1\]"),
        ({"group": {"dtype": "<f2", "length": 2, "base64": ""}}, "decision.group.dtype"),
        ({"group": {"dtype": "<i8", "length": 2, "base64": "AA"}}, "decision.group.base64"),
        ({"group": {"dtype": "<i8", "length": 10**12, "base64": ""}}, "decision.group.length"),
        ({"group": {"lines": "a", "length": 2}}, "decision.group.lines"),
    ],
)
def test_a_wrong_part_is_named(change: dict[str, Any], words: str) -> None:
    grouped, _ = pair(7, [3, 3], 3, "sum")
    with pytest.raises(InputError, match=words):
        grouped.decode({**grouped.complete(np.array([1, 1])).to_dict(), **change})


def test_devices_that_no_part_has_are_a_violation() -> None:
    grouped, _ = pair(7, [3, 3], 3, "sum")
    short = grouped.complete(GroupCuts(np.array([0, 1]), np.array([1, 1]), np.array([3, 2])))
    assert grouped.violations(short) == {"devices_without_one_part": 1.0}


def test_solvers_of_single_devices_say_who_takes_groups() -> None:
    grouped, _ = pair(7, [3, 3], 3, "sum")
    with pytest.raises(CapabilityError, match="asked by group; these would work: exact"):
        solve(grouped, "proportional_share")
    with pytest.raises(InputError, match="about every single device"):
        grouped.data()
