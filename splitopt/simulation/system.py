"""What is simulated of a pipeline: nodes, owners, links and interfaces, with all times given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.pipeline import (
    Hops,
    OwnerParts,
    Stages,
    aggregation_time,
    behind_interfaces,
    global_epoch,
    node_period,
    paper_training_time,
    pipeline_load,
    training_time,
    trips,
)
from splitopt.latency.pipeline_resources import (
    channel_seconds,
    interface_seconds,
    link_seconds,
    transfer_seconds,
)
from splitopt.problems.arrays import number
from splitopt.timeline import FloatArray, IntArray


class Ports(NamedTuple):
    """The interfaces of nodes that have one for all of their neighbours.

    Parameters
    ----------
    up_bytes, down_bytes
        Shape (M + 1,): activations and gradients of a batch over each boundary of the chain, from
        the owner to the first node (0) to the last node to the owner (M).
    bandwidth
        Shape (M,): byte/s of each node's interface.
    blocks_compute
        Whether a node cannot compute while its interface works (``serial``).
    """

    up_bytes: FloatArray
    down_bytes: FloatArray
    bandwidth: FloatArray
    blocks_compute: bool = False

    def seconds(self, boundary: int, node: int, forward: bool) -> float:
        """Time in s for which a message over a boundary occupies the interface of a node."""
        size = (self.up_bytes if forward else self.down_bytes)[boundary]
        return float(transfer_seconds(size, self.bandwidth[node]))


class Aggregation(NamedTuple):
    """How the owners' parts of the model are averaged, in s.

    Parameters
    ----------
    upload_s, download_s
        Shape (K,): the parts of each owner to the aggregator, and the average back.
    aggregate_s
        Averaging.
    """

    upload_s: Any
    download_s: Any
    aggregate_s: float = 0.0


@dataclass(frozen=True, eq=False)
class PipelineSystem:
    """A chain of M nodes that serves K owners, with all times given.

    Parameters
    ----------
    stages
        Shape (M,): forward and backward seconds of a batch on each node, in chain order.
    owners
        Scalars or shape (K,), see `OwnerParts`.
    batches_per_owner
        Shape (K,), whole numbers >= 0: batches times local epochs of each owner (r B).
    hops
        Shape (M - 1,): transfers between neighbours; None if they cost nothing.
    ports
        The nodes' interfaces; None if every boundary has a link of its own. The transfers of
        `hops` must then be those over the slower interface.
    duplex
        ``"full"``, or ``"half"``: both directions of a link or an interface exclude each other.
    node_names, owner_names
        M and K names; numbers from 0 by default.
    shared
        Whether all owners share one uplink and one downlink, which carry one message at a time;
        otherwise each has a link of its own, and its messages take turns anyway.
    aggregation
        What ends a global epoch; None if nothing is averaged.
    """

    stages: Stages
    owners: OwnerParts
    batches_per_owner: IntArray
    hops: Hops | None = None
    ports: Ports | None = None
    duplex: str = "full"
    node_names: tuple[str, ...] = ()
    owner_names: tuple[str, ...] = ()
    shared: bool = False
    aggregation: Aggregation | None = None

    def __post_init__(self) -> None:
        forward = _finite(self.stages.forward_s, "forward_s", (-1,))
        nodes = forward.size
        backward = _finite(self.stages.backward_s, "backward_s", (nodes,))
        object.__setattr__(self, "stages", Stages(forward, backward))
        if self.duplex not in ("full", "half"):
            raise InputError.at("duplex", f"is {self.duplex!r}, it must be 'full' or 'half'")
        batches = _finite(self.batches_per_owner, "batches_per_owner", (-1,))
        if (batches != np.floor(batches)).any():
            raise InputError.at("batches_per_owner", "must hold whole numbers")
        object.__setattr__(self, "batches_per_owner", batches.astype(np.int64))
        for name in ("owners", "hops"):
            size = batches.size if name == "owners" else nodes - 1
            group = getattr(self, name)
            if group is not None:
                spread = {
                    field: _finite(np.broadcast_to(value, (size,)), f"{name}.{field}", (size,))
                    for field, value in group._asdict().items()
                }
                object.__setattr__(self, name, type(group)(**spread))
        if self.ports is not None:
            shapes = {"up_bytes": nodes + 1, "down_bytes": nodes + 1, "bandwidth": nodes}
            checked: dict[str, Any] = {
                field: _finite(getattr(self.ports, field), f"ports.{field}", (size,))
                for field, size in shapes.items()
            }
            object.__setattr__(self, "ports", self.ports._replace(**checked))
        if self.aggregation is not None:
            spread = {
                field: _finite(
                    np.broadcast_to(getattr(self.aggregation, field), batches.shape),
                    f"aggregation.{field}",
                    batches.shape,
                )
                for field in ("upload_s", "download_s")
            }
            aggregate_s = number(self.aggregation.aggregate_s, "aggregation.aggregate_s", "s")
            object.__setattr__(self, "aggregation", Aggregation(**spread, aggregate_s=aggregate_s))
        for field, size, label in (
            ("node_names", nodes, "node"),
            ("owner_names", batches.size, "owner"),
        ):
            names = getattr(self, field) or tuple(f"{label} {index}" for index in range(size))
            if len(names) != size:
                raise InputError.at(field, f"has {len(names)} names for {size}")
            object.__setattr__(self, field, tuple(names))

    @cached_property
    def busy_s(self) -> dict[str, float]:
        """Seconds per batch of every node, link, interface and channel, by the timeline's names.

        Both directions of a full-duplex link or interface stand here as one entry.
        """
        return self._inner_busy_s | self._channel_s

    @property
    def _channel_s(self) -> dict[str, float]:
        if not self.shared:
            return {}
        owners, batches = self.owners, self.batches_per_owner
        return {
            "uplink": float(channel_seconds(owners.to_first_s + owners.to_last_s, batches)),
            "downlink": float(channel_seconds(owners.from_last_s + owners.from_first_s, batches)),
        }

    @property
    def _inner_busy_s(self) -> dict[str, float]:
        compute = self.stages.forward_s + self.stages.backward_s
        names = self.node_names
        if self.ports is not None:
            moved = interface_seconds(*self.ports[:3], self.duplex)
            if self.ports.blocks_compute:
                return _named(names, compute + moved)
            interfaces = tuple(f"{name} interface" for name in names)
            return _named(names, compute) | _named(interfaces, moved)
        if self.hops is None:
            return _named(names, compute)
        links = tuple(f"{a} <-> {b}" for a, b in pairwise(names))
        taken = link_seconds(self.hops.up_s, self.hops.down_s, self.duplex)
        return _named(names, compute) | _named(links, taken)

    @property
    def period_s(self) -> float:
        """Seconds per batch of the busiest node, link, interface or channel."""
        return max(self.busy_s.values())

    @property
    def binding(self) -> str:
        """Name of that resource, the first one of several."""
        return max(self.busy_s, key=lambda name: self.busy_s[name])

    @cached_property
    def trips_s(self) -> FloatArray:
        """Shape (K,): s of one batch of each owner while all else is idle."""
        owners, last = self.owners, len(self.node_names)
        if (ports := self.ports) is not None:
            owners = behind_interfaces(
                owners,
                ports.seconds(0, 0, True),
                ports.seconds(0, 0, False),
                ports.seconds(last, last - 1, True),
                ports.seconds(last, last - 1, False),
            )
        return np.asarray(trips(self.stages, owners, self.hops))

    @property
    def load(self) -> float:
        """How many times over the owners could fill the pipeline, K period / mean trip."""
        return float(pipeline_load(self.trips_s, self.period_s))

    @property
    def aggregation_s(self) -> float:
        """Predicted s from the last batch to the next global epoch, T_aggr."""
        if (found := self.aggregation) is None:
            return 0.0
        delay = float(self.owners.latency_s.max())
        return float(
            aggregation_time(
                found.upload_s,
                found.aggregate_s,
                found.download_s,
                latency_s=delay,
                shared=self.shared,
            )
        )

    @property
    def closed_form_s(self) -> float:
        """Predicted s of a global epoch by the closed form, `training_time` and aggregation."""
        return self._epoch(self.period_s)

    @property
    def nodes_only_s(self) -> float:
        """The closed form with a period of the nodes alone, as if links were never busy."""
        return self._epoch(float(node_period(self.stages)))

    @property
    def paper_s(self) -> float:
        """Predicted s of a global epoch by MP-SL's Eq. 4 and 5."""
        total = int(self.batches_per_owner.sum())
        training_s = paper_training_time(self.stages, self.owners, total)
        return float(global_epoch(training_s, self.aggregation_s))

    def _epoch(self, period_s: float) -> float:
        training_s = training_time(self.trips_s, period_s, self.batches_per_owner)
        return float(global_epoch(training_s, self.aggregation_s))


def _finite(value: Any, name: str, shape: tuple[int, ...]) -> FloatArray:
    found = np.array(value, dtype=np.float64)
    fits = found.ndim == 1 and found.size > 0 if shape == (-1,) else found.shape == shape
    if not fits:
        wanted = "one or more entries" if shape == (-1,) else f"shape {shape}"
        raise InputError.at(name, f"has shape {found.shape}, it must have {wanted}")
    if not (np.isfinite(found) & (found >= 0)).all():
        raise InputError.at(name, "must hold finite numbers >= 0")
    found.setflags(write=False)
    return found


def _named(names: tuple[str, ...], values: FloatArray) -> dict[str, float]:
    return dict(zip(names, map(float, values), strict=True))
