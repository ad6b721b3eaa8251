"""The part of the model that every device of a fleet holds, and what it costs to change it."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.warm import WarmTables


class HeldParts:
    """The cuts of a fleet now and before the last change, counted from 0; -1 of who has none yet.

    Parameters
    ----------
    cuts
        Shape (N,): the columns of the cuts now.
    moving
        Shape (N, L): seconds in which a device fetches the part of each cut; None where that costs
        nothing.
    horizon
        Rounds over which the cost of moving is spread.
    """

    def __init__(self, cuts: IntArray, moving: FloatArray | None, horizon: float) -> None:
        self.cuts, self._before = cuts, cuts.copy()
        self._moving, self._horizon = moving, horizon

    @property
    def moving_costs(self) -> bool:
        """Whether a change of cuts costs anything."""
        return self._moving is not None

    def grow(self, devices: int) -> None:
        """Make room for newcomers, `devices` of them in all."""
        grown = devices - len(self.cuts)
        if not grown:
            return
        self.cuts = np.append(self.cuts, np.full(grown, -1))
        self._before = np.append(self._before, np.full(grown, -1))
        if self._moving is not None:
            # what newcomers hold is unknown: moving them is taken to cost nothing
            self._moving = np.vstack((self._moving, np.zeros((grown, self._moving.shape[1]))))

    def with_moving(self, tables: WarmTables) -> WarmTables:
        """Return the numbers with the cost of moving away from the present cuts."""
        if self._moving is None:
            return tables
        held = np.where(self.cuts >= 0, self.cuts, 0)
        have = np.where(self.cuts >= 0, self._moving[np.arange(len(held)), held], 0.0)
        fetched = np.maximum(self._moving - have[:, None], 0.0)
        return tables.with_own(tables.own + fetched / self._horizon)

    def takes_back(self, cuts: IntArray, changing: IntArray) -> bool:
        """Whether one of the devices that are `changing` gets the cut back that it had before."""
        return bool((cuts[changing] == self._before[changing]).any())

    def change(self, cuts: IntArray, here: IntArray) -> dict[int, tuple[int | None, int]]:
        """Keep the cuts of the devices that are `here`; return which changed, as cuts from 1."""
        changed = here[cuts[here] != self.cuts[here]].tolist()
        moved = {
            n: (None if self.cuts[n] < 0 else int(self.cuts[n]) + 1, int(cuts[n]) + 1)
            for n in changed
        }
        if moved:
            self._before[here] = self.cuts[here]
        self.cuts[here] = cuts[here]
        return moved


def read_moving(moving: Any, shape: tuple[int, int]) -> FloatArray | None:
    """Check seconds of moving, see `HeldParts`; raise `InputError` where they do not fit."""
    if moving is None:
        return None
    return np.array(number_table(moving, "moving", "times in s", shape))
