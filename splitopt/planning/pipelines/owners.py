"""What the owners of a scenario add to every batch of a pipeline."""

from __future__ import annotations

import numpy as np

from splitopt.latency.layer_seconds import layer_seconds
from splitopt.latency.pipeline import OwnerParts
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.tables import Cuts, batch_size, owner_transfers
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


def owner_parts(
    problem: PipelinePartition, scenario: Scenario, profile: ModelProfile, cuts: Cuts
) -> OwnerParts:
    """Give what each group of owners adds to a batch, arrays of shape (G,)."""
    batch = batch_size(scenario)
    own = np.ones(profile.layer_count, dtype=np.bool_)
    own[cuts.first : cuts.last] = False
    seconds = [layer_seconds(profile, device.speed, needed=own) for device in scenario.devices]
    sent, received = owner_transfers(scenario, profile, cuts)
    first, last = slice(None, cuts.first), slice(cuts.last, None)
    return OwnerParts(
        first_forward_s=batch * np.array([item.forward[first].sum() for item in seconds]),
        last_s=batch
        * np.array([item.forward[last].sum() + item.backward[last].sum() for item in seconds]),
        first_backward_s=batch * np.array([item.backward[first].sum() for item in seconds]),
        to_first_s=sent[:, 0],
        from_last_s=received[:, 1],
        to_last_s=sent[:, 1],
        from_first_s=received[:, 0],
        latency_s=np.full(len(seconds), problem.links.owner_delay_s),
    )
