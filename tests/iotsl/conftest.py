"""A small fleet whose devices lack classes, and one run of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from splitopt.scenario import Scenario

DOCUMENT: dict[str, Any] = {
    "format": "splitopt-scenario",
    "version": 1,
    "name": "three",
    "model": "cnn-digits",
    "devices": [
        {"name": "a", "compute": "3 MFLOP/s", "samples": 60, "batch_size": 16},
        {"name": "b", "compute": "2 MFLOP/s", "samples": 40, "batch_size": 16},
        {"name": "c", "compute": "1 MFLOP/s", "samples": 50, "batch_size": 16},
    ],
    "links": {"downlink": "4 Mbit/s", "uplink": "2 Mbit/s"},
    "servers": [{"name": "gateway", "compute": "100 MFLOP/s"}],
    "training": {"epochs": 1, "rounds": 2},
    "generators": {
        "size": "44.612 kB",
        "classes": {"a": [0, 1, 2], "b": [3, 4], "c": [5, 6, 7, 8, 9]},
    },
}


def scenario(**section: Any) -> Scenario:
    """Return the fleet with other fields in its section of generators."""
    found = {**DOCUMENT["generators"], **section}
    found = {name: value for name, value in found.items() if value is not None}
    return Scenario.from_dict({**DOCUMENT, "generators": found})


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run the fleet in one process, with few steps."""
    pytest.importorskip("torch")
    from splitopt.generators import GeneratorOptions
    from splitopt.iotsl import IotslJob, run_iotsl

    folder: Path = tmp_path_factory.mktemp("iotsl") / "run"
    job = IotslJob(
        scenario(), scheme="splitfed_v1", generators=GeneratorOptions(steps=3), pretrain_epochs=1
    )
    return job, run_iotsl(job, folder)
