"""The decision of `CutAndResources`: a cut per device and its shares of three resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import index_array, indices, number_table, share_array
from splitopt.problems.base import FloatArray, IntArray, check_keys

CUT_RULE = "cuts count layers on the device"
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

    per_device: ClassVar[tuple[str, ...]] = ("cut", *SHARES)
    """What has an entry for each device."""

    cut: IntArray
    download_share: FloatArray
    upload_share: FloatArray
    server_share: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "cut", _frozen(index_array(self.cut, "cut")))
        for name in SHARES:
            object.__setattr__(self, name, _frozen(share_array(getattr(self, name), name)))

    @property
    def by_resource(self) -> tuple[FloatArray, ...]:
        """The shares (N,) of each resource, in the order of the problem's ``resources``."""
        return self.download_share, self.upload_share, self.server_share

    @property
    def shares(self) -> FloatArray:
        """Shape (N, 3): the shares in the order of the problem's ``resources``."""
        return np.stack(self.by_resource, axis=1)

    def of_fleet(self, devices: int) -> Self:
        """Return the decision itself, if it is about so many devices; else raise `InputError`."""
        for name in self.per_device:
            if len(getattr(self, name)) != devices:
                raise InputError.at(
                    f"decision.{name}",
                    f"has {len(getattr(self, name))} entries for a problem of {devices} devices; "
                    "give one for each",
                )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
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
        cut = indices(checked["cut"], f"{source}.cut", CUT_RULE, 1, layers, devices)
        shares = {
            name: number_table(checked[name], f"{source}.{name}", "a fraction", (devices,))
            for name in SHARES
        }
        return cls(cut, **shares)


def decision_from_shares(
    cuts: Sequence[int] | IntArray, shares: FloatArray
) -> CutAndResourcesDecision:
    """Make a decision of cuts (N,) and shares (N, 3): download, upload, server."""
    return CutAndResourcesDecision(
        np.asarray(cuts, dtype=np.int64), shares[:, 0], shares[:, 1], shares[:, 2]
    )


def _frozen(value: Any) -> Any:
    array = np.array(value)
    array.setflags(write=False)
    return array
