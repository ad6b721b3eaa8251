"""What the data owners of a pipeline add to its round: their own parts, their links, their batches.

The nodes' problem needs none of it; the objective ``round`` does, as do predictions of a round and
its simulation: all of them read it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.documents.checks import is_integer
from splitopt.errors import InputError, shown
from splitopt.latency.pipeline import (
    OwnerParts,
    aggregation_time,
    behind_interfaces,
    pipeline_load,
    training_time,
)
from splitopt.latency.pipeline_resources import channel_seconds
from splitopt.problems.arrays import number, number_table
from splitopt.problems.base import FloatArray, IntArray, check_keys

_TIMES = OwnerParts._fields[:-1]
_REQUIRED = ("count", "batches")
_OPTIONAL = (*_TIMES, "latency_s", "upload_s", "download_s", "aggregate_s", "shared")
CHANNELS = ("uplink", "downlink")


@dataclass(frozen=True, eq=False)
class OwnerGroups:
    """G groups of alike data owners; build it with `read`, which checks everything.

    Parameters
    ----------
    count
        Shape (G,): owners in each group.
    batches
        Shape (G,): batches of a round of each owner (r B in MP-SL).
    parts
        Arrays of shape (G,): what an owner of the group adds to a batch, in s; the delay of the
        owners' links is a scalar for all.
    upload_s, download_s
        Shape (G,): the owner's parts of the model to the aggregator at the end of a round, and
        their averages back.
    aggregate_s
        Averaging.
    shared
        Whether all owners share one uplink and one downlink; otherwise each has its own.
    """

    count: IntArray
    batches: IntArray
    parts: OwnerParts
    upload_s: FloatArray
    download_s: FloatArray
    aggregate_s: float = 0.0
    shared: bool = False

    @classmethod
    def read(cls, document: Any, source: str = "owner_groups") -> OwnerGroups | None:
        """Read the groups from plain data; None stays None.

        Raises
        ------
        InputError
            A key, type, shape or value that does not fit; the message names it.
        """
        if document is None or isinstance(document, OwnerGroups):
            return document
        data = check_keys(document, _REQUIRED, _OPTIONAL, source)
        count = _whole(data["count"], f"{source}.count", (-1,))
        shape = count.shape
        batches = _whole(data["batches"], f"{source}.batches", shape)
        times = {
            key: number_table(data.get(key, np.zeros(shape)), f"{source}.{key}", "s", shape)
            for key in (*_TIMES, "upload_s", "download_s")
        }
        upload_s, download_s = times.pop("upload_s"), times.pop("download_s")
        latency_s = number(data.get("latency_s", 0.0), f"{source}.latency_s", "s")
        shared = data.get("shared", False)
        if isinstance(shared, np.ndarray) and shared.ndim == 0:
            shared = shared.item()
        if not isinstance(shared, bool | np.bool_):
            raise InputError.at(f"{source}.shared", f"is {shared!r}, it must be true or false")
        return cls(
            count,
            batches,
            OwnerParts(**times, latency_s=latency_s),
            upload_s,
            download_s,
            number(data.get("aggregate_s", 0.0), f"{source}.aggregate_s", "s"),
            bool(shared),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the groups as data of an instance file; what is zero is left out."""
        found: dict[str, Any] = {"count": self.count, "batches": self.batches}
        values: Mapping[str, Any] = {
            **self.parts._asdict(),
            "upload_s": self.upload_s,
            "download_s": self.download_s,
            "aggregate_s": self.aggregate_s,
        }
        found |= {key: value for key, value in values.items() if np.any(value)}
        if self.shared:
            found["shared"] = True
        return found

    @property
    def owners(self) -> int:
        """Return the number of owners K."""
        return int(self.count.sum())

    @property
    def all_batches(self) -> int:
        """Return the batches of all owners in a round."""
        return int((self.count * self.batches).sum())

    @cached_property
    def member(self) -> IntArray:
        """Shape (K,): the group of each owner."""
        return np.repeat(np.arange(len(self.count)), self.count)

    @cached_property
    def channel_s(self) -> dict[str, float]:
        """Busy seconds per batch of the channels that all owners share, by `CHANNELS`."""
        if not self.shared:
            return {}
        parts, weight = self.parts, self.count * self.batches
        moved = (parts.to_first_s + parts.to_last_s, parts.from_last_s + parts.from_first_s)
        return {
            name: float(channel_seconds(taken, weight))
            for name, taken in zip(CHANNELS, moved, strict=True)
        }

    @property
    def busiest_channel(self) -> dict[str, Any] | None:
        """Name the busier of the shared channels; None where there are none."""
        if not self.channel_s:
            return None
        name = max(self.channel_s, key=self.channel_s.__getitem__)
        return {"kind": "channel", "name": name, "busy_s": self.channel_s[name]}

    @property
    def aggregates(self) -> bool:
        """Whether anything is sent or computed at the end of a round."""
        return bool(self.upload_s.any() or self.download_s.any() or self.aggregate_s)

    @cached_property
    def aggregation_s(self) -> float:
        """Seconds from the last batch to the next round (MP-SL section 4.2), 0 without models."""
        if not self.aggregates:
            return 0.0
        return float(
            aggregation_time(
                self.upload_s,
                self.aggregate_s,
                self.download_s,
                count=self.count,
                latency_s=self.parts.latency_s,
                shared=self.shared,
            )
        )

    def parts_at(self, first: tuple[float, float], last: tuple[float, float]) -> OwnerParts:
        """Return what an owner of each group adds to a batch at nodes that have interfaces.

        Parameters
        ----------
        first
            What the interface of the first node takes for a batch's activations in and for its
            gradients out, in s.
        last
            What that of the last node takes for its activations out and for its gradients in.
        """
        return behind_interfaces(self.parts, *first, *last)

    def period_s(self, period_s: Any) -> Any:
        """Return the period of a pipeline whose nodes and links have this one."""
        return np.maximum(period_s, max(self.channel_s.values(), default=0.0))

    def batches_time(self, own_s: FloatArray, chain_s: Any, period_s: Any) -> Any:
        """Shape (...): s of all batches of a round in closed form.

        Parameters
        ----------
        own_s
            Shape (G,): what an owner of each group adds to a trip.
        chain_s, period_s
            Shape (...): a batch over nodes and links alone, and the period that they have.
        """
        trips_s = np.asarray(chain_s)[..., None] + own_s
        return training_time(trips_s, self.period_s(period_s), self.batches, count=self.count)

    def round_time(self, own_s: FloatArray, chain_s: Any, period_s: Any) -> Any:
        """Shape (...): s of a round with its aggregation (Eq. 5); parameters as `batches_time`."""
        return self.batches_time(own_s, chain_s, period_s) + self.aggregation_s

    def load(self, own_s: FloatArray, chain_s: float, period_s: float) -> float:
        """Return how many times over the owners could fill the pipeline."""
        trips_s = chain_s + own_s
        return float(pipeline_load(trips_s, self.period_s(period_s), count=self.count))


