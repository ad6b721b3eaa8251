"""Profiles from the regression curves that DP-MORA prints, and from those it really used."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from splitopt.documents.json_text import expect_format, parse_json
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.curves import Curve
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

BYTES = {"MiB": 2.0**20, "MB": 1e6}
FLOP_PER_GMAC = 2e9
# A sample's forward pass is this part of its training work, as backward = 2 x forward.
FORWARD_SHARE = 1 / 3


@cache
def _document() -> Mapping[str, Any]:
    """Read the shipped curves once."""
    file = resources.files("splitopt.profiles") / "data" / "dp_mora.json"
    document = parse_json(file.read_text(encoding="utf-8"), file.name)
    return expect_format(document, file.name, "splitopt-published-curves", 1)


def published_names() -> tuple[str, ...]:
    """Names of the profiles that `published_profile` builds."""
    return tuple(_document()["profiles"])


def published_profile(name: str) -> ModelProfile:
    """Evaluate the curves of one of `published_names` at the cuts 1 to L.

    The table is clipped at zero. At cut L nothing crosses, the server has no work and the device
    has that of the whole model. The curves of the profile are in FLOP and bytes and not clipped.
    """
    document = _document()
    entry = document["profiles"][name]
    device = Curve.from_dict(entry["device_gmac"], "device_gmac").scaled(FLOP_PER_GMAC)
    server = Curve.from_dict(entry["server_gmac"], "server_gmac").scaled(FLOP_PER_GMAC)
    size = BYTES[entry["size_unit"]]
    smashed = Curve.from_dict(entry["smashed"], "smashed").scaled(size)
    model = Curve.from_dict(entry["device_model"], "device_model").scaled(size)
    curves = {
        "device_forward_flop": device.scaled(FORWARD_SHARE),
        "device_backward_flop": device.scaled(1 - FORWARD_SHARE),
        "server_forward_flop": server.scaled(FORWARD_SHARE),
        "server_backward_flop": server.scaled(1 - FORWARD_SHARE),
        "smashed_bytes": smashed,
        "gradient_bytes": smashed,
        "device_model_bytes": model,
    }
    whole = FLOP_PER_GMAC * entry["whole_gmac"]
    cuts = np.arange(1, len(entry["layers"]) + 1)
    last = {
        "device_forward_flop": whole * FORWARD_SHARE,
        "device_backward_flop": whole * (1 - FORWARD_SHARE),
        "device_model_bytes": float(model(cuts[-1])),
    }
    table: dict[str, Any] = {
        key: _column(curve, cuts, last.get(key, 0.0)) for key, curve in curves.items()
    }
    guess = entry["leakage"]
    leakage = 1 / (1 + np.exp((cuts - guess["midpoint"]) / guess["scale"]))
    provenance = Provenance(
        kind="published",
        source=document["source"],
        notes=(*document["notes"], *entry["notes"]),
        # Work is published as one number, its parts forward and backward are an assumption.
        columns={
            "smashed_bytes": "published",
            "gradient_bytes": "published",
            "device_model_bytes": "published",
            "leakage": "guess",
        },
    )
    return ModelProfile(
        name=name,
        layers=tuple(entry["layers"]),
        **table,
        leakage=leakage,
        work_unit="MAC",
        provenance=provenance,
        curves=curves,
    )


def _column(curve: Curve, cuts: np.ndarray[Any, Any], last: float) -> Array:
    """Evaluate a curve at the cuts, clip it at zero and set the value of cut L."""
    column = np.maximum(curve(cuts), 0.0)
    column[-1] = last
    return column
