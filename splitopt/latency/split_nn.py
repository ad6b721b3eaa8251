"""SplitNN: data owners train one model in turn with one compute node (MP-SL section 4.3).

An owner works through its batches with the node, then hands its parts of the model to the next
owner. There are no local epochs. The rules for arrays are those of `splitopt.latency.pipeline`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.latency.pipeline import OwnerParts, Stages


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
    return _in_turn(stages, owners, owners.transfer_s, batches_per_owner, hand_over_s, xp)


def paper_split_nn_time(
    stages: Stages, owners: OwnerParts, batches_per_owner: Any, hand_over_s: Any, xp: Any = np
) -> Any:
    """Shape (...): s of an epoch with the communication as printed, 2 B (commT^fwd + commT^back).

    It takes the tensors of the last cut to be as large as those of the first.
    """
    printed = 2 * (owners.to_first_s + owners.from_first_s + 2 * owners.latency_s)
    return _in_turn(stages, owners, printed, batches_per_owner, hand_over_s, xp)


def _in_turn(
    stages: Stages, owners: OwnerParts, transfer_s: Any, batches: Any, hand_over_s: Any, xp: Any
) -> Any:
    served = xp.asarray(stages.forward_s + stages.backward_s).sum(axis=-1)[..., None]
    parts = (served + owners.compute_s, transfer_s, batches, hand_over_s)
    computed, moved, count, hand_over = xp.broadcast_arrays(*map(xp.asarray, parts))
    return (count * (computed + moved) + hand_over).sum(axis=-1)
