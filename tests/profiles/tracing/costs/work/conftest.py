"""What the tests of counted work share."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def definitions():
    """Return the layers from their definitions, on numbers that count."""
    spec = importlib.util.spec_from_file_location(
        "definitions", Path(__file__).with_name("definitions.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def counted():
    """Return a function that runs something forward and backward and counts both in FLOP.

    The backward pass starts at the first tensor returned, and all operators must have a formula.
    """
    torch = pytest.importorskip("torch")
    from splitopt.profiles.tracing.costs.work.meter import WorkMeter

    def run(function, *inputs):
        forward, backward = WorkMeter({}), WorkMeter({})
        with forward:
            out = function(*inputs)
        while isinstance(out, tuple | list):
            out = out[0]
        if not isinstance(out, torch.Tensor):
            out = out.data  # packed
        if out.requires_grad:
            with backward:
                out.backward(torch.ones_like(out))
        assert not forward.unknown
        assert not backward.unknown
        return forward.flop, backward.flop + forward.owed, out.detach()

    return run
