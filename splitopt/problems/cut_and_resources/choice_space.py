"""The choices of a device as a product of kinds: which server, which cut, how many bits, ...

A table says what something costs by some of the kinds, such as bytes by cut and bits. All tables
are spread over the same axes and combined by plain arithmetic, so that one more kind is one more
axis and the tables that depend on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.problems.base import IntArray

DEVICE = "device"
"""The first axis of every table."""


@dataclass(frozen=True)
class Kind:
    """One kind of choice.

    Parameters
    ----------
    name
        Such as ``server`` or ``cut``.
    options
        What a device may choose, in words; one option is no choice.
    """

    name: str
    options: tuple[str, ...]

    @property
    def is_free(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.options) > 1


@dataclass(frozen=True)
class ChoiceSpace:
    """The product of kinds of choice: O choices, the options of the last kind running fastest."""

    kinds: tuple[Kind, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many options each kind has."""
        return tuple(len(kind.options) for kind in self.kinds)

    @property
    def size(self) -> int:
        """How many choices there are, O."""
        return math.prod(self.sizes)

    @property
    def free(self) -> tuple[Kind, ...]:
        """The kinds that have more than one option."""
        return tuple(kind for kind in self.kinds if kind.is_free)

    def options_of(self, name: str) -> IntArray:
        """Shape (O,): which option of a kind each choice has, 0-based."""
        return np.unravel_index(np.arange(self.size), self.sizes)[self._place(name)]

    def spread(self, values: Any, *axes: str) -> Any:
        """Return a table over some axes, in their order, with an axis for the device and each kind.

        Axes that it does not have get the length 1, so that such tables are combined by plain
        arithmetic. Several values may stand before the axes of the table.
        """
        array = np.asarray(values)
        lead = array.ndim - len(axes)
        lengths = dict(zip(axes, array.shape[lead:], strict=True))
        every = (DEVICE, *(kind.name for kind in self.kinds))
        assert list(axes) == [axis for axis in every if axis in lengths], "axes out of order"
        return array.reshape(*array.shape[:lead], *(lengths.get(axis, 1) for axis in every))

    def table(self, values: Any, devices: int) -> Any:
        """Return spread values as a table of devices and choices, shape (N, O)."""
        whole = np.broadcast_to(values, (devices, *self.sizes))
        return whole.reshape(devices, self.size)

    def names(self) -> tuple[str, ...]:
        """Return the name of every choice: its options of the kinds that are free."""
        places = [(kind, self.options_of(kind.name)) for kind in self.free]
        return tuple(
            ", ".join(kind.options[at[o]] for kind, at in places) or f"choice {o}"
            for o in range(self.size)
        )

    def _place(self, name: str) -> int:
        return [kind.name for kind in self.kinds].index(name)
