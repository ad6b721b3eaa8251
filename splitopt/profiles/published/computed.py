"""Profiles that are counted from the layers of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from splitopt.profiles.counting.layers import FP32_BYTES, Tensor, Unit
from splitopt.profiles.published.architectures import (
    RESNET18_BLOCKS,
    RESNET34_BLOCKS,
    lenet_cpsl,
    resnet,
)
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.machine_times import MachineTimes
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

RESNETS = {"resnet18-imagenet": RESNET18_BLOCKS, "resnet34-imagenet": RESNET34_BLOCKS}
LENETS = {"cpsl-lenet-same": 1, "cpsl-lenet-valid": 0}
"""Name -> the padding of the first block's convolutions."""

_MEMORY_NOTE = (
    "Memory per sample holds the tensors that autograd saves, ReLU in place; the fixed memory "
    "holds parameters and gradients in fp32, no optimizer state."
)
_COUNTING_NOTES = (
    "fp32. Work is the operation count of common FLOP counters with 1 MAC = 2 FLOP: MACs of "
    "convolutions and linear layers, 2 per element for batch normalisation, 1 for ReLU and max "
    "pooling, nothing for average pooling, dropout and residual additions.",
    "The backward pass is counted as twice the forward pass in every layer, also in the first, "
    "which needs no gradient of its input.",
    _MEMORY_NOTE,
)


def profile_from_units(
    name: str,
    units: Sequence[Unit],
    provenance: Provenance,
    machines: Mapping[str, MachineTimes] | None = None,
    backward_per_forward: float = 2.0,
) -> ModelProfile:
    """Build the table of a network that can be cut behind each of `units`.

    The counting rules are those of `splitopt.profiles.counting.layers`.
    """
    forward = 2.0 * _cumulative([unit.operations for unit in units])
    model = FP32_BYTES * _cumulative([unit.parameters for unit in units])
    crossing = FP32_BYTES * _each([unit.output_elements for unit in units])
    crossing[-1] = 0.0
    return ModelProfile(
        name=name,
        layers=tuple(unit.name for unit in units),
        device_forward_flop=forward,
        device_backward_flop=backward_per_forward * forward,
        server_forward_flop=forward[-1] - forward,
        server_backward_flop=backward_per_forward * (forward[-1] - forward),
        smashed_bytes=crossing,
        gradient_bytes=crossing,
        device_model_bytes=model,
        device_memory_fixed_bytes=2.0 * model,
        device_memory_per_sample_bytes=_cumulative([unit.kept_bytes for unit in units]),
        layer_parameter_bytes=FP32_BYTES * _each([unit.parameters for unit in units]),
        layer_output_bytes=FP32_BYTES * _each([unit.output_elements for unit in units]),
        layer_saved_bytes=_each([unit.saved_bytes for unit in units]),
        work_unit="MAC",
        provenance=provenance,
        machines=machines or {},
    )


def counting_notes(units: Sequence[Unit]) -> tuple[str, ...]:
    """Report how the units were counted, and how large the statistics are that were left out."""
    size = FP32_BYTES * sum(unit.statistics for unit in units)
    left_out = (
        f"Running statistics of batch normalisation ({size} B) are not in device_model_bytes."
    )
    return (*_COUNTING_NOTES, left_out) if size else _COUNTING_NOTES


def imagenet_resnet(name: str) -> ModelProfile:
    """Count a torchvision-layout ResNet for 224 x 224 images and 1000 classes."""
    units = resnet(RESNETS[name], Tensor(3, 224, 224), 1000)
    provenance = Provenance(
        kind="computed",
        source=(
            "counted from the layers: torchvision layout, input 3 x 224 x 224, 1000 classes; the "
            "first cut is behind the max pooling"
        ),
        notes=counting_notes(units),
    )
    return profile_from_units(name, units, provenance)


def cpsl_lenet(name: str) -> ModelProfile:
    """Count CPSL's Table III, with the paper's assumption that backward costs what forward does."""
    padding = LENETS[name]
    units = lenet_cpsl(padding)
    words = "keep the size" if padding else "are not padded, all others keep the size"
    provenance = Provenance(
        kind="computed",
        source=(
            "counted from the layers of CPSL's Table III for 28 x 28 grey images and 10 classes; "
            f"the convolutions of the first block {words}"
        ),
        notes=(
            "fp32. Work is the operation count of common FLOP counters with 1 MAC = 2 FLOP: MACs "
            "of convolutions and linear layers, 1 per element for ReLU and max pooling.",
            "The backward pass is counted as much as the forward pass, as CPSL assumes.",
            _MEMORY_NOTE,
            "The numbers that CPSL prints for this network contradict each other and this table; "
            "they are the profile 'cpsl-lenet-paper'.",
        ),
    )
    return profile_from_units(name, units, provenance, backward_per_forward=1.0)


def _each(counts: Sequence[int]) -> Array:
    return np.array(counts, dtype=np.float64)


def _cumulative(counts: Sequence[int]) -> Array:
    return np.cumsum(_each(counts))
