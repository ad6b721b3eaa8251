"""Decisions by group: alike devices with the same cut and the same shares are one part.

Alike devices may have different cuts at the optimum, a few of each group, and those of one cut have
equal shares: the objectives are convex in them. A decision about a hundred million devices in
twenty groups is therefore some thirty parts, each a group, a cut, a number of devices, and what
every one of these gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from splitopt.documents.packed import pack_if_long, unpacked
from splitopt.errors import InputError
from splitopt.problems.arrays import index_array, indices, number_table, share_array
from splitopt.problems.base import FloatArray, IntArray, check_keys
from splitopt.problems.cut_and_resources.decision import CUT_RULE, SHARES, CutAndResourcesDecision

_PLACES = ("group", "cut", "devices")
_MOST_DEVICES = 2**31


class GroupCuts(NamedTuple):
    """K parts: so many ``devices`` of a ``group``, counted from 0, have a ``cut``, 1..L.

    Each has shape (K,); no two parts have the same group and cut.
    """

    group: IntArray
    cut: IntArray
    devices: IntArray

    @classmethod
    def of_counts(cls, counts: IntArray) -> GroupCuts:
        """Return the parts of a table (G, L) of devices by group and cut."""
        group, column = np.nonzero(counts)
        return cls(group, column + 1, counts[group, column])


@dataclass(frozen=True, eq=False)
class GroupedDecision:
    """Where every group of devices cuts and what each of its devices gets.

    Parameters
    ----------
    group, cut, devices
        Shape (K,): see `GroupCuts`.
    download_share, upload_share, server_share
        Shape (K,): what EVERY device of the part has, a fraction of the whole resource. Times
        ``devices`` they add up to at most 1.
    """

    group: IntArray
    cut: IntArray
    devices: IntArray
    download_share: FloatArray
    upload_share: FloatArray
    server_share: FloatArray

    def __post_init__(self) -> None:
        for name in _PLACES:
            object.__setattr__(self, name, _frozen(index_array(getattr(self, name), name)))
        for name in SHARES:
            object.__setattr__(self, name, _frozen(share_array(getattr(self, name), name)))
        sizes = {len(getattr(self, name)) for name in (*_PLACES, *SHARES)}
        if len(sizes) != 1:
            raise InputError.at("decision", f"has arrays of {sorted(sizes)} parts; give one length")

    @property
    def parts(self) -> GroupCuts:
        """The cuts without the shares."""
        return GroupCuts(self.group, self.cut, self.devices)

    @property
    def shares(self) -> FloatArray:
        """Shape (K, 3): the shares of every device of each part: download, upload, server."""
        return np.stack([getattr(self, name) for name in SHARES], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data; arrays of many parts are packed."""
        return {
            "problem": "cut_and_resources",
            **{name: pack_if_long(getattr(self, name)) for name in (*_PLACES, *SHARES)},
        }

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], groups: int, layers: int, source: str = "decision"
    ) -> GroupedDecision:
        """Read a decision for `groups` groups and a model of `layers` layers."""
        checked = check_keys(document, (*_PLACES, *SHARES), ("problem",), source)
        given = {name: unpacked(checked[name], f"{source}.{name}") for name in (*_PLACES, *SHARES)}
        limits = {
            "group": ("groups are counted from 0", 0, groups - 1),
            "cut": (CUT_RULE, 1, layers),
            "devices": ("a part has devices", 1, _MOST_DEVICES),
        }
        read: dict[str, Any] = {}
        length = -1
        for name, (rule, least, most) in limits.items():
            read[name] = indices(given[name], f"{source}.{name}", rule, least, most, length)
            length = len(read[name])
        if length == 0:
            raise InputError.at(f"{source}.group", "has no entries; give a part for every group")
        for name in SHARES:
            read[name] = number_table(given[name], f"{source}.{name}", "a fraction", (length,))
        return cls(**read)

    def by_device(self) -> CutAndResourcesDecision:
        """Return the same decision with an entry for every single device.

        Devices are numbered group by group, and within a group in the order of its parts.
        """
        order = np.argsort(self.group, kind="stable")
        many = self.devices[order]
        shares = {name: np.repeat(getattr(self, name)[order], many) for name in SHARES}
        return CutAndResourcesDecision(np.repeat(self.cut[order], many), **shares)


def is_grouped(document: Any) -> bool:
    """Report whether plain data of a decision are by group."""
    return isinstance(document, Mapping) and "group" in document


def dealt(counts: IntArray, member: IntArray, groups: IntArray) -> GroupCuts:
    """Deal the devices of classes to the groups that were merged into them.

    Parameters
    ----------
    counts
        Shape (C, L): devices by class and cut.
    member
        Shape (G,): the class of each group.
    groups
        Shape (G,): how many devices each group has; those of a class add up to its counts.
    """
    if len(counts) == len(groups) and bool((member == np.arange(len(groups))).all()):
        return GroupCuts.of_counts(counts)
    # On the line of a class its devices stand in the order of their cuts, and its groups take
    # their devices from it one after the other: a part is where a group and a cut overlap.
    order = np.argsort(member, kind="stable")
    end = np.cumsum(groups[order])
    class_, column = np.nonzero(counts)
    edge = np.cumsum(counts[class_, column])
    ends = np.union1d(end, edge)
    devices = np.diff(ends, prepend=0)
    group = order[np.searchsorted(end, ends)]
    cut = column[np.searchsorted(edge, ends)] + 1
    places = np.lexsort((cut, group))
    return GroupCuts(group[places], cut[places], devices[places])


def _frozen(value: Any) -> Any:
    array = np.array(value)
    array.setflags(write=False)
    return array
