"""Traffic of devices in turn against IoTSL's published numbers."""

from __future__ import annotations

import pytest

from splitopt.latency.turns import training_traffic, turn_traffic, turns_of

# VGG-16 cut behind its first pool on 28 x 28 images: two convolutions with batch normalisation.
SMASHED, SAMPLES = 64 * 14 * 14, 12_000
PARAMETERS = (9 * 1 + 1) * 64 + (9 * 64 + 1) * 64 + 2 * (2 * 64)


def test_the_device_part_has_the_published_parameters():
    """640 + 36,928 of the convolutions and 4 x 64 of the normalisations."""
    assert PARAMETERS == 37_824


@pytest.mark.parametrize(
    ("epochs", "baseline_epochs", "published", "baseline", "reduction"),
    [(15, 97, 4.52e9, 2.92e10, 0.845), (23, 77, 6.93e9, 2.32e10, 0.701)],
)
def test_published_traffic_has_no_factor_of_devices(
    epochs, baseline_epochs, published, baseline, reduction
):
    """MNIST and Fashion-MNIST, whose printed 70.3 % is that of the time, 3.01 h against 10.12 h."""
    turn = turn_traffic(SAMPLES, SMASHED, SMASHED, PARAMETERS)
    assert turn == 301_105_824
    assert epochs * turn == pytest.approx(published, rel=2e-3)
    assert baseline_epochs * turn == pytest.approx(baseline, rel=2e-3)
    assert 1 - epochs / baseline_epochs == pytest.approx(reduction, abs=6e-4)
    # Eq. 1 itself, with the five devices of the experiment, gives five times as much.
    assert training_traffic(5, epochs, turn) == 5 * epochs * turn


def test_turns_go_around():
    """97 turns of five devices: 19 rounds, and two devices have one more."""
    assert turns_of(97, 5).tolist() == [20, 20, 19, 19, 19]
    assert turns_of(3, 5).tolist() == [1, 1, 1, 0, 0]
