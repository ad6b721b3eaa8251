"""A folder with the profile of the model, and what loads the scenario."""

from __future__ import annotations

import copy
import json

import pytest

from splitopt import Scenario
from tests.planning.choices.cases import (
    BACKWARD,
    DOCUMENT,
    FORWARD,
    GRADIENT,
    MODEL_BYTES,
    SMASHED,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the profile of the model."""
    place = tmp_path_factory.mktemp("choices")
    document = {
        "format": "splitopt-profile",
        "version": 1,
        "name": "three",
        "layers": ["one", "two", "three"],
        "device_model_bytes": MODEL_BYTES,
        "smashed_bytes": SMASHED,
        "gradient_bytes": GRADIENT,
        "device_forward_flop": FORWARD,
        "device_backward_flop": BACKWARD,
        "server_forward_flop": [9e6 - done for done in FORWARD],
        "server_backward_flop": [18e6 - done for done in BACKWARD],
        "leakage": [0.9, 0.5, 0.0],
        "work_unit": "FLOP",
        "provenance": {"kind": "computed", "source": "by hand"},
    }
    (place / "model.json").write_text(json.dumps(document))
    return place


@pytest.fixture
def scenario(folder):
    """Return a function that loads the scenario with some changes at the top."""

    def load(**changes):
        document = copy.deepcopy(DOCUMENT) | changes
        (folder / "scenario.json").write_text(json.dumps(document))
        return Scenario.load(folder / "scenario.json")

    return load
