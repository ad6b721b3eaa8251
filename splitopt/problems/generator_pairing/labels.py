"""Labels of classes, and who has which: lists of labels or tables over all of them, read strictly.

A label is a whole number or a text. Lists of labels become a table of truth values with a row for
each device and a column for each label, and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitopt.documents.checks import as_whole
from splitopt.documents.names import clean_name
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import boolean_table, number_table
from splitopt.problems.base import BoolArray, IntArray

Label = int | str
Labels = tuple[Label, ...]

MOST_LABELS = 10_000


def read_label(value: Any, place: str) -> Label:
    """Read one label: a whole number, or a text without control characters."""
    if isinstance(value, str):
        if not value.strip():
            raise InputError.at(place, "is an empty text, it must be a label")
        return clean_name(str(value), place)
    found = None if isinstance(value, bool | np.bool_) else as_whole(value)
    if found is None:
        raise InputError.at(place, f"is {shown(value)}, a label must be a whole number or a text")
    return found


def read_labels(value: Any, source: str) -> Labels:
    """Read a list of labels: all whole numbers or all texts, each once.

    Raises
    ------
    InputError
        It is no such list; the message names the entry.
    """
    listed = _listed(value, source)
    found = tuple(read_label(item, f"{source}[{k}]") for k, item in enumerate(listed))
    if len({type(label) for label in found}) > 1:
        raise InputError.at(source, "mixes whole numbers and texts; keep to one of them")
    seen: set[Label] = set()
    for k, label in enumerate(found):
        if label in seen:
            raise InputError.at(f"{source}[{k}]", f"names the label {label!r} twice; name it once")
        seen.add(label)
    if len(found) > MOST_LABELS:
        raise InputError.at(source, f"has {len(found)} labels, a problem has at most {MOST_LABELS}")
    return found


def is_table(value: Any) -> bool:
    """Report whether a value is a table of truth values rather than lists of labels."""
    if isinstance(value, np.ndarray):
        return value.ndim == 2 and value.dtype.kind == "b"
    if not isinstance(value, list | tuple):
        return False
    rows = [row for row in value if isinstance(row, list | tuple) and row]
    return bool(rows) and all(isinstance(row[0], bool | np.bool_) for row in rows)


def lists_of_labels(value: Any, source: str) -> list[Labels]:
    """Read for each device a list of labels; None for a device stands for no label."""
    return [
        () if row is None else read_labels(row, f"{source}[{i}]")
        for i, row in enumerate(_listed(value, source))
    ]


def union(lists: Sequence[Labels], source: str) -> Labels:
    """Return all labels of some lists, sorted."""
    found = {label for row in lists for label in row}
    if len({type(label) for label in found}) > 1:
        raise InputError.at(source, "mixes whole numbers and texts; keep to one of them")
    return tuple(sorted(found))


def chosen_table(lists: Sequence[Labels], labels: Labels, source: str) -> BoolArray:
    """Make the table (D, C) of lists of labels.

    Raises
    ------
    InputError
        A label is not among `labels`; the message names it.
    """
    place = {label: c for c, label in enumerate(labels)}
    found = np.zeros((len(lists), len(labels)), dtype=np.bool_)
    for i, row in enumerate(lists):
        for k, label in enumerate(row):
            if label not in place:
                raise InputError.at(
                    f"{source}[{i}][{k}]",
                    f"is {label!r}, which is not among the labels {shown(list(labels))}",
                )
            found[i, place[label]] = True
    found.setflags(write=False)
    return found


def label_table(value: Any, labels: Labels, devices: int, source: str) -> BoolArray:
    """Read who has which label: lists of labels, or a table (D, C) of truth values."""
    if is_table(value):
        return boolean_table(value, source, (devices, len(labels)))
    found = chosen_table(lists_of_labels(value, source), labels, source)
    if len(found) != devices:
        raise InputError.at(source, f"has {len(found)} entries, it needs one for each of {devices}")
    return found


def read_counts(value: Any, columns: int, source: str = "counts") -> IntArray:
    """Read the samples of each device and label, shape (D, C), whole numbers >= 0."""
    numbers = number_table(value, source, "samples", (-1, columns))
    odd = (numbers != np.floor(numbers)) | (numbers > 2**53)
    if odd.any():
        i, c = (int(k) for k in np.argwhere(odd)[0])
        raise InputError.at(f"{source}[{i}][{c}]", f"is {numbers[i, c]:g}, samples are whole")
    found = numbers.astype(np.int64)
    found.setflags(write=False)
    return found


def as_lists(table: BoolArray, labels: Labels) -> list[list[Label]]:
    """Return a table (D, C) as a list of labels for each device."""
    return [[labels[c] for c in np.flatnonzero(row)] for row in table]


def _listed(value: Any, source: str) -> list[Any]:
    if isinstance(value, np.ndarray) and value.ndim >= 1:
        return list(value.tolist())
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InputError.at(source, f"is {shown(value)}, it must be a list")
    return list(value)
