"""Several tensors that cross a cut, packed in one of shape (batch, words).

Every tensor is flattened by samples, and they stand side by side in one type of real numbers, which
holds the numbers of all of them: that of ``float32`` beside ``bfloat16``, and of ``bfloat16``
beside ``float16``, is ``float32``. Narrower ones are converted, there and back without loss, and
so are their gradients, which come back bit for bit; where they travel they have their own type.
What is no real number has no gradient (truth values, whole numbers): its bytes are taken as they
are for numbers of the common type, filled up with zeros to whole ones, and it arrives unchanged.
The code is made of operations of PyTorch alone, so that a part can be written and exported like any
other.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate
from typing import Any

import torch
from torch.fx import Graph, Node
from torch.nn import functional

_SAMPLES_FIRST = 0
_CONVERTED = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
"""Types of real numbers of which `torch.promote_types` holds all numbers of both."""


@dataclass(frozen=True)
class Section:
    """One of the tensors that cross together.

    Parameters
    ----------
    dtype
        Its type.
    axis
        The axis that grows with the batch; it comes first where the tensor is packed.
    times
        How many entries of that axis belong to a sample.
    sides
        The other sides, in order.
    words
        How many numbers of the common type a sample of it takes.
    is_exact
        Whether it holds no real numbers beside some, so that its bytes travel as they are.
    is_learned
        Whether a gradient comes back for it: it has real numbers, and something before it is
        trained.
    growth
        By how much `times` and each of the `sides` grow with every position of a sample; empty
        where samples are of one length.
    """

    dtype: torch.dtype
    axis: int
    times: int
    sides: tuple[int, ...]
    words: int
    is_exact: bool
    is_learned: bool = True
    growth: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a sample, as it is packed."""
        return self.sides if self.times == 1 else (self.times, *self.sides)

    @property
    def numbers(self) -> int:
        """How many numbers a sample has of it."""
        return self.times * math.prod(self.sides)

    @property
    def bytes(self) -> int:
        """Bytes of its numbers for one sample, without those that fill it up."""
        return self.numbers * self.dtype.itemsize

    def sent_as(self, common: torch.dtype) -> torch.dtype:
        """Return in which type its words travel: that in which they are packed, or its own."""
        return common if self.is_exact else self.dtype

    def sent_bytes(self, common: torch.dtype) -> int:
        """Return the bytes in which a sample of it travels."""
        return self.words * self.sent_as(common).itemsize


