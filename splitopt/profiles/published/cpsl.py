"""Profiles of the constants that CPSL prints, contradictions included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from splitopt.documents.json_text import expect_format, parse_json
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

_FLOP_PER_MMAC = 2e6
_MEGABYTE = 1e6


@cache
def _document() -> Mapping[str, Any]:
    """Read the shipped constants once."""
    file = resources.files("splitopt.profiles") / "data" / "cpsl.json"
    document = parse_json(file.read_text(encoding="utf-8"), file.name)
    return expect_format(document, file.name, "splitopt-published-constants", 1)


def cpsl_names() -> tuple[str, ...]:
    """Names of the profiles that `cpsl_profile` builds."""
    return tuple(_document()["profiles"])


def cpsl_profile(name: str) -> ModelProfile:
    """Build one of `cpsl_names`: the cut behind POOL1, and everything on the device."""
    document = _document()
    entry = document["profiles"][name]
    device, server = document["device_mmac"], document["server_mmac"]
    work = _FLOP_PER_MMAC * np.array([device, device + server])
    rest = _FLOP_PER_MMAC * np.array([server, 0.0])
    return ModelProfile(
        name=name,
        layers=tuple(document["layers"]),
        device_forward_flop=work,
        device_backward_flop=work,
        server_forward_flop=rest,
        server_backward_flop=rest,
        smashed_bytes=np.array([entry["kilobyte"] * entry["smashed_kb"], 0.0]),
        gradient_bytes=np.array([entry["kilobyte"] * entry["gradient_kb"], 0.0]),
        device_model_bytes=_MEGABYTE
        * np.array([document["device_model_mb"], document["whole_model_mb"]]),
        work_unit="MAC",
        provenance=Provenance(
            kind="published",
            source=document["source"],
            notes=(*document["notes"], *entry["notes"]),
        ),
    )
