"""What a training's report says of a noise layer in the client part, and of NoPeek."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.report.content import Column
from splitopt.report.numbers import percent
from splitopt.training.history import History, RoundRow


def defence_facts(history: History) -> list[tuple[str, str]]:
    """Return the mechanism, what its epsilon is of and is not of, and the weight of NoPeek."""
    facts: list[tuple[str, str]] = []
    found = history.origin.get("pixel_dp")
    if isinstance(found, Mapping):
        facts += _noise_facts(found)
    weight = history.origin.get("nopeek")
    if weight is not None:
        facts.append(
            (
                "NoPeek",
                f"{weight:g} times the distance correlation of inputs and smashed data is in the "
                "loss of devices; it bounds nothing that an attack may recover",
            )
        )
    return facts


def defence_columns(history: History) -> list[Column]:
    """Return the columns that rounds have of these."""
    found = []
    if any(row.pixel_dp for row in history):
        found.append(Column("noise", "Noise", meaning="scale of the noise behind the layer"))
    if any("accuracy" in row.pixel_dp for row in history):
        meaning = "of scores averaged over noise draws"
        found.append(Column("noisy", "Noisy acc. %", meaning=meaning))
    if any(row.distance_correlation is not None for row in history):
        meaning = "distance correlation of test inputs and smashed data"
        found.append(Column("correlation", "Dist. corr.", meaning=meaning))
    return found


def defence_cells(row: RoundRow) -> dict[str, str]:
    """Return the cells of these columns."""
    found = dict.fromkeys(("noise", "noisy", "correlation"), "")
    if row.pixel_dp:
        found["noise"] = f"{row.pixel_dp['noise']:.4g}"
    if "accuracy" in row.pixel_dp:
        found["noisy"] = percent(row.pixel_dp["accuracy"])
    if row.distance_correlation is not None:
        found["correlation"] = f"{row.distance_correlation:.3f}"
    return found


def _noise_facts(own: Mapping[str, Any]) -> list[tuple[str, str]]:
    gaussian = own["mechanism"] == "gaussian"
    norm, delta = ("L2", f", delta {own['delta']:g}") if gaussian else ("L1", "")
    kept = "follows the weights" if own["keep"] == "recompute" else "stays, as weights are kept"
    facts = [
        (
            "PixelDP",
            f"{own['mechanism']} noise behind {own['after']}: epsilon {own['epsilon']:g}{delta} of "
            f"changes of one input of {norm} norm at most {own['radius']:g}, in one pass; the "
            f"noise {kept}",
        ),
        (
            "PixelDP does not cover",
            "labels, gradients of the client part, and several passes of one sample together, "
            "whose epsilons add up",
        ),
    ]
    if own["insecure_test_seed"]:
        facts.append(("No privacy", "noise of PixelDP from a test seed, which gives it away"))
    return facts
