"""The abstract's claim: VGG-19 with 100 participants needs 80 GB."""

from __future__ import annotations

from benchmarks.papers.mp_sl.settings import BATCH, profile
from benchmarks.papers.tables import Cell, Table
from splitopt.profiles.counting.memory import FORMULAS, layer_memory_bytes

OWNERS = 100
PAPER_GB = 80.0


def gigabytes(formula: str) -> float:
    """Return what one node needs that hosts all of VGG-19 for all owners, in 10^9 byte."""
    return OWNERS * float(layer_memory_bytes(profile("vgg19"), BATCH, formula).sum()) / 1e9


def memory_table() -> Table:
    """Set the claim beside every formula."""
    rows: list[list[Cell]] = [
        [f"`{name}`: {formula.words}", PAPER_GB if name == "outputs" else None, gigabytes(name)]
        for name, formula in FORMULAS.items()
    ]
    note = (
        f"Memory of one node with all layers of VGG-19 for {OWNERS} owners, batches of {BATCH}, "
        "in GB. The paper's 80 GB count parameters and layer outputs; training takes more."
    )
    return Table("memory", ["what is counted", "paper", "here"], rows, note, 1)
