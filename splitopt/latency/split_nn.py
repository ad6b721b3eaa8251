"""SplitNN: data owners train one model in turn with one compute node (MP-SL section 4.3).

An owner works through its batches with the node, then hands its parts of the model to the next
owner. There are no local epochs. The rules for arrays are those of `splitopt.latency.pipeline`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.latency.pipeline import AGGREGATION, PHASES, OwnerParts, Stages

DELAYS = "waiting"
"""The phase of propagation delays, as the critical path of a simulation names them."""


def split_nn_time(
    stages: Stages, owners: OwnerParts, batches_per_owner: Any, hand_over_s: Any, xp: Any = np
) -> Any:
    """Shape (...): s of an epoch, T_tot^SplitNN.

    A batch moves four tensors: up (activations of the first cut), the last cut's activations down,
    their gradients up, and the first cut's gradients down.

    Parameters
    ----------
    stages
        The node that serves all, shape (..., 1); with several nodes, the batch passes them all.
    batches_per_owner
        B, scalar or shape (..., K).
    hand_over_s
        Scalar or shape (..., K): each owner's parts of the model to the next one.
    """
    served = xp.asarray(stages.forward_s + stages.backward_s).sum(axis=-1)[..., None]
    parts = (served + owners.compute_s, owners.transfer_s, batches_per_owner, hand_over_s)
    computed, moved, count, hand_over = xp.broadcast_arrays(*map(xp.asarray, parts))
    return (count * (computed + moved) + hand_over).sum(axis=-1)


def split_nn_phases(
    stages: Stages,
    owners: OwnerParts,
    batches_per_owner: Any,
    upload_s: Any,
    download_s: Any,
    xp: Any = np,
) -> dict[str, Any]:
    """Shape (...) each: s of an epoch by phase.

    With a hand-over of ``upload_s + download_s`` and two delays of the owner's link, they add up
    to `split_nn_time`, since nothing happens side by side.

    Parameters
    ----------
    stages, batches_per_owner
        As for `split_nn_time`.
    upload_s, download_s
        Scalar or shape (..., K): each owner's parts of the model over its own link, to the next
        owner at the end of its turn and from the one before at the beginning.
    """
    first, activations, forward, last, gradients, backward, first_back = PHASES
    upload, _, download = AGGREGATION
    per_batch = {
        first: owners.first_forward_s,
        activations: owners.to_first_s + owners.from_last_s,
        forward: xp.asarray(stages.forward_s).sum(axis=-1)[..., None],
        last: owners.last_s,
        gradients: owners.to_last_s + owners.from_first_s,
        backward: xp.asarray(stages.backward_s).sum(axis=-1)[..., None],
        first_back: owners.first_backward_s,
        DELAYS: 4 * owners.latency_s,
    }
    per_turn = {upload: upload_s, download: download_s, DELAYS: 2 * owners.latency_s}
    # Scalars count for every owner, and so must have the shape of all arrays before the sum.
    everything = owners.compute_s + owners.transfer_s + batches_per_owner + upload_s + download_s
    zeros = xp.zeros_like(xp.asarray(everything) + per_batch[forward])
    return {
        name: (
            batches_per_owner * (per_batch.get(name, 0.0) + zeros) + per_turn.get(name, 0.0)
        ).sum(axis=-1)
        for name in per_batch | per_turn
    }
