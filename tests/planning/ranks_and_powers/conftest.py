"""A folder with the profiles of the model, and what loads the scenario."""

from __future__ import annotations

import copy
import json

import pytest

from splitopt import (
    Scenario,
)
from tests.planning.ranks_and_powers.cases import (
    COLUMNS,
    DOCUMENT,
    RANK,
    SMASHED,
    at,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the profile of the model at its own rank."""
    place = tmp_path_factory.mktemp("more-choices")
    document = {
        "format": "splitopt-profile",
        "version": 1,
        "name": "three",
        "layers": ["one", "two", "three"],
        "smashed_bytes": SMASHED,
        "gradient_bytes": SMASHED,
        "work_unit": "FLOP",
        "provenance": {"kind": "computed", "source": "by hand"},
        **{name: at(pairs, RANK) for name, pairs in COLUMNS.items()},
        "adapter_ranks": {
            "rank": RANK,
            "most": 32,
            "per_rank": {name: [more for _, more in own] for name, own in COLUMNS.items()},
        },
    }
    (place / "model.json").write_text(json.dumps(document))
    return place


@pytest.fixture
def scenario(folder):
    """Return a function that loads the scenario with some changes at the top."""

    def load(**changes):
        document = copy.deepcopy(DOCUMENT) | changes
        document = {key: value for key, value in document.items() if value is not None}
        (folder / "scenario.json").write_text(json.dumps(document))
        return Scenario.load(folder / "scenario.json")

    return load
