"""Making a bad case small: fewer mutations, fewer differences to the valid document, less of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.fuzz.cases import Case
from benchmarks.fuzz.mutate.values import Raw
from benchmarks.fuzz.mutate.writing import parse, write
from splitopt.errors import shown

MOST_TRIES = 80

Path = tuple[Any, ...]
Check = Callable[[bytes], bool]
"""Whether a document is bad in the same way."""


@dataclass
class Budget:
    """How often a document may still be tried."""

    left: int = MOST_TRIES

    def take(self) -> bool:
        """Use up one try; False when there is none."""
        self.left -= 1
        return self.left >= 0


def fewer_mutations(case: Case, is_bad: Callable[[Case], bool], budget: Budget) -> Case:
    """Return the case without the mutations that it does not need."""
    for mutation in case.mutations:
        rest = tuple(item for item in case.mutations if item != mutation)
        if rest and budget.take() and is_bad(case.with_mutations(rest)):
            case = case.with_mutations(rest)
    return case


def nearer(content: bytes, valid: bytes, is_bad: Check, budget: Budget) -> bytes:
    """Return a document that is bad in the same way and as near to the valid one as possible."""
    try:
        found, good = parse(content), parse(valid)
        content = _checked(found, content, is_bad, budget)
        for path, value in list(differences(found, good)):
            trial = _with(found, path, value)
            if trial is not None and budget.take() and is_bad(write(trial)):
                found, content = trial, write(trial)
    except (ValueError, RecursionError, LookupError):
        pass
    return content


def smaller(content: bytes, is_bad: Check, budget: Budget) -> bytes:
    """Return a document that is bad in the same way, without what is not needed for it."""
    try:
        found = parse(content)
        if write(found) != content:
            raise ValueError("is not written as it would be here")
    except (ValueError, RecursionError):
        return _smaller_bytes(content, is_bad, budget)
    return _pruned(found, content, is_bad, budget)


def _checked(tree: Any, content: bytes, is_bad: Check, budget: Budget) -> bytes:
    """Return the tree as it is written here, if it is still bad."""
    written = write(tree)
    if written == content or (budget.take() and is_bad(written)):
        return written
    raise ValueError("only as it was written")


_ABSENT = object()


def differences(found: Any, good: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Iterate over the places in which a tree differs, with what is valid there."""
    if isinstance(found, dict) and isinstance(good, dict):
        for key in {**found, **good}:
            if key not in found:
                yield (*path, key), good[key]
            elif key not in good:
                yield (*path, key), _ABSENT
            else:
                yield from differences(found[key], good[key], (*path, key))
    elif isinstance(found, list) and isinstance(good, list) and len(found) == len(good):
        for index, (one, other) in enumerate(zip(found, good, strict=True)):
            yield from differences(one, other, (*path, index))
    elif type(found) is not type(good) or found != good:
        yield path, good


def _with(tree: Any, path: Path, value: Any) -> Any | None:
    """Return a copy with another value at a place, None where there is no such place."""
    if not path:
        return None
    holder = copied = copy.copy(tree)
    for key in path[:-1]:  # what is beside the path is shared: a copy of all could nest too deeply
        holder[key] = copy.copy(holder[key])
        holder = holder[key]
    if value is _ABSENT:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copied


def _pruned(tree: Any, content: bytes, is_bad: Check, budget: Budget) -> bytes:
    """Drop what is not needed, large parts first; shorten long texts and lists."""
    done: set[Path] = set()
    while budget.left > 0:
        paths = [path for path in _paths(tree) if path not in done]
        if not paths:
            break
        path = paths[0]
        done.add(path)
        trial = _with(tree, path, _ABSENT)
        if budget.take() and is_bad(write(trial)):
            tree, content = trial, write(trial)
            done = {item for item in done if item[: len(path)] != path}
    return content


def _paths(tree: Any, path: Path = ()) -> list[Path]:
    """Return the paths of all parts, those near the top first."""
    level: list[tuple[Path, Any]] = [(path, tree)]
    found: list[Path] = []
    while level and len(found) < 400:
        below: list[tuple[Path, Any]] = []
        for place, value in level:
            if isinstance(value, dict):
                below += [((*place, key), item) for key, item in value.items()]
            elif isinstance(value, list):
                below += [((*place, index), item) for index, item in enumerate(value)][::-1]
        found += [place for place, _ in below]
        level = below
    return found


def _smaller_bytes(content: bytes, is_bad: Check, budget: Budget) -> bytes:
    """Drop pieces, half as large each time."""
    size = max(1, len(content) // 2)
    while size and budget.left > 0:
        start = 0
        while start < len(content) and budget.take():
            trial = content[:start] + content[start + size :]
            if trial and is_bad(trial):
                content = trial
            else:
                start += size
        size //= 2
    return content


def sentence(content: bytes, valid: bytes) -> str:
    """Return in one line in what a document differs from the valid one."""
    try:
        found, good = parse(content), parse(valid)
    except (ValueError, UnicodeDecodeError):
        return f"{len(content)} bytes: {ascii(content[:160])[2:-1]}"
    parts = []
    for path, value in differences(found, good):
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}"[:60] for key in path)
        now = _at(found, path)
        if now is _ABSENT:
            parts.append(f"{place} is dropped")
        elif value is _ABSENT:
            parts.append(f"{place} = {_short(now)} is added")
        else:
            parts.append(f"{place} = {_short(now)}")
    return "; ".join(parts[:8])[:600] or f"as written: {ascii(content[:160])[2:-1]}"


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        if isinstance(tree, dict) and key not in tree:
            return _ABSENT
        tree = tree[key]
    return tree


def _short(value: Any) -> str:
    try:
        text = value.text if isinstance(value, Raw) else ascii(value)
    except (ValueError, RecursionError):  # too many digits, or nested too deeply
        text = shown(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} characters)"
