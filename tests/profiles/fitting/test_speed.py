"""Speeds from measured times, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import flop_model, load_profile


def test_speed_and_errors_by_hand(make_profile):
    """Work 30, 10, 90 in 5, 12, 5 s is 130 / 22 FLOP/s; layer 1 takes 30 / (130 / 22) = 5.08 s."""
    found = flop_model(make_profile(), "bench")
    speed = 130 / 22
    assert found.flop_per_s == pytest.approx(speed)
    expected = np.array([30 / speed / 5, 10 / speed / 12, 90 / speed / 5]) - 1
    assert found.layer_error == pytest.approx(expected)
    assert found.device_error == pytest.approx([30 / speed / 5 - 1, 40 / speed / 17 - 1, 0.0])
    assert "the device's part is off by 31 % in the median" in found.sentence()


def test_layers_that_were_not_measured_count_for_nothing(make_profile):
    """The gap has no error, and neither its work nor any time is in the speed."""
    found = flop_model(make_profile(), "board")
    assert found.flop_per_s == pytest.approx(120 / 14)
    assert np.isnan(found.layer_error).tolist() == [False, True, False]


def test_what_has_no_speed_is_refused(make_profile):
    """An unknown machine, and one that has not a single time."""
    with pytest.raises(InputError, match="no machine 'moon'; its machines: board, bench"):
        flop_model(make_profile(), "moon")
    with pytest.raises(InputError, match="no measured layer with work"):
        flop_model(load_profile("resnet101-mnist"), "jetson-gpu")
