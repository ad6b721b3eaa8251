"""The bytes of a round as the plan's profile has them, to hold those on the wire against."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from splitopt.problems.pipeline_partition.tables import Cuts, own_part_bytes
from splitopt.profiles.counting.adapter_ranks import at_rank
from splitopt.profiles.counting.tied import exchanged_bytes
from splitopt.training.program import ClientPlan, Program

if TYPE_CHECKING:
    from splitopt.timeline import FloatArray
    from splitopt.training.codecs.base import Way
    from splitopt.training.schemes import Client, Scheme

_WAYS: tuple[Way, Way] = ("up", "down")

KINDS = ("smashed", "gradient", "model_down", "model_up")
"""What travels, under the names of `splitopt.training.schemes.Traffic`; no table has labels."""


def planned_bytes(
    program: Program, scheme: Scheme | None = None, names: Collection[str] | None = None
) -> dict[str, float]:
    """Return the bytes of one round of all clients together, by kind.

    Every sample that a client trains on sends the output of the layer at each of its cuts forward
    and as many gradients back. The client's parts of the model come down before and go up after
    the round: the first one and, where the chain ends at the client, the last one. Where clients
    and the server hold copies of a weight, its gradients come down for every mini-batch
    (``tied_down``) and go up with all but the first (``tied_up``).

    Parameters
    ----------
    program
        What the plan asks.
    scheme
        Whose codecs count, with the shapes of what crosses the cuts of its model; the values
        travel as they are without.
    names
        The clients that take part; all if None.
    """
    found = dict.fromkeys(KINDS, 0.0)
    profile = program.opened.profile  # that of the program may have encoded bytes
    clients = [None] * len(program.clients) if scheme is None else scheme.clients
    for plan, client in zip(program.clients, clients, strict=True):
        if names is not None and plan.name not in names:
            continue
        model = profile if plan.rank is None else at_rank(profile, plan.rank)
        at = [profile.layers.index(name) for name in plan.cuts]
        for size, count in _batches(program, plan):
            for kind, table, parts in zip(
                ("smashed", "gradient"),
                (profile.smashed_bytes, profile.gradient_bytes),
                _encoded_parts(scheme, client, size, len(at)),
                strict=True,
            ):
                # Multiplied first: bytes that agree with the model's are divided exactly.
                sent = size * table[at] * parts.encoded / parts.whole
                found[kind] += count * float(sent.sum())
        if program.both_ends and at:
            held = own_part_bytes(profile, Cuts(at[0] + 1, at[-1] + 1))
        else:
            held = float(model.device_model_bytes[at[0] if at else -1])
        if at and not program.both_ends and (tied := float(exchanged_bytes(profile)[at[0]])):
            steps = sum(count for _, count in _batches(program, plan))
            found["tied_down"] = found.get("tied_down", 0.0) + steps * tied
            found["tied_up"] = found.get("tied_up", 0.0) + (steps - 1) * tied
        found["model_down"] += held
        found["model_up"] += held
    return found


def _batches(program: Program, client: ClientPlan) -> Iterator[tuple[int, int]]:
    """Yield sizes of mini-batches, and how many of each a client trains on in a round."""
    size = client.batch_size or client.samples
    batches = math.ceil(client.samples / size)
    steps = program.local_steps or program.local_epochs * batches
    # Local epochs follow one another; the last mini-batch of each may be smaller.
    last = client.samples - (batches - 1) * size
    ends = steps // batches
    yield size, steps - ends
    yield last, ends


class _Parts(NamedTuple):
    """Bytes of a batch at each cut as they travel, and of its values: shape (cuts,)."""

    encoded: FloatArray
    whole: FloatArray


def _encoded_parts(
    scheme: Scheme | None, client: Client | None, size: int, cuts: int
) -> tuple[_Parts, _Parts]:
    """Return what a batch's activations and gradients take, 1 of 1 where they go as they are."""
    found = tuple(_Parts(np.ones(cuts), np.ones(cuts)) for _ in range(2))
    if scheme is not None and client is not None and cuts:
        for cut, (shape, dtype, _) in enumerate(scheme.about.crossed(client.cuts)):
            for parts, way in zip(found, _WAYS, strict=True):
                written, whole = client.crossing.planned(way, (size, *shape), dtype, cut)
                if written != whole:
                    parts.encoded[cut], parts.whole[cut] = written, whole
    return found[0], found[1]
