"""Work and saved tensors of the operators of a graph, by their PyTorch names.

The counting rules are those of `splitopt.profiles.counting.layers`. A graph with an operator that
is not known here has neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from splitopt.errors import InputError, shown
from splitopt.profiles.counting.layers import FP32_BYTES, INT64_BYTES
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.provenance import Provenance

_SHARES_INPUT = ("View", "ReLU(inplace)", "Add(inplace)", "__getitem__")
"""Operators whose result lies in the storage of their first input."""
_SAVES_INPUT = ("Conv2d", "Linear", "BatchNorm2d", "MaxPool2d", "AvgPool2d")
_ARGUMENTS = re.compile(r"(\w+)=(\([^)]*\)|[^,()\s]+)")


@dataclass(frozen=True)
class Operators:
    """What the operators of a graph cost and keep, per sample.

    Parameters
    ----------
    flop
        Work of each operator's forward pass; empty if one of them is not known.
    saved
        For each operator, the storages that it keeps for the backward pass, with their bytes.
    unknown
        Names of the operators that are not known here.
    """

    flop: tuple[float, ...]
    saved: tuple[tuple[tuple[Hashable, float], ...], ...]
    unknown: tuple[str, ...]

    @classmethod
    def of(
        cls,
        operators: Sequence[str],
        output_bytes: Sequence[float],
        feeds: Sequence[Sequence[int]],
        inputs: Sequence[float | None],
    ) -> Operators:
        """Count operators in topological order.

        Parameters
        ----------
        operators
            As printed by PyTorch, such as ``Conv2d(3, 64, kernel_size=(3, 3), ...)``.
        output_bytes
            Of each, for a sample.
        feeds, inputs
            Whom each takes tensors from, and the bytes of training data that it takes, if any.
        """
        kinds = [operator.partition("(")[0] for operator in operators]
        unknown = tuple(dict.fromkeys(kind for kind in kinds if kind not in _WORK))
        if unknown:
            return cls((), (), unknown)
        flop, saved = [], []
        storage: list[tuple[Hashable, float]] = []
        for place, (operator, kind) in enumerate(zip(operators, kinds, strict=True)):
            taken = [storage[feed] for feed in feeds[place]]
            if (data := inputs[place]) is not None:
                taken.append(("data", data))
            own: tuple[Hashable, float] = (place, output_bytes[place])
            if taken and operator.startswith(_SHARES_INPUT):
                own = taken[0]
            storage.append(own)
            flop.append(2.0 * _WORK[kind](operator, output_bytes[place] / FP32_BYTES, taken))
            saved.append(tuple(_saved(kind, place, own, output_bytes[place], taken)))
        return cls(tuple(flop), tuple(saved), ())

    def kept(self, runs: Sequence[range], alone: bool) -> Array | None:
        """Bytes that each run of operators keeps of a sample, a storage once; None if not known.

        `alone`: each run by itself. Otherwise a storage counts in the first run that keeps it.
        """
        if self.unknown:
            return None
        found: list[float] = []
        seen: set[Hashable] = set()
        for run in runs:
            if alone:
                seen = set()
            total = 0.0
            for place in run:
                for storage, size in self.saved[place]:
                    if storage not in seen:
                        seen.add(storage)
                        total += size
            found.append(total)
        return np.array(found)

    def noted(self, provenance: Provenance) -> Provenance:
        """Report in the provenance how work and saved tensors were counted."""
        note = (
            f"Work and saved tensors are unknown: {', '.join(self.unknown)} cannot be counted."
            if self.unknown
            else "Work and saved tensors are counted from the operators, backward work as twice "
            "the forward work; times, activations and parameters are the source's."
        )
        return replace(provenance, notes=(*provenance.notes, note))


def _saved(
    kind: str,
    place: int,
    own: tuple[Hashable, float],
    output: float,
    taken: Sequence[tuple[Hashable, float]],
) -> list[tuple[Hashable, float]]:
    """Return the storages that autograd saves for one operator."""
    found = list(taken) if kind in _SAVES_INPUT else []
    if kind == "ReLU":
        found.append(own)
    elif kind == "MaxPool2d":
        found.append((("indices", place), output / FP32_BYTES * INT64_BYTES))
    elif kind == "Dropout":
        found.append((("mask", place), output))
    return found


def _convolution(operator: str, outputs: float, taken: object) -> float:  # noqa: ARG001
    first = operator.partition("(")[2].split(",")[0].strip()
    named = dict(_ARGUMENTS.findall(operator))
    sides = named.get("kernel_size", "").strip("()").split(",")
    kernel = [_size(operator, "kernel_size", side.strip()) for side in sides if side.strip()]
    if not kernel:
        raise InputError(f"{shown(operator)} has no kernel_size, so that its work is not known")
    channels = _size(operator, "input channels", first)
    groups = _size(operator, "groups", named.get("groups", "1"))
    return outputs * channels / groups * kernel[0] * kernel[-1]


def _linear(operator: str, outputs: float, taken: object) -> float:  # noqa: ARG001
    width = dict(_ARGUMENTS.findall(operator)).get("in_features", "")
    return outputs * _size(operator, "in_features", width)


def _size(operator: str, name: str, text: str) -> float:
    """Return a whole number >= 1 of an operator as printed."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= 1):
        raise InputError(
            f"{shown(operator)}: {name} is {shown(text)}, it must be a whole number >= 1"
        )
    return float(text)


def _pooling(operator: str, outputs: float, taken: Sequence[tuple[Hashable, float]]) -> float:  # noqa: ARG001
    return sum(size for _, size in taken) / FP32_BYTES


def _nothing(operator: str, outputs: float, taken: object) -> float:  # noqa: ARG001
    return 0.0


_WORK: dict[str, Callable[[str, float, Sequence[tuple[Hashable, float]]], float]] = {
    "Conv2d": _convolution,
    "Linear": _linear,
    "BatchNorm2d": lambda operator, outputs, taken: 2 * outputs,  # noqa: ARG005
    "ReLU": lambda operator, outputs, taken: outputs,  # noqa: ARG005
    "MaxPool2d": _pooling,
    "AvgPool2d": _nothing,
    "Dropout": _nothing,
    "View": _nothing,
    "Size": _nothing,
    "Add": _nothing,
    "Concat": _nothing,
    "__getitem__": _nothing,
}
"""Multiply-accumulates of an operator from its text, its output values and what it takes."""
