"""What changed between two decisions, read from what the plans say of every device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from splitopt.documents.checks import is_number
from splitopt.planning.differing.rows import ALL, Row
from splitopt.planning.differing.values import DecisionChange
from splitopt.problems.registry import PROBLEMS, module_of

_PROBLEMS = "splitopt.planning.differing.problems"
"""The package whose module of a problem's name has ``rows(prediction)``."""
_SAME_SHARE = 1e-6
"""Relative difference of shares that rounding explains."""
_LONGEST = 40
"""Characters of a value of a decision that is shown as it stands."""
_DIGITS = 4
"""Significant digits of shares that make two devices alike."""


def decision_changes(
    problem: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[DecisionChange]:
    """Compare the decisions of two plans of one problem by their predictions (plain data).

    Devices that are in one plan alone are left out: they are in the changes of the inputs. Those
    whose decision and round changed in the same way, to four digits, are one change.
    """
    module = _module(problem)
    if module is None:
        return []
    left, right = module.rows(before), module.rows(after)
    found: dict[Any, list[str]] = {}
    changed: dict[Any, tuple[Row, Row, tuple[float, float] | None]] = {}
    for name, one in left.items():
        if name not in right or not (parts := _changed(one, right[name])):
            continue
        fields = (*parts, "round_s")
        key = tuple((field, _key(one.get(field)), _key(right[name].get(field))) for field in fields)
        found.setdefault(key, []).append(name)
        if key not in changed:
            other = right[name]
            values = [{field: row.get(field) for field in parts} for row in (one, other)]
            rounds = (one["round_s"], other["round_s"]) if "round_s" in one else None
            changed[key] = values[0], values[1], rounds
    return [
        DecisionChange(() if names == [ALL] else tuple(names), *changed[key])
        for key, names in found.items()
    ]


def is_told_in_full(problem: str) -> bool:
    """Report whether predictions of a problem tell all of its decisions."""
    module = _module(problem)
    return module is not None and getattr(module, "TOLD_IN_FULL", True)


def _module(problem: str) -> ModuleType | None:
    """Return the module that describes decisions of a problem; None of one that is gone."""
    return module_of(_PROBLEMS, problem) if problem in PROBLEMS else None


def plain_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[DecisionChange]:
    """Compare the plain data of two decisions field by field, for problems not told in full."""
    fields = [name for name in dict.fromkeys((*before, *after)) if name != "problem"]
    changed = [name for name in fields if before.get(name) != after.get(name)]
    if not changed:
        return []
    left, right = ({name: _short(row.get(name)) for name in changed} for row in (before, after))
    return [DecisionChange((), left, right)]


def _short(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def _changed(before: Row, after: Row) -> list[str]:
    fields = [name for name in dict.fromkeys((*before, *after)) if name != "round_s"]
    return [name for name in fields if _differs(before.get(name), after.get(name))]


def _differs(before: Any, after: Any) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        return abs(before - after) > _SAME_SHARE * max(abs(before), abs(after))
    return bool(before != after)


def _key(value: Any) -> Any:
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else value


def numbers_in(prediction: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield name, unit and value of the numbers at the top of a prediction that are compared."""
    for name, unit in _NUMBERS.items():
        if is_number(value := prediction.get(name)):  # of what varies there is a distribution
            yield name, unit, float(value)
    if (leakage := prediction.get("leakage")) is not None:
        yield "leakage", "", float(leakage["largest"])
    if (worst := prediction.get("worst_case")) is not None:
        yield "worst_case_s", "s", float(worst["worst_s"])


_NUMBERS = {
    "round_s": "s",
    "training_s": "s",
    "total_s": "s",
    "period_s": "s",
    "exchange_s": "s",
    "energy_j": "J",
    "traffic_bytes": "B",
    "exchange_bytes": "B",
    "device_memory_bytes": "B",
    "rounds": "",
    "round_cost": "",
    "training_cost": "",
}
"""Name of a number of predictions -> its unit; a price has the currency of the scenario."""
