"""Profiles whose layer times were measured on real machines.

The times are the public data of "Workflow optimization for parallel split learning" (MIT
licence), which also serve MP-SL; the work, sizes and memory are counted from the layers of the
networks that were measured.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from splitopt.profiles.counting.layers import Tensor, Unit
from splitopt.profiles.published.architectures import resnet_mp_sl, vgg19_mp_sl
from splitopt.profiles.published.computed import counting_notes, profile_from_units
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.machine_times import MachineTimes, describe_rows
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

BATCH = 128
MACHINES = ("VM", "laptop", "d1", "d2", "jetson-cpu", "jetson-gpu")
RESNET101_BLOCKS = (3, 4, 23, 3)
CLASSES = 10
_IMAGES = {"CIFAR": (3, 32, 32), "MNIST": (1, 28, 28)}

_MACHINE_NOTE = (
    "Machines: VM (8 virtual cores), laptop, d1 (Raspberry Pi 4), d2 (Raspberry Pi 3), jetson-cpu "
    "and jetson-gpu. Times are per batch of 128 samples at the source; a layer whose forward and "
    "backward time are both zero there was not measured."
)
_RESNET_NOTE = (
    "The network called ResNet-101 at the source is built of 3, 4, 23 and 3 basic blocks, not of "
    "bottleneck blocks, with 3x3 convolutions in the shortcuts that change the shape."
)
_VGG_NOTE = "VGG-19 without batch normalisation, max pooling with a padding of 1."


@dataclass(frozen=True)
class _Entry:
    """One shipped profile: the prefix of its files, and the oddities of its source."""

    stem: str
    oddities: tuple[str, ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        image = Tensor(*_IMAGES[self.stem.split("_")[1]])
        if self.stem.startswith("vgg19"):
            return vgg19_mp_sl(image, CLASSES)
        return resnet_mp_sl(RESNET101_BLOCKS, image, CLASSES)


_ENTRIES = {
    "resnet101-cifar": _Entry(
        "resnet101_CIFAR",
        (
            "The backward column of jetson-gpu looks listed from the last layer to the first; it "
            "is passed on as it stands.",
            "On jetson-cpu the blocks of 64 and 128 channels (rows 3 to 9) take many times as "
            "long as the wider ones.",
        ),
    ),
    "resnet101-mnist": _Entry("resnet101_MNIST"),
    "vgg19-cifar": _Entry(
        "vgg19_CIFAR",
        (
            "The memory table of the source gives 209.4 KB for the activations of rows 24 (fc7) "
            "and 25 (fc8), where a batch has 2048 and 5 KiB; the counted sizes are used.",
            "The backward columns of jetson-cpu and jetson-gpu do not follow the layers: rows 1 "
            "to 22 look listed from the last layer to the first; they are passed on as they "
            "stand.",
        ),
    ),
    "vgg19-mnist": _Entry(
        "vgg19_MNIST",
        (
            "In rows 11 to 16 of d1 the times of poolings and convolutions look shifted against "
            "the layers; they are passed on as they stand.",
        ),
    ),
}


def measured_names() -> tuple[str, ...]:
    """Names of the profiles that `measured_profile` builds."""
    return tuple(_ENTRIES)


def measured_profile(name: str) -> ModelProfile:
    """Count the table of one of `measured_names` and read its times on all machines."""
    entry = _ENTRIES[name]
    units = entry.units
    machines = {machine: read_times(entry.stem, machine) for machine in MACHINES}
    network = _VGG_NOTE if entry.stem.startswith("vgg19") else _RESNET_NOTE
    provenance = Provenance(
        kind="measured",
        source="times of the data of Workflow optimization for parallel split learning; work, "
        "sizes and memory are counted from the layers",
        url="https://github.com/jtirana98/SFL-workflow-optimization",
        license="MIT",
        notes=(
            network,
            _MACHINE_NOTE,
            _coverage([unit.name for unit in units], machines),
            *entry.oddities,
            *counting_notes(units),
        ),
    )
    return profile_from_units(name, units, provenance, machines)


def read_times(stem: str, machine: str) -> MachineTimes:
    """Read one shipped file: milliseconds per batch to seconds per sample."""
    milliseconds = read_table(f"{stem}__{machine}.csv")
    forward, backward, update = (milliseconds / 1e3 / BATCH).T
    return MachineTimes(forward, backward, update, (forward > 0) | (backward > 0))


def read_table(file_name: str) -> Array:
    """Read a shipped CSV file without header into an array of shape (rows, columns)."""
    file = resources.files("splitopt.profiles") / "data" / "measured" / file_name
    rows = csv.reader(io.StringIO(file.read_text(encoding="utf-8")))
    return np.array([[float(cell) for cell in row] for row in rows], dtype=np.float64)


def _coverage(layers: Sequence[str], machines: dict[str, MachineTimes]) -> str:
    """Report which layers of which machines were not measured."""
    gaps = []
    for name, times in machines.items():
        if not times.measured.any():
            gaps.append(f"{name} in any row")
        elif not times.measured.all():
            gaps.append(f"{name} in {describe_rows(times.measured, layers)}")
    return f"Not measured: {'; '.join(gaps)}."
