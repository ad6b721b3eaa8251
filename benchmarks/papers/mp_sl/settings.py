"""MP-SL's evaluation as problems: measured layers, cuts, owners and virtual machines (section 6).

What the paper does not print is stated here once: the rate of the owners' links, and how the layers
that were not measured on a machine are filled.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from splitopt.latency.pipeline import OwnerParts
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.profiles import ModelProfile, load_profile
from splitopt.profiles.counting.memory import layer_memory_bytes

MODELS = {"resnet101": "resnet101-cifar", "vgg19": "vgg19-cifar"}
BATCH = 128
BATCHES = 16
LOCAL_EPOCHS = 2
FILL = {"VM": "flop_ratio", "d2": {"machine": "d1"}}
OWNER_BYTES_PER_S = 5e6
"""Not printed in the paper; it sets the constant ends of an epoch, not the gains of a split."""
UNLIMITED = 1e15

MACHINES = {"vm1": (1.0, 0.18, 16e9), "vm2": (2.0, 0.092, 8e9), "vm3": (2.0, 0.046, 4e9)}
"""Table 2: times over those of the profiled node, price in USD per hour, memory in byte."""


@cache
def profile(model: str) -> ModelProfile:
    """Load a measured profile, filled as `FILL` says."""
    return load_profile(MODELS[model], fill=FILL)


def layer_seconds(model: str, machine: str) -> tuple[np.ndarray, np.ndarray]:
    """Return forward and backward (with the update) s per batch of all layers, shape (L,) each."""
    times = profile(model).machines[machine]
    return BATCH * times.forward_s, BATCH * (times.backward_s + times.update_s)


def pipeline(
    model: str,
    cuts: tuple[int, int],
    slowdowns: list[float],
    owners: int = 1,
    objective: str = "paper",
    memory: list[float] | None = None,
    formula: str = "outputs",
) -> PipelinePartition:
    """Return the problem of nodes that are so many times slower than the profiled one.

    ``cuts`` are the numbers of layers before the first and before the last cut: the owner keeps
    the layers before the first and from the last on. Memory is unlimited if None.
    """
    first, last = cuts
    forward, backward = (table[first:last] for table in layer_seconds(model, "VM"))
    slow = np.array(slowdowns)[:, None]
    held = layer_memory_bytes(profile(model), BATCH, formula)[first:last]
    return PipelinePartition(
        forward_s=slow * forward,
        backward_s=slow * backward,
        layer_memory_bytes=held,
        node_memory_bytes=np.array(memory or [UNLIMITED] * len(slowdowns)),
        owners=owners,
        objective=objective,
        batches=owners * BATCHES * LOCAL_EPOCHS,
    )


def owner_parts(model: str, cuts: tuple[int, int], machines: list[str]) -> OwnerParts:
    """Return the owners' own parts and transfers, for the machine of each owner."""
    first, last = cuts
    found = profile(model)
    rows = []
    up, down = found.smashed_bytes, found.gradient_bytes
    for machine in machines:
        forward, backward = layer_seconds(model, machine)
        rows.append(
            (
                forward[:first].sum(),
                forward[last:].sum() + backward[last:].sum(),
                backward[:first].sum(),
                BATCH * up[first - 1] / OWNER_BYTES_PER_S,
                BATCH * up[last - 1] / OWNER_BYTES_PER_S,
                BATCH * down[last - 1] / OWNER_BYTES_PER_S,
                BATCH * down[first - 1] / OWNER_BYTES_PER_S,
            )
        )
    return OwnerParts(*np.array(rows).T)


def owner_model_bytes(model: str, cuts: tuple[int, int]) -> float:
    """Return the bytes of the first and the last part of the model."""
    size = profile(model).device_model_bytes
    return float(size[cuts[0] - 1] + size[-1] - size[cuts[1] - 1])
