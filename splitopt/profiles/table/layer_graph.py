"""The layers of a profile as a graph: which feeds which, and what each of them puts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.documents.checks import as_whole
from splitopt.documents.fields import expect_keys
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array, frozen_array

Edges = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerGraph:
    """Who feeds whom among the V layers of a profile, in an order of execution.

    Parameters
    ----------
    edges
        Shape (E, 2): which layer (0-based) feeds which. A layer feeds only later ones, so that
        there is no circle.
    output_bytes
        Shape (V,): what a layer puts out for later layers, bytes per sample; 0 where none of them
        reads it.
    gradient_bytes
        Shape (V,): the gradient of that, 0 where nothing before it is trained.
    together
        Layers that one machine must have, since they train one weight or work in one memory.

    Raises
    ------
    InputError
        A wrong shape, a layer that there is not, an edge that leads back, or a number that is
        negative or not finite.
    """

    edges: Edges
    output_bytes: Array
    gradient_bytes: Array
    together: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.output_bytes, Sequence | np.ndarray):
            raise InputError.at("graph.output_bytes", "must be a list of numbers")
        count = len(self.output_bytes)
        for name in ("output_bytes", "gradient_bytes"):
            column = frozen_array(getattr(self, name), f"graph.{name}", count)
            object.__setattr__(self, name, column)
        object.__setattr__(self, "edges", _edges(self.edges, count))
        object.__setattr__(self, "together", _together(self.together, count))

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling forgets that an array is read-only; building anew restores it.
        return LayerGraph, tuple(getattr(self, item.name) for item in fields(self))

    def check(self, layers: int) -> None:
        """Raise `InputError` unless it is about so many layers."""
        if len(self) != layers:
            raise InputError.at("graph", f"has {len(self)} layers, but the profile has {layers}")

    def __len__(self) -> int:
        """V, the number of layers."""
        return len(self.output_bytes)

    def colour_classes(self) -> list[int]:
        """Return a number for each layer, the same for layers that stay together, -1 for others."""
        found = [-1] * len(self)
        for number, layers in enumerate(self.together):
            for layer in layers:
                found[layer] = number
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        document: dict[str, Any] = {
            "edges": self.edges.tolist(),
            "output_bytes": self.output_bytes.tolist(),
            "gradient_bytes": self.gradient_bytes.tolist(),
        }
        if self.together:
            document["together"] = [list(layers) for layers in self.together]
        return document

    @classmethod
    def from_dict(cls, document: Any) -> LayerGraph:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        needed = ("edges", "output_bytes", "gradient_bytes")
        found: Mapping[str, Any] = expect_keys(document, "graph", needed, ("together",))
        edges, output, gradient = (found[name] for name in needed)
        return cls(edges, output, gradient, found.get("together") or ())


def joined(groups: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Return groups of layers with those that share a layer made one, in ascending order."""
    found: list[set[int]] = []
    for group in groups:
        own = set(group)
        apart = []
        for other in found:
            if other & own:
                own |= other
            else:
                apart.append(other)
        found = [*apart, own]
    return tuple(sorted(tuple(sorted(group)) for group in found if len(group) > 1))


def _edges(value: Any, count: int) -> Edges:
    """Read the edges, each once, in ascending order, read-only."""
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise InputError.at(
            "graph.edges", f"must be a list of pairs of layers, found {shown(value)}"
        )
    pairs = set()
    for index, item in enumerate(items):
        place = f"graph.edges[{index}]"
        if isinstance(item, str) or not isinstance(item, Sequence) or len(item) != 2:
            raise InputError.at(place, f"is {shown(item)}, it must be a pair of layers")
        start, end = (_layer(layer, place, count) for layer in item)
        if start >= end:
            raise InputError.at(
                place,
                f"leads from layer {start} to layer {end}; layers stand in an order of execution, "
                "so that one feeds only later ones and there is no circle",
            )
        pairs.add((start, end))
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    found.setflags(write=False)
    return found


def _layer(value: Any, place: str, count: int) -> int:
    found = as_whole(value)
    if found is None or not 0 <= found < count:
        raise InputError.at(
            place, f"names {shown(value)}, which is no layer; they are numbered 0 to {count - 1}"
        )
    return found


def _together(value: Any, count: int) -> tuple[tuple[int, ...], ...]:
    """Read the groups of layers that stay together; a layer stands in one of them."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError.at("graph.together", f"must be a list of lists, found {shown(value)}")
    found: list[tuple[int, ...]] = []
    seen: set[int] = set()
    for index, group in enumerate(value):
        place = f"graph.together[{index}]"
        if isinstance(group, str) or not isinstance(group, Sequence) or len(group) < 2:
            raise InputError.at(
                place, f"is {shown(group)}, it must be a list of two or more layers"
            )
        layers = tuple(_layer(layer, place, count) for layer in group)
        if seen & set(layers) or len(set(layers)) < len(layers):
            raise InputError.at(place, "names a layer that stands there before; name each once")
        seen |= set(layers)
        found.append(layers)
    return tuple(found)
