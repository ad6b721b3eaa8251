from __future__ import annotations

import numpy as np
import pytest

from splitopt.profiles import load_profile


@pytest.mark.parametrize(
    ("name", "layers", "parameters", "gmacs"),
    [("resnet18-imagenet", 10, 11_689_512, 1.82), ("resnet34-imagenet", 18, 21_797_672, 3.67)],
)
def test_totals(name, layers, parameters, gmacs):
    """The last cut is the whole model: its parameters, its work, and nothing that crosses."""
    profile = load_profile(name)
    assert profile.layer_count == layers
    assert profile.device_model_bytes[-1] == 4 * parameters
    assert profile.device_memory_fixed_bytes[-1] == 8 * parameters
    assert profile.device_forward_flop[-1] == pytest.approx(2e9 * gmacs, rel=3e-3)
    for column in ("server_forward_flop", "server_backward_flop", "smashed_bytes"):
        assert getattr(profile, column)[-1] == 0
    assert profile.leakage is None
    assert not profile.machines


def test_sizes_of_resnet18_by_hand():
    """Smashed data are 64 x 56 x 56 values behind the first stage, then halve with each stage."""
    expected = np.repeat([64 * 56**2, 128 * 28**2, 256 * 14**2, 512 * 7**2], [3, 2, 2, 2]) * 4.0
    assert load_profile("resnet18-imagenet").smashed_bytes[:-1].tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["resnet18-imagenet", "resnet34-imagenet", "vgg19-cifar"])
def test_work_is_conserved(name):
    """Device and server work add up to the whole model at every cut; backward is twice forward."""
    profile = load_profile(name)
    whole = profile.device_forward_flop + profile.server_forward_flop
    assert np.all(whole == profile.device_forward_flop[-1])
    assert np.all(profile.device_backward_flop == 2 * profile.device_forward_flop)
    assert np.all(profile.server_backward_flop == 2 * profile.server_forward_flop)
    assert np.all(np.diff(profile.device_forward_flop) >= 0)


def test_cpsl_lenet_by_hand():
    """Table III worked by hand at POOL1, for both readings of the padding."""
    for name, first, second in (("cpsl-lenet-same", 28, 28), ("cpsl-lenet-valid", 26, 24)):
        profile = load_profile(name)
        assert profile.layers[2] == "POOL1"
        assert profile.layer_count == 12
        assert profile.smashed_bytes[2] == 4 * 32 * (second // 2) ** 2
        weights = (9 + 1) * 32 + (9 * 32 + 1) * 32
        assert profile.device_model_bytes[2] == 4 * weights == 38_272
        macs = 9 * 32 * first**2 + 9 * 32 * 32 * second**2
        elementwise = 32 * first**2 + 2 * 32 * second**2
        assert profile.device_forward_flop[2] == 2 * (macs + elementwise)
        assert np.all(profile.device_backward_flop == profile.device_forward_flop)
        assert np.all(profile.server_backward_flop == profile.server_forward_flop)
        linear = (3 * 3 * 128 + 1) * 382 + (382 + 1) * 192 + (192 + 1) * 10
        assert profile.layer_parameter_bytes[9:].sum() == 4 * linear


def test_the_valid_block_has_cpsls_numbers():
    """18 KiB and 5.6 M operations are those of a first block without padding."""
    counted, printed = load_profile("cpsl-lenet-valid"), load_profile("cpsl-lenet-paper")
    assert counted.smashed_bytes[2] == printed.smashed_bytes[0]
    assert counted.device_forward_flop[2] == pytest.approx(printed.device_forward_flop[0], rel=8e-3)
    assert printed.device_model_bytes[0] / counted.device_model_bytes[2] == pytest.approx(
        17.5, abs=0.1
    )
