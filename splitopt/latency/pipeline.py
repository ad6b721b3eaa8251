"""Multihop parallel split learning: a chain of compute nodes that many data owners share (MP-SL).

A batch of a data owner goes through the owner's first part of the model, through the nodes of the
chain, and through the owner's last part; then back the same way. An owner has one batch in flight;
a node serves the forward and backward tasks of all owners one after the other.

All functions are pure, take an array namespace (`numpy` or `jax.numpy`) and broadcast over leading
axes, so that JAX can differentiate, ``jit`` and ``vmap`` them; in JAX, call them inside
`splitopt.latency.precision.double_precision`. The tuples of arrays are pytrees. Times are seconds
per batch. Transfers and links have a module of their own, `splitopt.latency.pipeline_resources`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

SECONDS_PER_HOUR = 3600.0


PHASES = (
    "first part forward",
    "activations",
    "forward",
    "last part",
    "gradients",
    "backward",
    "first part backward",
)
"""What happens to a batch; activations and gradients are transfers, the rest is computing."""

AGGREGATION = ("parts upload", "averaging", "parts download")
"""What happens at the end of a global epoch: the owners' parts of the model are averaged."""


class Stages(NamedTuple):
    """What the M nodes of a chain compute for one batch, shape (..., M) in s, in chain order."""

    forward_s: Any
    backward_s: Any


class Hops(NamedTuple):
    """The transfers of one batch between neighbouring nodes, shape (..., M - 1) in s.

    Parameters
    ----------
    up_s, down_s
        Activations on the way forward, gradients on the way back.
    up_delay_s, down_delay_s
        Propagation delay each way: it delays a message and occupies nothing.
    """

    up_s: Any
    down_s: Any
    up_delay_s: Any = 0.0
    down_delay_s: Any = 0.0


class OwnerParts(NamedTuple):
    """What each of the K data owners adds to a batch, shape (..., K) in s; scalars are for all.

    Parameters
    ----------
    first_forward_s, first_backward_s
        The model's first part, on the owner.
    last_s
        The model's last part with the loss, forward and backward, on the owner.
    to_first_s, from_first_s
        Activations to the first node, and their gradients back, over the owner's own link.
    from_last_s, to_last_s
        Activations from the last node, and their gradients back, over the owner's own link.
    latency_s
        One-way propagation delay of the owner's link.
    """

    first_forward_s: Any
    last_s: Any
    first_backward_s: Any
    to_first_s: Any = 0.0
    from_last_s: Any = 0.0
    to_last_s: Any = 0.0
    from_first_s: Any = 0.0
    latency_s: Any = 0.0

    @property
    def compute_s(self) -> Any:
        """Shape (..., K): what the owner itself computes for a batch."""
        return self.first_forward_s + self.last_s + self.first_backward_s

    @property
    def transfer_s(self) -> Any:
        """Shape (..., K): the four transfers between the owner and the nodes, with their delays."""
        moved = self.to_first_s + self.from_last_s + self.to_last_s + self.from_first_s
        return moved + 4 * self.latency_s


def slowest_forward(stages: Stages) -> Any:
    """Shape (...): the slowest node of the way forward (Eq. 1)."""
    return stages.forward_s.max(axis=-1)


def slowest_backward(stages: Stages) -> Any:
    """Shape (...): the slowest node of the way back (Eq. 2)."""
    return stages.backward_s.max(axis=-1)


def paper_period(stages: Stages) -> Any:
    """Shape (...): s per batch of a full pipeline as MP-SL has it, max F + max B (Eq. 3).

    It is an upper bound on `node_period`, with equality where one node is the slowest both ways.
    """
    return slowest_forward(stages) + slowest_backward(stages)


def node_period(stages: Stages) -> Any:
    """Shape (...): s per batch of a full pipeline of FIFO nodes, max (F + B).

    Every node does one forward and one backward task per batch. Links and interfaces have busy
    times of their own, see `splitopt.latency.pipeline_resources`; the period is the maximum of all.
    """
    return (stages.forward_s + stages.backward_s).max(axis=-1)


def empty_batch(stages: Stages) -> Any:
    """Shape (...): s that a batch takes through nodes that are idle (procT^pipeempty)."""
    return stages.forward_s.sum(axis=-1) + stages.backward_s.sum(axis=-1)


def chain_latency(stages: Stages, hops: Hops | None = None, xp: Any = np) -> Any:
    """Shape (...): s of one batch through idle nodes and the links between them, both ways."""
    if hops is None:
        return empty_batch(stages)
    moved = xp.asarray(hops.up_s + hops.down_s + hops.up_delay_s + hops.down_delay_s)
    return empty_batch(stages) + moved.sum(axis=-1)


def start_delay(owners: OwnerParts, xp: Any = np) -> Any:
    """Shape (...): s until the first batch reaches the first node, on average (startT^first)."""
    return _mean(owners.first_forward_s + owners.to_first_s + owners.latency_s, xp)


def end_delay(owners: OwnerParts, xp: Any = np) -> Any:
    """Shape (...): s from the last task of the first node to the end, on average (endT^last)."""
    return _mean(owners.from_first_s + owners.first_backward_s + owners.latency_s, xp)


def paper_training_time(stages: Stages, owners: OwnerParts, batches: Any, xp: Any = np) -> Any:
    """Shape (...): s of all batches by MP-SL's model, T^all (Eq. 4).

    It counts neither the owner's last part, nor the transfers of the last cut, nor those between
    nodes, and it takes the pipeline to be full all the time.

    Parameters
    ----------
    batches
        All batches of all owners, r B K.
    """
    return (
        start_delay(owners, xp)
        + empty_batch(stages)
        + (batches - 1) * paper_period(stages)
        + end_delay(owners, xp)
    )