@dataclass(frozen=True)
class Layout:
    """The tensors that cross a cut, side by side in one of type `dtype`.

    Where they grow with the length of samples, they are those of samples of `room` positions, see
    `splitopt.profiles.tracing.cuts.varying`; it is 0 where they do not.
    """

    dtype: torch.dtype
    sections: tuple[Section, ...]
    room: int = 0

    @property
    def words(self) -> int:
        """How many numbers of the common type a sample takes."""
        return sum(section.words for section in self.sections)

    @property
    def bytes(self) -> int:
        """Bytes of one sample, as it travels."""
        return sum(section.sent_bytes(self.dtype) for section in self.sections)

    @property
    def gradient_bytes(self) -> int:
        """Bytes of the gradient of one sample: of the sections that have one."""
        return sum(item.sent_bytes(self.dtype) for item in self.sections if item.is_learned)

    @property
    def is_mixed(self) -> bool:
        """Whether tensors travel in another type than the one that they are packed in."""
        return any(section.sent_as(self.dtype) is not self.dtype for section in self.sections)

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each section begins."""
        return tuple(accumulate((item.words for item in self.sections[:-1]), initial=0))

    def learning(self, learned: Sequence[bool]) -> Layout:
        """Return the layout with what is known of the gradients of its sections."""
        pairs = zip(self.sections, learned, strict=True)
        return replace(self, sections=tuple(replace(one, is_learned=own) for one, own in pairs))


def layout_of(
    values: Sequence[tuple[torch.Size, torch.Size, torch.dtype | None]],
    samples: tuple[int, int],
) -> Layout | None:
    """Lay tensors out that were seen with two sizes of the batch, in shape and type.

    Returns
    -------
    None if they cannot be: one has no axis that alone grows with the batch, or holds complex
    numbers or real ones of a type that is not known to be converted without loss.
    """
    kinds = [kind for _, _, kind in values if kind is not None]
    real = [kind for kind in kinds if kind.is_floating_point]
    unknown = len(set(real)) > 1 and not _CONVERTED.issuperset(real)
    if unknown or any(kind.is_complex for kind in kinds) or len(kinds) < len(values):
        return None
    common = reduce(torch.promote_types, real) if real else kinds[0]
    if common is torch.bool:
        common = torch.uint8
    found = []
    for small, large, kind in values:
        section = _section(small, large, kind, common, samples)
        if section is None:
            return None
        found.append(section)
    return Layout(common, tuple(found))


def _section(
    small: torch.Size,
    large: torch.Size,
    kind: torch.dtype | None,
    common: torch.dtype,
    samples: tuple[int, int],
) -> Section | None:
    few, many = samples
    if kind is None or len(small) != len(large):
        return None
    growing = [axis for axis, (one, two) in enumerate(zip(small, large, strict=True)) if one != two]
    if len(growing) != 1:
        return None
    axis = growing[0]
    times = small[axis] // few
    if small[axis] != times * few or large[axis] != times * many:
        return None
    sides = (*small[:axis], *small[axis + 1 :])
    is_exact = not kind.is_floating_point and kind is not common
    found = Section(kind, axis, times, sides, 0, is_exact)
    return replace(found, words=words_of(found, common))


def words_of(section: Section, common: torch.dtype) -> int:
    """Return how many numbers of the common type a sample of a section takes."""
    return -(-section.bytes // common.itemsize) if section.is_exact else section.numbers


def pack(graph: Graph, values: Sequence[Any], layout: Layout) -> Node:
    """Write into a graph how values become one tensor of shape (batch, words)."""
    first = layout.sections[0]
    batch = graph.call_method("size", (values[0], first.axis))
    if first.times > 1:
        batch = graph.call_function(operator.floordiv, (batch, first.times))
    rows = []
    for value, section in zip(values, layout.sections, strict=True):
        row = value
        if section.axis != _SAMPLES_FIRST:
            row = graph.call_method("movedim", (row, section.axis, _SAMPLES_FIRST))
        row = graph.call_method("reshape", (row, batch, section.numbers))
        if section.is_exact:
            row = _as_words(graph, row, section, layout.dtype)
        else:
            # Nothing is added, but the gradient that pad gives back has memory of its own, as in
            # the whole; that of cat would be strided, for which kernels round otherwise.
            row = graph.call_function(functional.pad, (row, (0, 0)))
            if section.dtype is not layout.dtype:
                row = graph.call_method("to", (row, layout.dtype))
        rows.append(row)
    return graph.call_function(torch.cat, (rows, 1))


def unpack(graph: Graph, packed: Node, layout: Layout) -> list[Node]:
    """Write into a graph how the values come back, each in memory of its own."""
    batch = graph.call_method("size", (packed, 0))
    found = []
    for start, section in zip(layout.starts, layout.sections, strict=True):
        value = graph.call_method("narrow", (packed, 1, start, section.words))
        # A part may work in place, on one of them and not on what the others lie in.
        value = _from_words(graph, value, section) if section.is_exact else _copied(graph, value)
        if not section.is_exact and section.dtype is not layout.dtype:
            value = graph.call_method("to", (value, section.dtype))
        length = batch
        if section.times > 1:
            length = graph.call_function(operator.mul, (batch, section.times))
        value = graph.call_method("reshape", (value, length, *section.sides))
        if section.axis != _SAMPLES_FIRST:
            value = graph.call_method("movedim", (value, _SAMPLES_FIRST, section.axis))
            value = _copied(graph, value)
        found.append(value)
    return found


def _as_words(graph: Graph, row: Node, section: Section, common: torch.dtype) -> Node:
    row = graph.call_method("view", (_copied(graph, row), torch.uint8))
    room = section.words * common.itemsize - section.bytes
    if room:
        row = graph.call_function(functional.pad, (row, (0, room)))
    return graph.call_method("view", (row, common))


def _from_words(graph: Graph, row: Node, section: Section) -> Node:
    row = graph.call_method("detach", (row,))
    row = graph.call_method("view", (_copied(graph, row), torch.uint8))
    row = graph.call_method("narrow", (row, 1, 0, section.bytes))
    return graph.call_method("view", (_copied(graph, row), section.dtype))


def _copied(graph: Graph, value: Node) -> Node:
    return graph.call_method("clone", (value,), {"memory_format": torch.contiguous_format})
