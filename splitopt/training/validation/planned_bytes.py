"""The bytes of a round as the plan's profile has them, to hold those on the wire against."""

from __future__ import annotations

import math

from splitopt.problems.pipeline_partition.tables import Cuts, own_part_bytes
from splitopt.training.program import ClientPlan, Program

KINDS = ("smashed", "gradient", "model_down", "model_up")
"""What travels, under the names of `splitopt.training.schemes.Traffic`; no table has labels."""


def planned_bytes(program: Program) -> dict[str, float]:
    """Return the bytes of one round of all clients together, by kind.

    Every sample that a client trains on sends the output of the layer at each of its cuts forward
    and as many gradients back. The client's parts of the model come down before and go up after
    the round: the first one and, where the chain ends at the client, the last one.
    """
    found = dict.fromkeys(KINDS, 0.0)
    profile = program.profile
    whole = float(profile.device_model_bytes[-1])
    for client in program.clients:
        at = [profile.layers.index(name) for name in client.cuts]
        seen = _samples(program, client)
        found["smashed"] += seen * float(profile.smashed_bytes[at].sum())
        found["gradient"] += seen * float(profile.gradient_bytes[at].sum())
        if program.both_ends and at:
            held = own_part_bytes(profile, Cuts(at[0] + 1, at[-1] + 1))
        else:
            held = float(profile.device_model_bytes[at[0]]) if at else whole
        found["model_down"] += held
        found["model_up"] += held
    return found


def _samples(program: Program, client: ClientPlan) -> float:
    """Count the samples that a client trains on in a round, each time anew."""
    size = client.batch_size or client.samples
    if program.local_steps is None:
        return float(program.local_epochs * client.samples)
    # Local epochs follow one another; the last mini-batch of each may be smaller.
    batches = math.ceil(client.samples / size)
    epochs, rest = divmod(program.local_steps, batches)
    return float(epochs * client.samples + rest * size)
