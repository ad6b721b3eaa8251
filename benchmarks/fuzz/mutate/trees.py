"""Spoiling JSON and YAML by structure: keys, types, numbers, depth."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

from benchmarks.fuzz.mutate.raw import spoil_bytes
from benchmarks.fuzz.mutate.values import NUMBERS, TEXTS, drawn_value, nested
from benchmarks.fuzz.mutate.writing import Pairs, parse, write

Place = tuple[Any, Any]
"""A dict or list, and the key or index in it."""
MARK = "~"
"""In a list of arguments, in front of those that may be spoiled."""
_MOST_SCALED = 1e300


def spoil_tree(content: bytes, rng: Random) -> bytes:
    """Change one place of a tree."""
    try:
        tree = parse(content)
        return write(changed(tree, rng))
    except (ValueError, UnicodeDecodeError):
        return spoil_bytes(content, rng)


def spoil_line(content: bytes, rng: Random) -> bytes:
    """Change one line of a file that has a JSON document in each."""
    lines = content.split(b"\n")
    index = rng.randrange(len(lines))
    if rng.random() < 0.1:
        return b"\n".join([*lines[:index], lines[index][: len(lines[index]) // 2], *lines[index:]])
    lines[index] = spoil_tree(lines[index], rng)
    return b"\n".join(lines)


def spoil_marked(content: bytes, rng: Random) -> bytes:
    """Change one of the marked arguments of a command line."""
    arguments: list[str] = json.loads(content)
    marked = [index for index, text in enumerate(arguments) if text.startswith(MARK)]
    index = rng.choice(marked)
    key, equals, _ = arguments[index][1:].partition("=")
    values = (*TEXTS, *(str(getattr(number, "text", number)) for number in NUMBERS))
    value = rng.choice(values).replace("\x00", "")
    if rng.random() < 0.2:
        value = json.dumps([value, {"a": [None, 1e300]}])
    arguments[index] = MARK + (f"{key}={value}" if equals and rng.random() < 0.8 else value)
    return json.dumps(arguments).encode()


def changed(tree: Any, rng: Random) -> Any:
    """Return the tree with one change."""
    places = list(_places(tree))
    if not places:
        return drawn_value(rng)
    if rng.random() < 0.02:
        return drawn_value(rng)
    # Every level as often as any other: a table of numbers would hide the few fields that matter.
    depths: dict[int, list[Place]] = {}
    for depth, place in places:
        depths.setdefault(depth, []).append(place)
    holder, key = rng.choice(depths[rng.choice(sorted(depths))])
    names, weights = zip(*((change, weight) for change, weight in _CHANGES), strict=True)
    rng.choices(names, weights)[0](holder, key, rng)
    return tree


def _places(tree: Any, depth: int = 0) -> Any:
    """Iterate over all places in a tree; of long lists over some."""
    stack: list[tuple[Any, int]] = [(tree, depth)]
    while stack:
        value, level = stack.pop()
        if isinstance(value, dict):
            keys: list[Any] = list(value)
        elif isinstance(value, list):
            keys = list(range(min(len(value), 50)))
        else:
            continue
        for key in keys:
            yield level, (value, key)
            stack.append((value[key], level + 1))


def _drop(holder: Any, key: Any, rng: Random) -> None:  # noqa: ARG001 - as all changes
    del holder[key]


def _rename(holder: Any, key: Any, rng: Random) -> None:
    if isinstance(holder, dict):
        value = holder.pop(key)
        name = rng.choice((str(key).upper(), f"{key}s", f" {key}", *TEXTS))
        holder[name] = value
    else:
        holder.reverse()


def _replace(holder: Any, key: Any, rng: Random) -> None:
    holder[key] = drawn_value(rng)


def _number(holder: Any, key: Any, rng: Random) -> None:
    holder[key] = rng.choice(NUMBERS)


def _scale(holder: Any, key: Any, rng: Random) -> None:
    value = holder[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or abs(value) > _MOST_SCALED:
        holder[key] = drawn_value(rng)
    else:
        holder[key] = rng.choice((-value, value * 1e6, value / 1e6, value + 1, float(value), -0.0))


def _text(holder: Any, key: Any, rng: Random) -> None:
    value = holder[key]
    text = rng.choice(TEXTS)
    holder[key] = value + text if isinstance(value, str) and rng.random() < 0.4 else text


def _wrap(holder: Any, key: Any, rng: Random) -> None:
    holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}


def _unwrap(holder: Any, key: Any, rng: Random) -> None:
    value = holder[key]
    if isinstance(value, dict) and value:
        holder[key] = value[rng.choice(list(value))]
    elif isinstance(value, list) and value:
        holder[key] = rng.choice((value[0], value[:-1], [], {"0": value[0]}))
    else:
        holder[key] = str(value)


def _double(holder: Any, key: Any, rng: Random) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
        return
    value = holder[key]
    if isinstance(value, dict):
        twice = Pairs(value)
        if value:
            name = rng.choice(list(value))
            twice.twice = ((name, value[name]),)
        holder[key] = twice
    elif isinstance(value, list):
        holder[key] = (value * rng.choice((2, 3, 50)))[:5000]
    else:
        holder[f"{key}2"] = value


def _swap(holder: Any, key: Any, rng: Random) -> None:
    other = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    holder[key], holder[other] = holder[other], holder[key]


def _deepen(holder: Any, key: Any, rng: Random) -> None:
    holder[key] = nested(rng.choice((5, 30, 150, 800)), rng.random() < 0.5)


def _add(holder: Any, key: Any, rng: Random) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(("extra", "note", "name", *TEXTS))] = drawn_value(rng)
    else:
        holder.insert(key, drawn_value(rng))


Change = Callable[[Any, Any, Random], None]
_CHANGES: tuple[tuple[Change, int], ...] = (
    (_replace, 6),
    (_number, 6),
    (_drop, 5),
    (_scale, 4),
    (_text, 4),
    (_unwrap, 3),
    (_wrap, 3),
    (_double, 3),
    (_add, 2),
    (_swap, 2),
    (_rename, 2),
    (_deepen, 1),
)
