"""IoTSL's traffic against its published numbers."""

from __future__ import annotations

import pytest

from benchmarks.papers.iotsl.traffic import device_epoch_traffic, total_traffic

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
    epoch = device_epoch_traffic(SAMPLES, SMASHED, PARAMETERS)
    assert epoch == 301_105_824
    assert epochs * epoch == pytest.approx(published, rel=2e-3)
    assert baseline_epochs * epoch == pytest.approx(baseline, rel=2e-3)
    assert 1 - epochs / baseline_epochs == pytest.approx(reduction, abs=6e-4)
    # Eq. 1 itself, with the five devices of the experiment, gives five times as much.
    assert total_traffic(5, epochs, SAMPLES, SMASHED, PARAMETERS) == 5 * epochs * epoch
