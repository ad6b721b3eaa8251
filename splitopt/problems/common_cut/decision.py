"""The decision of `CommonCut`: one cut, and what every device has of the resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.documents.checks import as_whole
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number_table, share_array
from splitopt.problems.base import FloatArray, check_keys
from splitopt.problems.cut_and_resources.decision import SHARES


@dataclass(frozen=True, eq=False)
class CommonCutDecision:
    """Where all devices cut, and what each has of the resources while it uses them.

    Parameters
    ----------
    cut
        1..L: how many layers stay on the devices. L leaves nothing to the server.
    download_share, upload_share, server_share
        Shape (N,). Where devices work side by side, fractions of the whole resource that add up to
        at most 1; where they take turns, 1 for each.
    """

    cut: int
    download_share: FloatArray
    upload_share: FloatArray
    server_share: FloatArray

    def __post_init__(self) -> None:
        cut = as_whole(self.cut.item() if hasattr(self.cut, "item") else self.cut)
        if cut is None:
            raise InputError.at("cut", f"is {shown(self.cut)}, it must be a whole number")
        object.__setattr__(self, "cut", cut)
        for name in SHARES:
            array = np.array(share_array(getattr(self, name), name))
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def shares(self) -> FloatArray:
        """Shape (N, 3): download, upload and server."""
        return np.stack([getattr(self, name) for name in SHARES], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        shares = {name: getattr(self, name).tolist() for name in SHARES}
        return {"problem": "common_cut", "cut": self.cut, **shares}

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], devices: int, layers: int, source: str = "decision"
    ) -> CommonCutDecision:
        """Read a decision for `devices` devices and a model of `layers` layers."""
        checked = check_keys(document, ("cut", *SHARES), ("problem",), source)
        cut = check_cut(checked["cut"], layers, f"{source}.cut")
        shares = {
            name: number_table(checked[name], f"{source}.{name}", "a fraction", (devices,))
            for name in SHARES
        }
        return cls(cut, **shares)


def check_cut(value: Any, layers: int, source: str) -> int:
    """Return a cut from 1 to `layers`; raise `InputError` for anything else."""
    cut = as_whole(value.item() if getattr(value, "ndim", None) == 0 else value)
    if cut is None or not 1 <= cut <= layers:
        raise InputError.at(
            source, f"is {shown(value)}; a cut counts layers on the devices, from 1 to {layers}"
        )
    return cut
