"""The paper's numbers, read from ``published.yaml``, and what follows from its tables alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.documents.reading import read_text
from splitopt.documents.yaml_text import parse_yaml
from splitopt.problems.base import FloatArray

MODELS = {"resnet18": "ResNet-18", "resnet34": "ResNet-34"}
DEFAULT = {"leakage_limit": 0.5, "server_gmac": 100, "uplink_mbit": 200, "downlink_mbit": 100}
"""The settings that the tables were computed with; the text states others for the last three."""


@cache
def published() -> dict[str, Any]:
    """Return the content of ``published.yaml``."""
    path = Path(__file__).parent / "published.yaml"
    document: dict[str, Any] = parse_yaml(read_text(path), path.name)
    return document


def table(model: str) -> dict[str, FloatArray]:
    """Return the columns of Table 2 or 3 in s."""
    columns = {key: value for key, value in published()["waits"][model].items() if key != "place"}
    return {name: np.array(column) * published()["unit_s"] for name, column in columns.items()}


def printed_reductions(setting: dict[str, float]) -> dict[str, float]:
    """Return the printed per cents at a setting, by baseline; empty where none are printed.

    Item 1 is at the default of everything.
    """
    for entry in published()["reductions"]:
        if DEFAULT | entry["at"] == setting:
            return dict(entry["lower_by"])
    return {}


def rounds_from_table(model: str, samples: FloatArray) -> dict[str, float]:
    """Return the round times in s that a table implies.

    I0's latency is when I1 starts in the sequential schemes; with its wait in the parallel scheme
    of the same cuts and shares it gives that scheme's round. FAAF has no sequential twin: its
    latencies grow with the samples, but for a model transfer of seconds, and I3 is as fast as the
    slowest device I6.
    """
    wait = table(model)
    found = {}
    for parallel, sequential in (("FSAF", "SF1AF"), ("SF3AF", "SF2AF")):
        found[parallel] = float(wait[sequential][1] + wait[parallel][0])
        found[sequential] = float(wait[sequential][-1] + found[parallel] - wait[parallel][-1])
    found["FAAF"] = float(wait["FAAF"][3] / (1 - samples[3] / samples[6]))
    return found


def published_dp_mora_round(samples: FloatArray) -> float:
    """Return DP-MORA's round with ResNet-18 in s: SF1AF's by Table 2, less the printed per cent."""
    lower_by = float(published()["reductions"][0]["lower_by"]["SF1AF"])
    return rounds_from_table("resnet18", samples)["SF1AF"] * (1 - lower_by / 100)
