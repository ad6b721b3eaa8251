"""The decision of `CutAndResources`: a cut per device and its shares of three resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray, IntArray, check_keys

SHARES = ("download_share", "upload_share", "server_share")


@dataclass(frozen=True, eq=False)
class CutAndResourcesDecision:
    """Where every device cuts and what it gets.

    Parameters
    ----------
    cut
        Shape (N,), 1..L: how many layers stay on the device. L leaves nothing to the server.
    download_share, upload_share, server_share
        Shape (N,), each a fraction of the whole resource; their sums are at most 1.
    """

    cut: IntArray
    download_share: FloatArray
    upload_share: FloatArray
    server_share: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "cut", _frozen(self.cut, np.int64))
        for name in SHARES:
            object.__setattr__(self, name, _frozen(getattr(self, name), np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Give the decision as JSON-ready data."""
        return {
            "problem": "cut_and_resources",
            "cut": self.cut.tolist(),
            **{name: getattr(self, name).tolist() for name in SHARES},
        }

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], devices: int, layers: int, source: str = "decision"
    ) -> CutAndResourcesDecision:
        """Read a decision for `devices` devices and a model of `layers` layers."""
        checked = check_keys(document, ("cut", *SHARES), ("problem",), source)
        cut = number_table(checked["cut"], f"{source}.cut", "layers", (devices,))
        for index, value in enumerate(cut):
            if value != int(value) or not 1 <= value <= layers:
                raise InputError.at(
                    f"{source}.cut[{index}]",
                    f"is {value:g}, a cut of this model is a whole number from 1 to {layers}",
                )
        shares = {
            name: number_table(checked[name], f"{source}.{name}", "a fraction", (devices,))
            for name in SHARES
        }
        return cls(cut.astype(np.int64), **shares)


def _frozen(value: Any, dtype: Any) -> Any:
    array = np.array(value, dtype=dtype)
    array.setflags(write=False)
    return array
