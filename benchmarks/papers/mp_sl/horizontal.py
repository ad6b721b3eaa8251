"""Horizontally scaled parallel split learning: every node has the whole middle part (MP-SL 4.3).

Each compute node serves data owners of its own, and all nodes work at the same time; at the end
of a global epoch they must average their copies of the middle part. The rules for arrays are those
of `splitopt.latency.pipeline`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.latency.pipeline import OwnerParts, Stages, aggregation_time
from splitopt.latency.split_nn import split_nn_time


def paper_node_times(
    stages: Stages, owners: OwnerParts, serves: Any, batches_per_owner: Any, xp: Any = np
) -> Any:
    """Shape (..., N): s of the batches of each node's owners by Eq. 4, 0 for a node without any.

    Parameters
    ----------
    stages
        Shape (..., N): the whole middle part on each of the N nodes.
    owners
        The K owners; fields are scalars or of shape (..., K).
    serves
        Shape (..., N, K): 1 where a node serves an owner, else 0.
    batches_per_owner
        r B, a scalar.
    """
    serves = xp.asarray(serves)
    served = serves.sum(axis=-1)
    fringe = owners.first_forward_s + owners.to_first_s + owners.from_first_s
    fringe = xp.atleast_1d(fringe + owners.first_backward_s + 2 * owners.latency_s)
    average = (serves * fringe[..., None, :]).sum(axis=-1) / xp.maximum(served, 1)
    busy = stages.forward_s + stages.backward_s
    return xp.where(served > 0, average + batches_per_owner * served * busy, 0.0)


def node_times(
    stages: Stages, owners: OwnerParts, serves: Any, batches_per_owner: Any, xp: Any = np
) -> Any:
    """Shape (..., N): the same in the closed form of `splitopt.latency.pipeline.training_time`."""
    serves = xp.asarray(serves)
    served = serves.sum(axis=-1)
    busy = xp.asarray(stages.forward_s + stages.backward_s)
    own = xp.atleast_1d(owners.compute_s + owners.transfer_s)
    trip = busy[..., :, None] + own[..., None, :]
    average = (serves * trip).sum(axis=-1) / xp.maximum(served, 1)
    full = average + (batches_per_owner * served - 1) * busy
    slowest = batches_per_owner * (serves * trip).max(axis=-1)
    return xp.where(served > 0, xp.maximum(full, slowest), 0.0)


def horizontal_aggregation_time(
    owner_upload_s: Any,
    node_upload_s: Any,
    aggregate_s: Any,
    owner_download_s: Any,
    node_download_s: Any,
    xp: Any = np,
) -> Any:
    """Shape (...): s of the aggregation, where the nodes send and receive their middle parts too.

    The paper says that they do so "as well"; here as for the owners: the upload of an average node
    beside that of an average owner, and downloads one after the other. With one node nothing of it
    need be sent: pass 0.
    """
    owners = aggregation_time(owner_upload_s, aggregate_s, owner_download_s, xp)
    return owners + aggregation_time(node_upload_s, 0.0, node_download_s, xp)


def paper_split_nn_time(
    stages: Stages, owners: OwnerParts, batches_per_owner: Any, hand_over_s: Any, xp: Any = np
) -> Any:
    """Shape (...): s of an epoch with the communication as printed, 2 B (commT^fwd + commT^back).

    It takes the tensors of the last cut to be as large as those of the first.
    """
    printed = owners._replace(from_last_s=owners.to_first_s, to_last_s=owners.from_first_s)
    return split_nn_time(stages, printed, batches_per_owner, hand_over_s, xp)
