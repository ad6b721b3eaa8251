"""The decision of `ChoicesAndResources`: a choice per device and its shares of any resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.arrays import index_array, indices, number_table
from splitopt.problems.base import FloatArray, IntArray, check_keys
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision

CHOICE_RULE = "choices are numbered from 0"


class ChoiceDecision(CutAndResourcesDecision):
    """What every device chooses and what it gets.

    ``cut``, shape (N,), is ``choice + 1``: solvers number choices as they do cuts. There are no
    shares by name.

    Parameters
    ----------
    choice
        Shape (N,), 0..O-1.
    share
        Shape (N, R), fractions of the whole resources; each column adds up to at most 1.
    """

    per_device: ClassVar[tuple[str, ...]] = ("choice", "share")

    choice: IntArray
    share: FloatArray

    def __init__(self, choice: npt.ArrayLike, share: npt.ArrayLike) -> None:
        chosen = np.array(index_array(choice, "choice"))
        shares = np.array(share, dtype=np.float64)
        if shares.ndim != 2:
            raise InputError.at("share", "must be a table, a row for each device")
        for name, value in (("choice", chosen), ("cut", chosen + 1), ("share", shares)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(choice={self.choice!r}, share={self.share!r})"

    @property
    def by_resource(self) -> tuple[FloatArray, ...]:
        """The shares (N,) of each resource, in the order of the problem's ``resources``."""
        return tuple(self.share.T)

    @property
    def shares(self) -> FloatArray:
        """Shape (N, R): the shares in the order of the problem's ``resources``."""
        return self.share

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        return {
            "problem": "cut_and_resources",
            "choice": self.choice.tolist(),
            "share": self.share.tolist(),
        }

    @classmethod
    def read(
        cls, document: Mapping[str, Any], sizes: tuple[int, int, int], source: str = "decision"
    ) -> ChoiceDecision:
        """Read a decision of N devices, O choices and R resources (`sizes`) from plain data."""
        devices, choices, resources = sizes
        checked = check_keys(document, ("choice", "share"), ("problem",), source)
        place = f"{source}.choice"
        choice = indices(checked["choice"], place, CHOICE_RULE, 0, choices - 1, devices)
        shape = (devices, resources)
        share = number_table(checked["share"], f"{source}.share", "fractions", shape)
        return cls(choice, share)