def trips(stages: Stages, owners: OwnerParts, hops: Hops | None = None, xp: Any = np) -> Any:
    """Shape (..., K): s of one batch of each owner, there and back, while all else is idle."""
    own = owners.compute_s + owners.transfer_s
    return xp.asarray(chain_latency(stages, hops, xp))[..., None] + own


def behind_interfaces(
    owners: OwnerParts,
    to_first_s: Any,
    from_first_s: Any,
    from_last_s: Any,
    to_last_s: Any,
    xp: Any = np,
) -> OwnerParts:
    """Return the owners' parts where the nodes at both ends have interfaces of their own.

    A message between owner and node takes as long as the slower of the owner's link and the node's
    interface.

    Parameters
    ----------
    owners
        What the owners' links take.
    to_first_s, from_first_s
        What the interface of the first node takes to receive activations and to send gradients.
    from_last_s, to_last_s
        What that of the last node takes to send activations and to receive gradients.
    """
    return owners._replace(
        to_first_s=xp.maximum(owners.to_first_s, to_first_s),
        from_first_s=xp.maximum(owners.from_first_s, from_first_s),
        from_last_s=xp.maximum(owners.from_last_s, from_last_s),
        to_last_s=xp.maximum(owners.to_last_s, to_last_s),
    )


def training_time(
    trips_s: Any, period_s: Any, batches_per_owner: Any, xp: Any = np, count: Any = 1
) -> Any:
    """Shape (...): s of all batches in closed form.

    ``max(mean(trip) + (n - 1) period, max_k n_k trip_k)``: either the pipeline is full, or the
    slowest owner is all that counts. With n = K n_k it is the corrected Eq. 4; how far it is from
    a simulation, by load, stands on the page *Simulation* of the documentation.

    Parameters
    ----------
    trips_s
        Shape (..., K), see `trips`.
    period_s
        Shape (...): busy seconds per batch of the busiest node, link or interface.
    batches_per_owner
        n_k = r B of each owner, scalar or shape (..., K).
    count
        How many owners each of the K entries stands for, scalar or shape (K,).
    """
    own = batches_per_owner + xp.zeros_like(trips_s)
    full = _weighted(trips_s, count, xp) + ((count * own).sum(axis=-1) - 1) * period_s
    return xp.maximum(full, (own * trips_s).max(axis=-1))


def epoch_time(latency_s: Any, period_s: Any, batches: Any) -> Any:
    """Shape (...): s of n batches through a pipeline that is filled once: latency + (n - 1) period.

    The objective ``epoch`` of the pipeline problem.
    """
    return latency_s + (batches - 1) * period_s


def pipeline_load(trips_s: Any, period_s: Any, xp: Any = np, count: Any = 1) -> Any:
    """Shape (...): K period / mean trip, how many times over the owners could fill the pipeline.

    Above 1 nodes or links are the limit, below it the owners' own trips are. Each of the entries
    stands for `count` owners.
    """
    owners = (count + xp.zeros_like(trips_s)).sum(axis=-1)
    return owners * period_s / _weighted(trips_s, count, xp)


def aggregation_time(
    upload_s: Any,
    aggregate_s: Any,
    download_s: Any,
    xp: Any = np,
    *,
    count: Any = 1,
    latency_s: Any = 0.0,
    shared: bool = False,
) -> Any:
    """Shape (...): s from the last batch to the next global epoch, T_aggr (section 4.2).

    Parameters
    ----------
    upload_s
        Shape (..., K): first and last part of each owner's model to the aggregator. Only the last
        to finish counts, which is taken to be an average one.
    aggregate_s
        Averaging at the aggregator.
    download_s
        Shape (..., K): the new parts to each owner, one owner after the other.
    count
        How many owners each of the K entries stands for, scalar or shape (K,).
    latency_s
        Propagation delay of the last upload and of the last download (not in the paper).
    shared
        The owners share one uplink: then their uploads follow one another too, and all of them
        count, as if they all ended their last batch together (not in the paper).
    """
    sent = xp.atleast_1d(xp.asarray(upload_s))
    upload = (count * sent).sum(axis=-1) if shared else _weighted(sent, count, xp)
    download = (count * xp.atleast_1d(xp.asarray(download_s))).sum(axis=-1)
    return upload + aggregate_s + download + 2 * latency_s


def global_epoch(training_s: Any, aggregation_s: Any) -> Any:
    """Shape (...): s of a global epoch, T_tot (Eq. 5)."""
    return training_s + aggregation_s


def rent(seconds: Any, price_per_hour: Any, xp: Any = np) -> Any:
    """Shape (...): what virtual machines cost that are rented for `seconds`.

    Parameters
    ----------
    seconds
        Shape (...).
    price_per_hour
        Shape (..., N): price of each machine, per hour, in any currency.
    """
    return seconds / SECONDS_PER_HOUR * xp.asarray(price_per_hour).sum(axis=-1)


def _weighted(values: Any, count: Any, xp: Any) -> Any:
    """Average over the last axis, in which each entry stands for `count` ones."""
    weight = count + xp.zeros_like(values)
    return (weight * values).sum(axis=-1) / weight.sum(axis=-1)


def _mean(values: Any, xp: Any) -> Any:
    """Average over the last axis; a scalar is its own average."""
    found = xp.asarray(values)
    return found.mean(axis=-1) if found.ndim else found
