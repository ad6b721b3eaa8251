"""The instance library of `GeneratorPairing`: IoTSL's hardest split, and generated ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from splitopt.bench.instances.benchmark import Families, LibraryEntry, Recipe, drawn_entry
from splitopt.problems.generator_pairing import GeneratorPairing

DEVICES = 5
"""Raspberry Pi of the paper's testbed."""


def two_classes() -> GeneratorPairing:
    """Build IoTSL's hardest split: five devices with two of ten classes each, alike transfers."""
    blocks = [[2 * i, 2 * i + 1] for i in range(DEVICES)]
    return GeneratorPairing(np.ones((DEVICES, DEVICES)), classes=blocks)


def entries(families: Families) -> Iterator[LibraryEntry]:
    """Iterate over the library; `families` draw the generated instances."""
    yield LibraryEntry(
        "iotsl-two-classes",
        "small",
        "realistic",
        "IoTSL section V: five devices with two of ten classes each, transfers that cost the same",
        two_classes,
        published=True,
        note="Every device needs the generators of all others: the optimum is 20 transfers",
    )
    drawn = partial(drawn_entry, families)
    for family in ("links", "unrelated", "equal", "whole", "counted"):
        yield drawn(_recipe(family, 6, 6), "small")
        yield drawn(_recipe(family, 30, 10), "small")
        yield drawn(_recipe(family, 100, 15), "medium")
        yield drawn(_recipe(family, 1000, 20), "large", as_file=False)
    for family in ("capped", "crowded", "several", "redundant", "quality"):
        yield drawn(_recipe(family, 7, 6), "small")
        yield drawn(_recipe(family, 20, 10), "small")
    yield drawn(_recipe("capped", 60, 10), "medium")
    yield drawn(_recipe("crowded", 60, 10), "medium")
    yield drawn(_recipe("capped", 200, 15), "medium")
    yield drawn(_recipe("crowded", 200, 15), "medium")
    yield drawn(_recipe("links", 3000, 20), "stress", as_file=False)
    yield drawn(_recipe("infeasible", 6, 5), "small")


def _recipe(family: str, devices: int, labels: int, **others: int) -> Recipe:
    return Recipe(family, {"devices": devices, "labels": labels, **others})
