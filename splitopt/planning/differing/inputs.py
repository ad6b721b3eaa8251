"""What changed between two scenarios and between two profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from splitopt.documents.checks import is_number
from splitopt.errors import InputError
from splitopt.planning.differing.values import InputChange
from splitopt.profiles import ModelProfile
from splitopt.units import KINDS, parse

_LONGEST = 80
"""Characters of a value that is shown."""
_QUANTITY = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)? [^\s]{1,12}\Z")
_SAME_COLUMN = 1e-12


def scenario_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[InputChange]:
    """Compare the plain data of two scenarios field by field.

    Entries of lists are matched by their names, wherever they stand. Entries in which the same
    field has changed in the same way are one change.
    """
    found = [
        change
        for section in dict.fromkeys((*before, *after))
        for change in _of_section(section, before.get(section), after.get(section))
    ]
    return _alike_together(found)


def profile_changes(before: ModelProfile, after: ModelProfile) -> list[InputChange]:
    """Compare two profiles: the name, the layers, and the columns that differ."""
    found = []
    if before.name != after.name:
        found.append(InputChange("profile", (), "name", before.name, after.name))
    if before.layers != after.layers:
        one, other = len(before.layers), len(after.layers)
        words = None if one != other else "other names"
        found.append(InputChange("profile", (), "layers", one, other, other / one, words))
        return found
    left, right = before.columns, after.columns
    for name in dict.fromkeys((*left, *right)):
        if name in left and name in right:
            words = _column_words(left[name], right[name])
            if words is not None:
                found.append(InputChange("profile", (), name, None, None, None, words))
        else:
            state = "only in A" if name in left else "only in B"
            found.append(InputChange("profile", (), name, None, None, None, state))
    return found


def _column_words(before: Any, after: Any) -> str | None:
    largest = np.maximum(np.abs(before), np.abs(after))
    apart = np.abs(after - before)
    differs = apart > _SAME_COLUMN * largest
    if not differs.any():
        return None
    most = float((apart[differs] / largest[differs]).max())
    return f"differs at {int(differs.sum())} of {len(apart)} cuts, by up to {100 * most:.3g} %"


def _of_section(section: str, before: Any, after: Any) -> Iterator[InputChange]:
    if _is_named(before or after) and _is_named(after or before):
        before, after = before or [], after or []
        left = {entry["name"]: entry for entry in before}
        right = {entry["name"]: entry for entry in after}
        for name in dict.fromkeys((*left, *right)):
            if name not in right:
                yield InputChange(section, (name,), "", _brief(left[name]), None)
            elif name not in left:
                yield InputChange(section, (name,), "", None, _brief(right[name]))
            else:
                for path, one, other in _leaves("", left[name], right[name]):
                    yield _change(section, (name,), path, one, other)
        common = [name for name in left if name in right]
        if common != [name for name in right if name in left]:
            yield InputChange(section, (), "", None, None, None, "stand in another order")
        return
    for path, one, other in _leaves("", before, after):
        yield _change(section, (), path, one, other)


def _is_named(entries: Any) -> bool:
    if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
        return False
    names = [one.get("name") for one in entries]
    return bool(names) and None not in names and len(set(names)) == len(names)


def _leaves(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, value before and value after of every leaf that differs; absent is None."""
    if before == after and type(before) is type(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            inner = f"{path}.{key}" if path else str(key)
            yield from _leaves(inner, before.get(key), after.get(key))
    elif _alike_lists(before, after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _leaves(f"{path}[{index}]", one, other)
    else:
        yield path, before, after


def _alike_lists(before: Any, after: Any) -> bool:
    """Report whether two lists are compared entry by entry: of equal length, with inner parts."""
    lists = isinstance(before, list) and isinstance(after, list) and len(before) == len(after)
    return lists and any(isinstance(entry, Mapping | list) for entry in (*before, *after))


def _change(
    section: str, names: tuple[str, ...], path: str, before: Any, after: Any
) -> InputChange:
    return InputChange(section, names, path, _brief(before), _brief(after), _factor(before, after))


def _brief(value: Any) -> Any:
    """Return a value that can be shown: a text or a number as it is, others as a short text."""
    if value is None or is_number(value) or isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else _words(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items() if key != "name")
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(_words(one) for one in value[:8])
        return f"[{shown}{', ...' if len(value) > 8 else ''}]"
    return str(value)


def _factor(before: Any, after: Any) -> float | None:
    """Return after over before for numbers, and for quantities of one kind."""
    if is_number(before) and is_number(after):
        return after / before if before else None
    if not (isinstance(before, str) and isinstance(after, str)):
        return None
    if not (_QUANTITY.match(before) and _QUANTITY.match(after)):
        return None
    one, unit = before.split(" ")
    other, second = after.split(" ")
    if unit == second:
        return float(other) / float(one) if float(one) else None
    for kind in KINDS:
        try:
            value = parse(before, kind)
            return parse(after, kind) / value if value else None
        except InputError:
            continue
    return None


def _alike_together(changes: list[InputChange]) -> list[InputChange]:
    found: dict[Any, InputChange] = {}
    for change in changes:
        values = (type(change.before), change.before, type(change.after), change.after)
        key = (change.section, bool(change.names), change.field, values, change.words)
        first = found.get(key)
        if first is None:
            found[key] = change
        else:
            names = (*first.names, *change.names)
            found[key] = InputChange(
                first.section,
                names,
                first.field,
                first.before,
                first.after,
                first.factor,
                first.words,
            )
    return list(found.values())
