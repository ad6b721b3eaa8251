from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import load_profile
from splitopt.profiles.counting.layers import Tensor
from splitopt.profiles.published.architectures import resnet_mp_sl, vgg19_mp_sl
from splitopt.profiles.published.measured import MACHINES, read_table

NAMES = ("resnet101-cifar", "resnet101-mnist", "vgg19-cifar", "vgg19-mnist")
BATCH = 128
KIB = 1024


def _stem(name):
    model, data = name.split("-")
    return f"{model}_{data.upper()}"


def _units(name):
    image = Tensor(3, 32, 32) if name.endswith("cifar") else Tensor(1, 28, 28)
    if name.startswith("vgg"):
        return vgg19_mp_sl(image, 10), image
    return resnet_mp_sl((3, 4, 23, 3), image, 10), image


@pytest.mark.parametrize("name", NAMES)
def test_activation_sizes_are_the_measured_ones(name):
    """Every activation file is the counted size plus the same overhead of the file format.

    The CIFAR files hold the outputs of the layers, the MNIST files their inputs. Two rows of the
    VGG-19 CIFAR file are odd at the source, and the profile says so.
    """
    units, image = _units(name)
    sizes = [4 * BATCH * unit.output_elements / KIB for unit in units]
    if name.endswith("mnist"):
        sizes = [4 * BATCH * image.elements / KIB, *sizes[:-1]]
    overhead = read_table(f"{_stem(name)}__memory.csv")[:, 0] - sizes
    odd = [23, 24] if name == "vgg19-cifar" else []
    np.testing.assert_allclose(np.delete(overhead, odd), 1.568, atol=0.07)
    assert np.all(np.abs(overhead[odd]) > 100)
    named = any("rows 24 (fc7)" in note for note in load_profile(name).provenance.notes)
    assert named == bool(odd)


@pytest.mark.parametrize("name", NAMES)
def test_weight_sizes_are_the_measured_ones(name):
    """Every weight file is parameters and statistics plus an overhead of its kind of layer."""
    units, _ = _units(name)
    sizes = [4 * (unit.parameters + unit.statistics) / KIB for unit in units]
    overhead = read_table(f"{_stem(name)}__memory.csv")[:, 1] - sizes
    kinds = {"conv": {}, "pool": {}, "layer": {}, "avgpool": {}, "fc": {}}
    for unit, rest in zip(units, overhead, strict=True):
        kind = next(kind for kind in kinds if unit.name.startswith(kind))
        kinds[kind].setdefault(round(rest, 2), []).append(unit.name)
    assert overhead.min() > 1.8
    assert overhead.max() < 11.7
    if name.startswith("vgg"):
        assert all(abs(rest - 3.06) < 0.011 for rest in kinds["conv"])
        assert set(kinds["pool"]) == {1.88}
    else:
        # A shortcut adds a convolution and a normalisation to the file of its block.
        assert kinds["layer"].pop(11.6) == ["layer2.0", "layer3.0", "layer4.0"]
        assert set(kinds["layer"]) == {8.0}


@pytest.mark.parametrize(("name", "rows"), [("resnet101-cifar", 37), ("vgg19-mnist", 25)])
def test_sizes_of_the_table(name, rows):
    """The profile has a row per layer and all machines, and no leakage."""
    profile = load_profile(name)
    assert profile.layer_count == rows
    assert tuple(profile.machines) == MACHINES
    assert profile.leakage is None
    assert profile.provenance.kind == "measured"
    assert profile.provenance.license == "MIT"


def test_seconds_are_per_sample():
    """Milliseconds per batch of 128 become seconds per sample, summed over the layers."""
    profile = load_profile("resnet101-cifar")
    seconds = profile.device_seconds("d1")
    # First and second row of the source: 245.615, 86.0, 0.0 and 25.4615, 29.6154, 0.0 ms.
    assert seconds[0] == pytest.approx(331.615e-3 / 128, rel=1e-12)
    assert seconds[1] == pytest.approx((331.615 + 55.0769) * 1e-3 / 128, rel=1e-12)
    whole = read_table("resnet101_CIFAR__d1.csv").sum() / 1e3 / 128
    assert seconds[-1] == pytest.approx(whole, rel=1e-12)
    np.testing.assert_allclose(profile.server_seconds("d1"), whole - seconds, atol=1e-12)


def test_a_row_of_zeros_is_not_measured():
    """A layer counts as measured if its forward or its backward time is not zero."""
    machines = load_profile("vgg19-mnist").machines
    # The source has three rows for d2 and none for the Jetson boards.
    assert (np.flatnonzero(machines["d2"].measured) + 1).tolist() == [5, 7, 25]
    assert not machines["jetson-cpu"].measured.any()
    # Row 3 of the GPU has a forward time of 0 but a backward time.
    assert load_profile("vgg19-cifar").machines["jetson-gpu"].measured[2]
    with pytest.raises(
        InputError, match=r"'d2' was not measured in rows 1-4 \(conv1_1 to conv2_1\)"
    ):
        load_profile("vgg19-mnist").device_seconds("d2")


def test_unmeasured_rows_can_be_filled():
    """Both ratios keep the measured rows and give every other layer a time in proportion."""
    name = "resnet101-cifar"
    measured = load_profile(name).machines["d2"].measured
    by_work = load_profile(name, fill="flop_ratio")
    by_board = load_profile(name, fill={"d2": {"machine": "d1"}})
    source = read_table("resnet101_CIFAR__d2.csv")
    for profile in (by_work, by_board):
        forward = profile.machines["d2"].forward_s
        np.testing.assert_allclose(forward[measured], source[measured, 0] / 128e3, rtol=1e-12)
        assert profile.device_seconds("d2")[-1] > source.sum() / 128e3
    d1 = read_table("resnet101_CIFAR__d1.csv")
    ratio = source[measured, 1].sum() / d1[measured, 1].sum()
    found = by_board.machines["d2"].backward_s[~measured]
    np.testing.assert_allclose(found, ratio * d1[~measured, 1] / 128e3, rtol=1e-12)
