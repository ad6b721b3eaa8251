"""The pipeline of MP-SL, event by event: owners, their links, nodes, and the links between nodes.

Every owner has one batch in flight. A node is a single server that takes forward and backward tasks
in the order in which they arrive; so are one direction of a full-duplex link, a half-duplex link,
and an interface. A message between two interfaces occupies each of them for its own time, at the
same moment if both are free, so that it takes as long as the slower one.
"""

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
    node_period,
    paper_training_time,
    pipeline_load,
    training_time,
    trips,
)
from splitopt.latency.pipeline_resources import (
    interface_seconds,
    link_seconds,
    transfer_seconds,
)
from splitopt.simulation.fifo import serve
from splitopt.simulation.noise import check_noise, noise_factors
from splitopt.simulation.route import Route, pipeline_route
from splitopt.timeline import FloatArray, IntArray, Timeline


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


@dataclass(frozen=True, eq=False)
class PipelineSystem:
    """A chain of M nodes that serves K owners, with all times given.

    Parameters
    ----------
    stages
        Shape (M,): forward and backward seconds of a batch on each node, in chain order.
    owners
        Scalars or shape (K,), see `OwnerParts`; each owner's link is its own.
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
    """

    stages: Stages
    owners: OwnerParts
    batches_per_owner: IntArray
    hops: Hops | None = None
    ports: Ports | None = None
    duplex: str = "full"
    node_names: tuple[str, ...] = ()
    owner_names: tuple[str, ...] = ()

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
        for field, size, label in (
            ("node_names", nodes, "node"),
            ("owner_names", batches.size, "owner"),
        ):
            names = getattr(self, field) or tuple(f"{label} {index}" for index in range(size))
            if len(names) != size:
                raise InputError.at(field, f"has {len(names)} names for {size}")
            object.__setattr__(self, field, tuple(names))

    @cached_property
    def route(self) -> Route:
        """The steps of a batch, and the resources that they occupy."""
        return pipeline_route(self)

    @cached_property
    def busy_s(self) -> dict[str, float]:
        """Seconds per batch of every node, link and interface, by the names of the timeline.

        Both directions of a full-duplex link or interface stand here as one entry.
        """
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
        """Seconds per batch of the busiest node, link or interface."""
        return max(self.busy_s.values())

    @property
    def binding(self) -> str:
        """Name of that resource, the first one of several."""
        return max(self.busy_s, key=lambda name: self.busy_s[name])

    @cached_property
    def trips_s(self) -> FloatArray:
        """Shape (K,): s of one batch of each owner while all else is idle."""
        owners = self.owners
        if self.ports is not None:  # the node's interface may be slower than the owner's link
            last = len(self.node_names)
            ends = {
                "to_first_s": (0, 0, True),
                "from_first_s": (0, 0, False),
                "from_last_s": (last, last - 1, True),
                "to_last_s": (last, last - 1, False),
            }
            slower = {
                field: np.maximum(getattr(owners, field), self.ports.seconds(*where))
                for field, where in ends.items()
            }
            owners = owners._replace(**slower)
        return np.asarray(trips(self.stages, owners, self.hops))

    @property
    def load(self) -> float:
        """How many times over the owners could fill the pipeline, K period / mean trip."""
        return float(pipeline_load(self.trips_s, self.period_s))

    @property
    def closed_form_s(self) -> float:
        """Predicted s of all batches by the closed form, `training_time`."""
        return float(training_time(self.trips_s, self.period_s, self.batches_per_owner))

    @property
    def nodes_only_s(self) -> float:
        """The closed form with a period of the nodes alone, as if links were never busy."""
        period = node_period(self.stages)
        return float(training_time(self.trips_s, period, self.batches_per_owner))

    @property
    def paper_s(self) -> float:
        """Predicted s of all batches by MP-SL's Eq. 4."""
        total = int(self.batches_per_owner.sum())
        return float(paper_training_time(self.stages, self.owners, total))


def run_pipeline(
    system: PipelineSystem, *, noise: float = 0.0, seed: int = 0, compiled: bool | None = None
) -> Timeline:
    """Simulate all batches of all owners.

    Parameters
    ----------
    noise
        Standard deviation of the factor, of mean 1, by which every task and transfer is stretched.
    seed
        Seed of the noise.
    compiled
        Whether to use the compiled event loop; by default where it is worth it.

    Raises
    ------
    InputError
        The noise is negative.
    """
    route, cycles = system.route, system.batches_per_owner
    columns = int(route.steps.factor.max(initial=-1)) + 1
    factors = noise_factors((int(cycles.sum()), columns), check_noise(noise), seed)
    start, end = serve(route.steps, cycles, factors, compiled)
    owner = np.repeat(np.arange(cycles.size), cycles)
    batch = np.concatenate([np.arange(count) for count in cycles])
    return route.timeline(
        system.owner_names, owner, batch, start, end, {"noise": float(noise), "seed": seed}
    )


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
