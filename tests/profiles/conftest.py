"""A model of three layers, small enough to check by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from splitopt.profiles import MachineTimes, ModelProfile, Provenance


@pytest.fixture
def board() -> MachineTimes:
    """Layer 2 was not measured."""
    return MachineTimes(
        forward_s=np.array([1.0, 0.0, 3.0]),
        backward_s=np.array([2.0, 0.0, 8.0]),
        update_s=np.array([0.5, 0.0, 0.25]),
        measured=np.array([True, False, True]),
    )


@pytest.fixture
def bench() -> MachineTimes:
    """All layers were measured."""
    return MachineTimes(
        forward_s=np.array([4.0, 5.0, 4.0]),
        backward_s=np.array([1.0, 7.0, 1.0]),
        update_s=np.array([1.0, 2.0, 2.0]),
        measured=np.array([True, True, True]),
    )


@pytest.fixture
def make_profile(board: MachineTimes, bench: MachineTimes) -> Callable[..., ModelProfile]:
    """Build the profile, with changes by keyword."""

    def make(**changes: Any) -> ModelProfile:
        values: dict[str, Any] = {
            "name": "three",
            "layers": ("a", "b", "c"),
            # Work of the layers by themselves: forward 10, 6, 30 and backward 20, 4, 60.
            "device_forward_flop": np.array([10.0, 16.0, 46.0]),
            "device_backward_flop": np.array([20.0, 24.0, 84.0]),
            "server_forward_flop": np.array([36.0, 30.0, 0.0]),
            "server_backward_flop": np.array([64.0, 60.0, 0.0]),
            "smashed_bytes": np.array([8.0, 4.0, 0.0]),
            "gradient_bytes": np.array([8.0, 4.0, 0.0]),
            "device_model_bytes": np.array([100.0, 200.0, 300.0]),
            "work_unit": "FLOP",
            "provenance": Provenance(kind="user", source="made up for a test"),
            "machines": {"board": board, "bench": bench},
        }
        return ModelProfile(**{**values, **changes})

    return make
