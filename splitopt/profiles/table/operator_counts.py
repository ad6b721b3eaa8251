"""What the operators of each layer do, which a machine model turns into seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from splitopt.documents.fields import expect_keys
from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array, frozen_array

FEATURES = (
    "convolution_flop",
    "depthwise_flop",
    "matrix_flop",
    "moved_bytes",
    "fixed_bytes",
    "operators",
)
"""Columns: FLOP per sample of convolutions, of convolutions with one input channel in each group,
and of matrix products and attention; bytes per sample that operators read and write, bytes that
they read and write whatever the batch (weights and their gradients); operators that run."""

PER_SAMPLE = np.array([True, True, True, True, False, False])
"""Which columns are per sample; the others are per batch."""

PHASES = ("forward", "backward", "update")


@dataclass(frozen=True, eq=False)
class OperatorCounts:
    """Counts of each layer by itself, arrays of shape (L, 6) with the columns of `FEATURES`.

    Parameters
    ----------
    forward, backward, update
        The forward pass, the backward pass, and a step of plain SGD.

    Raises
    ------
    InputError
        A wrong shape, or a number that is negative or not finite.
    """

    forward: Array
    backward: Array
    update: Array

    def __post_init__(self) -> None:
        count = len(np.atleast_1d(self.forward))
        for phase in PHASES:
            table = np.asarray(getattr(self, phase))
            if table.shape != (count, len(FEATURES)):
                raise InputError.at(
                    f"operators.{phase}",
                    f"has the shape {table.shape}, not {(count, len(FEATURES))}",
                )
            columns = [
                frozen_array(table[:, k], f"operators.{phase}.{name}", count)
                for k, name in enumerate(FEATURES)
            ]
            checked = np.column_stack(columns)
            checked.flags.writeable = False
            object.__setattr__(self, phase, checked)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling forgets that an array is read-only; building anew restores it.
        return OperatorCounts, tuple(getattr(self, item.name) for item in fields(self))

    def check(self, layers: int) -> None:
        """Raise `InputError` unless it has a row for each of the layers."""
        if len(self) != layers:
            raise InputError.at("operators", f"has {len(self)} rows, but there are {layers} layers")

    def __len__(self) -> int:
        """L, the number of layers."""
        return len(self.forward)

    def per_sample(self, phase: str, batch: int) -> Array:
        """Compute a phase's counts for one sample of a batch, shape (L, 6)."""
        found: Array = getattr(self, phase) / np.where(PER_SAMPLE, 1.0, float(batch))
        return found

    def merged(self, runs: Sequence[range]) -> OperatorCounts:
        """Add up runs of layers, each to one."""
        return OperatorCounts(
            *(
                np.array([getattr(self, phase)[run.start : run.stop].sum(axis=0) for run in runs])
                for phase in PHASES
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: phase -> column -> a number per layer."""
        return {
            phase: {name: getattr(self, phase)[:, k].tolist() for k, name in enumerate(FEATURES)}
            for phase in PHASES
        }

    @classmethod
    def from_dict(cls, document: Any, field: str, layers: int) -> OperatorCounts:
        """Read what `to_dict` wrote; raise `InputError` that starts with `field` otherwise."""
        found = expect_keys(document, field, PHASES)
        tables = {}
        for phase in PHASES:
            columns = expect_keys(found[phase], f"{field}.{phase}", FEATURES)
            tables[phase] = np.column_stack(
                [
                    frozen_array(columns[name], f"{field}.{phase}.{name}", layers)
                    for name in FEATURES
                ]
            )
        return cls(**tables)
