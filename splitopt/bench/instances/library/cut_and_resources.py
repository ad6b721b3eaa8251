"""The instance library of `CutAndResources`: published, measured, generated and degenerate ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import (
    Families,
    InstanceSet,
    LibraryEntry,
    Recipe,
    drawn_entry,
)
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.scenario import Scenario

LEAKAGE_LIMIT = 0.5
_MAC = 2e9  # FLOP/s of one GMAC/s, the unit in which DP-MORA states speeds
_TYPES = (("rpi3", 3.62), ("rpi3a+", 5.0), ("rpi4b", 9.69))
_SAMPLES = (3000, 4000, 3600, 6000, 4800, 3200, 7200, 4000, 4000, 5000)
_BATCHES = (50, 50, 40, 50, 80, 50, 40, 50, 50, 40)
_MACHINES = ("d1", "jetson-cpu", "jetson-gpu", "laptop")

DP_MORA = (
    "DP-MORA section 7.2, {network}, leakage limit 0.5, as recovered from its Tables 2 and 3 "
    "(server 100 GMAC/s, downlink 100 Mbit/s, uplink 200 Mbit/s; the leakage curve is a guess "
    "that agrees with the published cuts)"
)
MEASURED = (
    "{network} on CIFAR-10 with times measured on Raspberry Pi 4 (d1), Jetson (CPU, GPU), laptop "
    "and an 8-core VM as server (github.com/jtirana98/SFL-workflow-optimization, MIT); {fleet}"
)


def published(profile: str) -> CutAndResources:
    """Build the fleet of DP-MORA section 7.2 with one of its recovered profiles.

    Device types repeat in turn; speeds are the paper's, in GMAC/s; data set and batch sizes are
    recovered from its tables (the batch sizes are one of several that fit).
    """
    devices = [
        {
            "name": f"{_TYPES[n % 3][0]}-{n + 1}",
            "compute": _TYPES[n % 3][1] * _MAC,
            "samples": samples,
            "batch_size": batch,
        }
        for n, (samples, batch) in enumerate(zip(_SAMPLES, _BATCHES, strict=True))
    ]
    return _build(
        {
            "name": f"dp-mora-7.2-{profile}",
            "model": {"profile": profile},
            "devices": devices,
            "links": {"downlink": {"rate": 100e6}, "uplink": {"rate": 200e6}},
            "servers": [{"name": "edge", "compute": 100 * _MAC}],
            "training": {"epochs": 5},
            "privacy": {"leakage_limit": LEAKAGE_LIMIT},
        }
    )


def measured_groups(profile: str, each: int) -> CutAndResources:
    """Build a fleet of `each` identical devices of every measured machine, as a lab has."""
    samples = {"d1": 1000, "jetson-cpu": 1500, "jetson-gpu": 4000, "laptop": 3000}
    devices = [
        {
            "name": machine,
            "count": each,
            "machine": machine,
            "samples": samples[machine],
            "batch_size": 64,
        }
        for machine in _MACHINES
    ]
    return _measured(profile, devices, each)


def measured_mixed(profile: str, devices: int, seed: int) -> CutAndResources:
    """Draw devices of the measured machines with own data sets, batch sizes and links."""
    rng = np.random.default_rng(seed)
    fleet = [
        {
            "name": f"device-{n + 1}",
            "machine": str(rng.choice(_MACHINES)),
            "samples": int(rng.integers(500, 5001)),
            "batch_size": int(rng.choice([16, 32, 64, 128])),
            "downlink": {"rate": 1e6 * int(rng.integers(50, 501))},
            "uplink": {"rate": 1e6 * int(rng.integers(20, 201))},
        }
        for n in range(devices)
    ]
    return _measured(profile, fleet, devices / len(_MACHINES))


def _measured(profile: str, devices: list[dict[str, Any]], scale: float) -> CutAndResources:
    """Build a measured fleet whose shared links grow with it."""
    return _build(
        {
            "name": f"measured-{profile}",
            "model": {"profile": profile, "fill": "flop_ratio"},
            "devices": devices,
            "links": {"downlink": {"rate": 200e6 * scale}, "uplink": {"rate": 80e6 * scale}},
            "servers": [{"name": "vm", "machine": "VM"}],
            "training": {"epochs": 1},
        }
    )


def _build(document: dict[str, Any]) -> CutAndResources:
    return CutAndResources.from_scenario(Scenario.from_si(document, str(document["name"])))


def entries(families: Families) -> Iterator[LibraryEntry]:
    """Iterate over the library; `families` draw the generated instances."""
    yield from _published_entries()
    yield from _measured_entries()
    yield from _generated_entries(families)


def _published_entries() -> Iterator[LibraryEntry]:
    for short, network in (("resnet18", "ResNet-18"), ("resnet34", "ResNet-34")):
        yield LibraryEntry(
            name=f"dp-mora-7.2-{short}",
            set="small",
            kind="realistic",
            source=DP_MORA.format(network=network),
            make=partial(published, f"dp-mora-{short}-recovered"),
            published=True,
        )


def _measured_entries() -> Iterator[LibraryEntry]:
    for profile, network in (("resnet101-cifar", "ResNet-101"), ("vgg19-cifar", "VGG-19")):
        fleets: tuple[tuple[str, InstanceSet, Callable[[], CutAndResources], str], ...] = (
            (
                "lab8",
                "small",
                partial(measured_groups, profile, 2),
                "two identical devices of each machine",
            ),
            (
                "mixed10",
                "small",
                partial(measured_mixed, profile, 10, 0),
                "10 devices with data sets, batch sizes and links drawn with seed 0",
            ),
            (
                "lab80",
                "medium",
                partial(measured_groups, profile, 20),
                "twenty identical devices of each machine",
            ),
            (
                "mixed100",
                "medium",
                partial(measured_mixed, profile, 100, 1),
                "100 devices with data sets, batch sizes and links drawn with seed 1",
            ),
        )
        for fleet, instance_set, make, words in fleets:
            source = MEASURED.format(network=network, fleet=words)
            name = f"measured-{profile}-{fleet}"
            yield LibraryEntry(name, instance_set, "realistic", source, make)


_SPREAD = (
    "uniform",
    "bounded",
    "heavy_tail",
    "classes",
    "near_ties",
    "masks",
    "decades",
    "identical",
    "single_cut",
)


def _generated_entries(families: Families) -> Iterator[LibraryEntry]:
    drawn = partial(drawn_entry, families)
    small = [({"devices": 5, "layers": 5}, seed) for seed in (0, 1)] + [({"devices": 10}, 0)]
    for family in _SPREAD:
        for parameters, seed in small:
            yield drawn(Recipe(family, parameters, seed), "small")
        for devices in (50, 200):
            yield drawn(Recipe(family, {"devices": devices}), "medium")
        for devices in (1000, 10_000):
            yield drawn(Recipe(family, {"devices": devices}), "large", as_file=False)
        if family not in ("identical", "single_cut"):
            yield drawn(Recipe(family, {"devices": 100_000}), "stress", as_file=False)
    for family in ("bounded", "near_ties"):
        yield drawn(Recipe(family, {"devices": 1_000_000}), "stress", as_file=False)
    for family in ("servers", "seats"):
        yield drawn(Recipe(family, {"devices": 5, "servers": 2, "layers": 2}), "small")
        yield drawn(Recipe(family, {"devices": 20, "servers": 3}), "small")
        yield drawn(Recipe(family, {"devices": 100, "servers": 5}), "medium", as_file=False)
    yield drawn(Recipe("servers", {"devices": 1000, "servers": 10}), "large", as_file=False)
    for devices, resources in ((15, 3), (30, 3), (30, 5), (100, 3)):
        parameters = {"devices": devices, "resources": resources}
        yield drawn(Recipe("partitions", parameters), "medium")
    yield drawn(Recipe("partitions", {"devices": 20, "resources": 3, "unequal": 1}), "medium")
    yield drawn(Recipe("uniform", {"devices": 1}), "small")
    yield drawn(Recipe("infeasible", {"devices": 5, "layers": 5}), "small")
