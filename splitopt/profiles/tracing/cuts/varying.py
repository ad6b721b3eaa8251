"""Several tensors that cross a cut packed in one, of samples of any length.

A layout states the sides of its tensors for the longest samples, and by how much each grows with
every position. How many positions a packed tensor has follows from how many words a sample of it
takes, so that nothing but the tensors themselves is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.nn import functional

from splitopt.profiles.tracing.cuts.packing import Layout, Section, words_of

Shape = tuple[int, ...]


def along(layout: Layout, shorter: Sequence[Shape], samples: int, room: int, short: int) -> Layout:
    """Return a layout with what its tensors have for each position.

    Parameters
    ----------
    layout
        Of the longest samples.
    shorter
        The shapes of the same tensors for so many samples that are shorter.
    room, short
        Positions of the longest samples, and of the shorter ones.

    Raises
    ------
    ValueError
        A side grows by no whole number for each position, or how long samples are cannot be told
        from the words that they take.
    """
    sections = []
    for section, shape in zip(layout.sections, shorter, strict=True):
        sides = (*shape[: section.axis], *shape[section.axis + 1 :])
        times, rest = divmod(shape[section.axis], samples)
        if rest:
            raise ValueError("a tensor does not grow with the batch")
        pairs = zip((section.times, *section.sides), (times, *sides), strict=True)
        growth = tuple(_slope(*pair, room - short) for pair in pairs)
        sections.append(replace(section, growth=growth))
    grown = replace(layout, sections=tuple(sections), room=room)
    if any(any(section.growth) for section in sections):
        if len(set(_words(grown))) < room:
            raise ValueError("samples of several lengths take as many words")
        if not any(any(section.growth[1:]) or not section.growth[0] for section in sections):
            raise ValueError("nothing tells samples from their positions")
        return grown
    return layout


def _slope(whole: int, part: int, positions: int) -> int:
    """Return by how much a side grows with each position, which is a whole number."""
    found, rest = divmod(whole - part, positions)
    if rest:
        raise ValueError("a tensor does not grow by whole numbers")
    return found


def with_positions(layout: Layout, positions: int) -> Layout:
    """Return the layout of samples with so many positions, which does not vary."""
    missing, sections = layout.room - positions, []
    for section in layout.sections:
        times, *sides = (
            whole - missing * each
            for whole, each in zip((section.times, *section.sides), section.growth, strict=True)
        )
        own = replace(section, times=times, sides=tuple(sides), growth=())
        sections.append(replace(own, words=words_of(own, layout.dtype)))
    return replace(layout, sections=tuple(sections), room=0)


def of_words(layout: Layout, words: int) -> Layout:
    """Return the layout of samples that take so many words; itself where their length is one.

    Raises
    ------
    ValueError
        No sample takes as many.
    """
    if not layout.room:
        return layout
    known = _words(layout)
    if words not in known:
        raise ValueError(f"no sample takes {words} words")
    return with_positions(layout, known.index(words) + 1)


@lru_cache(maxsize=256)
def _words(layout: Layout) -> tuple[int, ...]:
    """Return how many words samples of 1, 2, ... positions take."""
    return tuple(with_positions(layout, own).words for own in range(1, layout.room + 1))


def _seen_positions(layout: Layout, values: Sequence[Tensor]) -> int:
    """Return how many positions the samples have that some tensors are of."""
    for section, value in zip(layout.sections, values, strict=True):
        sides = (*value.shape[: section.axis], *value.shape[section.axis + 1 :])
        for each, whole, own in zip(section.growth[1:], section.sides, sides, strict=True):
            if each:
                return layout.room - (whole - int(own)) // each
    steady = next(k for k, section in enumerate(layout.sections) if not section.growth[0])
    section, value = layout.sections[steady], values[steady]
    samples = value.shape[section.axis] // section.times
    pairs = zip(layout.sections, values, strict=True)
    rows, given = next((own, value) for own, value in pairs if own.growth[0])
    times = int(given.shape[rows.axis]) // samples
    return layout.room - (rows.times - times) // rows.growth[0]


def packer(layout: Layout) -> Callable[..., Tensor]:
    """Return a function that packs tensors of samples of any length."""

    def pack_positions(*values: Tensor) -> Tensor:
        found = with_positions(layout, _seen_positions(layout, values))
        rows = []
        for value, section in zip(values, found.sections, strict=True):
            row = value if section.axis == 0 else value.movedim(section.axis, 0)
            row = row.reshape(len(row) // section.times, section.numbers)
            rows.append(_packed(row, section, layout.dtype))
        return torch.cat(rows, 1)

    return pack_positions


def unpacker(layout: Layout) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return a function that gives the tensors back, each in memory of its own."""

    def unpack_positions(packed: Tensor) -> tuple[Tensor, ...]:
        found = of_words(layout, packed.shape[1])
        values = []
        for start, section in zip(found.starts, found.sections, strict=True):
            value = packed.narrow(1, start, section.words)
            value = _restored(value, section).reshape(len(packed) * section.times, *section.sides)
            values.append(value if section.axis == 0 else _copied(value.movedim(0, section.axis)))
        return tuple(values)

    return unpack_positions


def _packed(row: Tensor, section: Section, common: torch.dtype) -> Tensor:
    """Return the words of a tensor, as those of one length are written."""
    if not section.is_exact:
        return functional.pad(row, (0, 0)).to(common)
    row = _copied(row).view(torch.uint8)
    return functional.pad(row, (0, section.words * common.itemsize - section.bytes)).view(common)


def _restored(value: Tensor, section: Section) -> Tensor:
    if not section.is_exact:
        return _copied(value).to(section.dtype)
    rows = _copied(value.detach()).view(torch.uint8).narrow(1, 0, section.bytes)
    return _copied(rows).view(section.dtype)


def _copied(value: Tensor) -> Tensor:
    return value.clone(memory_format=torch.contiguous_format)


def pack_any(graph: Graph, values: Sequence[Any], layout: Layout) -> Node:
    """Write into a graph how values of any length become one tensor of shape (batch, words)."""
    return graph.call_function(packer(layout), tuple(values))


def unpack_any(graph: Graph, packed: Node, layout: Layout) -> list[Node]:
    """Write into a graph how they come back."""
    whole = graph.call_function(unpacker(layout), (packed,))
    return [graph.call_function(_item, (whole, k)) for k in range(len(layout.sections))]


def _item(values: tuple[Tensor, ...], number: int) -> Tensor:
    return values[number]
