"""Names of devices and nodes, groups included, that stand twice: found without a list of all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Clash(NamedTuple):
    """A name that an entry makes although an earlier one has made it."""

    entry: int
    name: str


def clashes(named: Iterable[tuple[str, int]]) -> Iterator[Clash]:
    """Yield the first name of each entry that an earlier one has already.

    Parameters
    ----------
    named
        Name and count of every entry: alone it is NAME, a group is NAME-1 to NAME-count, of which
        none is written down.
    """
    single: dict[str, set[int]] = {}
    whole: set[str] = set()
    groups: dict[str, int] = {}
    for entry, (name, count) in enumerate(named):
        if count == 1:
            head, number = _member(name)
            if name in whole or 0 < number <= groups.get(head, 0):
                yield Clash(entry, name)
            whole.add(name)
            if number:
                single.setdefault(head, set()).add(number)
            continue
        taken = [1] if name in groups else []
        taken += [number for number in single.get(name, ()) if number <= count]
        if taken:
            yield Clash(entry, f"{name}-{min(taken)}")
        groups[name] = max(count, groups.get(name, 0))


def first_clash(names: Sequence[str], count: npt.NDArray[np.int64]) -> Clash | None:
    """Return the first name that stands twice in rows of a file, whose own names differ as well."""
    if len(set(names)) < len(names):
        seen: set[str] = set()
        for row, name in enumerate(names):
            if name in seen:
                return Clash(row, name)
            seen.add(name)
    if (count == 1).all():
        return None
    return next(clashes(zip(names, count.tolist(), strict=True)), None)


def _member(name: str) -> tuple[str, int]:
    """Split ``pi-3`` into name and number, 0 where it is no name of a group's member."""
    head, _, tail = name.rpartition("-")
    if not (tail.isascii() and tail.isdecimal()) or tail[0] == "0" or len(tail) > 12:
        return name, 0
    return head, int(tail)