def checked_owners(
    value: Any, owners: int, batches: Any, *, needed: bool
) -> tuple[OwnerGroups | None, Any]:
    """Read the groups of a problem and hold them against its numbers of owners and batches.

    Returns
    -------
    groups, batches
        The number of batches is that of the groups where the problem states none.

    Raises
    ------
    InputError
        Groups that cannot be read, are missing, or are of other owners or batches.
    """
    groups = OwnerGroups.read(value)
    if groups is None:
        if needed:
            raise InputError.at(
                "owner_groups", "is missing, the objective 'round' needs what the owners add to it"
            )
        return None, batches
    found = groups.all_batches if batches is None else batches
    for field, stated, there in (
        ("owners", owners, groups.owners),
        ("batches", found, groups.all_batches),
    ):
        if not is_integer(stated) or stated != there:
            raise InputError.at(field, f"is {shown(stated)}, but owner_groups have {there}")
    return groups, found


def _whole(value: Any, source: str, shape: tuple[int, ...]) -> IntArray:
    """Read whole numbers of at least 1."""
    found = number_table(value, source, "whole numbers >= 1", shape)
    if (bad := np.flatnonzero((found < 1) | (found != np.floor(found)))).size:
        raise InputError.at(
            f"{source}[{bad[0]}]", f"is {found[bad[0]]:g}, it must be a whole number >= 1"
        )
    whole = found.astype(np.int64)
    whole.setflags(write=False)
    return whole
