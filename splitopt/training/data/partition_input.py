"""What a partition is made of: labels, sizes, and the rows in a file, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import read_text
from splitopt.errors import InputError, shown

Samples = Literal["plan", "data"]
Rows = list[np.ndarray[Any, np.dtype[np.int64]]]
Labels = np.ndarray[Any, np.dtype[np.int64]]


def rows_of_file(path: Path, available: int, sizes: list[int], samples: Samples) -> list[Tensor]:
    """Read a list of row numbers for each client, and check it against data and plan."""
    from splitopt.documents.schemas import validated

    source = str(path)
    lists = validated(list[list[int]], parse_json(read_text(path), source), source)
    if len(lists) != len(sizes):
        raise InputError(f"{source}: has rows for {len(lists)} clients, the plan {len(sizes)}")
    seen = np.full(available, -1, dtype=np.int64)
    for client, own in enumerate(lists):
        if not own:
            raise InputError.at(f"{source}, client {client}", "has no row; each needs at least one")
        for row in own:
            if not 0 <= row < available:
                raise InputError.at(
                    f"{source}, client {client}",
                    f"{shown(row)} is not a row of the data, which has rows 0 to {available - 1}",
                )
            if seen[row] >= 0:
                raise InputError.at(
                    f"{source}, client {client}",
                    f"row {row} is already client {seen[row]}'s; each row belongs to one client",
                )
            seen[row] = client
        if samples == "plan" and len(own) != sizes[client]:
            raise InputError.at(
                f"{source}, client {client}",
                f"has {len(own)} rows where the plan has {sizes[client]} samples; make them equal, "
                "or take the file's with --samples data",
            )
    return [torch.tensor(own, dtype=torch.int64) for own in lists]


def check_labels(targets: Tensor, classes: int | None, how: str, *, needs_classes: bool) -> Labels:
    """Return the labels; zeros where targets are none, and nobody shares out by them."""
    if targets.dim() != 1 or targets.is_floating_point() or not len(targets):
        if not needs_classes and targets.dim() and len(targets):
            return np.zeros(len(targets), dtype=np.int64)
        raise InputError.at(
            "labels",
            "must be whole numbers of shape (n,), n >= 1"
            + (f"; {how!r} shares out by them, iid and file:PATH.json do not" * bool(len(targets))),
        )
    labels: Labels = targets.cpu().numpy().astype(np.int64)
    top = int(labels.max()) if classes is None else classes - 1
    outside = np.flatnonzero((labels < 0) | (labels > top))
    if len(outside):
        row = int(outside[0])
        raise InputError.at(
            f"labels[{row}]", f"is {labels[row]}, outside the classes 0 to {max(top, 0)}"
        )
    return labels


def check_sizes(sizes: Sequence[int]) -> list[int]:
    """Return the sizes of clients, whole numbers >= 1; raise `InputError` for others."""
    if not len(sizes):
        raise InputError.at("sizes", "are empty; there must be at least one client")
    for index, size in enumerate(sizes):
        if isinstance(size, bool) or size != int(size) or size < 1:
            raise InputError.at(
                f"sizes[{index}]", f"is {size!r}; a client needs a whole number of samples >= 1"
            )
    return [int(size) for size in sizes]
