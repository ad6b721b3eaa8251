"""The random pipelines of the problem's tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "problems" / "pipeline_partition" / "conftest.py"


@pytest.fixture(scope="session")
def pipeline_fixtures():
    """Return the module that draws pipelines and evaluates them by hand."""
    spec = importlib.util.spec_from_file_location("pipeline_draws", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pipeline(pipeline_fixtures):
    """Return the function that draws a random `PipelinePartition`."""
    return pipeline_fixtures.draw_pipeline


@pytest.fixture(scope="session")
def worked_by_hand(pipeline_fixtures):
    """Return the function that evaluates an assignment by loops over the definitions."""
    return pipeline_fixtures.by_hand
