"""Memory of a layer by formula, against the published claim, hand counts and PyTorch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile, layer_memory_bytes, load_profile
from splitopt.profiles.counting.layers import Ledger, Tensor
from splitopt.profiles.counting.memory import DEFAULT_FORMULA, FORMULAS

LAYERS = {
    "layer_output_bytes": np.array([8.0, 4.0, 1.0]),
    "layer_saved_bytes": np.array([10.0, 20.0, 30.0]),
}


def test_formulas_by_hand(make_profile):
    """Parameters are 100 B a layer, the batch has 5 samples."""
    profile = make_profile(**LAYERS)
    np.testing.assert_allclose(layer_memory_bytes(profile, 5, "outputs"), [140, 120, 105])
    np.testing.assert_allclose(layer_memory_bytes(profile, 5, "saved"), [150, 200, 250])
    np.testing.assert_allclose(layer_memory_bytes(profile, 5, "gradients"), [250, 300, 350])
    np.testing.assert_allclose(layer_memory_bytes(profile, 5, "momentum"), [350, 400, 450])
    np.testing.assert_allclose(layer_memory_bytes(profile, 5, "adam"), [450, 500, 550])
    np.testing.assert_allclose(
        layer_memory_bytes(profile, 5), layer_memory_bytes(profile, 5, DEFAULT_FORMULA)
    )


def test_the_claim_of_80_gb():
    """VGG-19, 100 owners, batches of 128: the paper's 80 GB are parameters and outputs."""
    vgg = load_profile("vgg19-cifar")
    total = {name: 100 * layer_memory_bytes(vgg, 128, name).sum() / 1e9 for name in FORMULAS}
    assert total["outputs"] == pytest.approx(78.0, abs=0.05)
    assert total["saved"] == pytest.approx(101.6, abs=0.05)
    assert total["gradients"] == pytest.approx(157.4, abs=0.1)
    assert total["momentum"] == pytest.approx(213.3, abs=0.1)
    shared = vgg.device_model_bytes[-1] + 128 * vgg.device_memory_per_sample_bytes[-1]
    assert 100 * shared / 1e9 == pytest.approx(83.3, abs=0.05)


@pytest.mark.parametrize("name", ["vgg19-cifar", "resnet101-cifar", "resnet18-imagenet"])
def test_a_run_never_keeps_more_than_its_layers(name):
    """What the layers 1 to l keep together is at most what they keep by themselves."""
    profile = load_profile(name)
    alone = np.cumsum(profile.layer_saved_bytes)
    assert (profile.device_memory_per_sample_bytes <= alone).all()
    np.testing.assert_array_equal(profile.smashed_bytes[:-1], profile.layer_output_bytes[:-1])


def test_the_input_counts_for_each_unit_once():
    """A unit that finds its input kept already counts it by itself, but only once."""
    first = Ledger()
    x = first.relu(first.conv(Tensor(2, 4, 4), 3, 1))
    first.close("first", x)
    second = Ledger()
    y = second.conv(x, 5, 1)
    second.conv(x, 5, 1)
    unit = second.close("second", y)
    assert unit.kept_bytes == 0
    assert unit.saved_bytes == 4 * x.elements


@pytest.mark.train
def test_each_unit_keeps_what_torch_saves():
    """Units of MP-SL's VGG-19 one by one, as PyTorch saves tensors for them."""
    torch = pytest.importorskip("torch")
    from splitopt.profiles.published.architectures import vgg19_mp_sl

    nn = torch.nn
    units = {unit.name: unit for unit in vgg19_mp_sl(Tensor(3, 32, 32), 10)}
    modules = {
        "conv1_1": ((3, 32, 32), [nn.Conv2d(3, 64, 3, 1, 1), nn.ReLU(inplace=True)]),
        "conv1_2": ((64, 32, 32), [nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(inplace=True)]),
        "pool1": ((64, 32, 32), [nn.MaxPool2d(2, 2, 1)]),
        "fc7": ((4096,), [nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True)]),
        "fc8": ((4096,), [nn.Dropout(), nn.Linear(4096, 10)]),
    }
    for name, (shape, parts) in modules.items():
        module = nn.Sequential(*parts).to("meta")
        own = {p.untyped_storage()._cdata for p in module.parameters()}
        saved = {}

        def pack(tensor, own=own, saved=saved):
            key = tensor.untyped_storage()._cdata
            if key not in own:
                saved[key] = tensor
            return tensor

        x = torch.empty(3, *shape, device="meta", requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            module(x)
        bytes_ = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
        assert bytes_ == 3 * units[name].saved_bytes, name


def test_what_is_missing_is_said(make_profile):
    """Each lack is one sentence with the formulas that would do."""
    bare = make_profile()
    with pytest.raises(InputError, match=r"no layer_saved_bytes.*add the array"):
        layer_memory_bytes(bare, 5)
    outputs = make_profile(layer_output_bytes=LAYERS["layer_output_bytes"])
    with pytest.raises(InputError, match="choose 'outputs'"):
        layer_memory_bytes(outputs, 5)
    with pytest.raises(InputError, match="is 'lots'; choose one of outputs, saved"):
        layer_memory_bytes(bare, 5, "lots")
    falling = replace(outputs, device_model_bytes=np.array([200.0, 100.0, 300.0]))
    with pytest.raises(InputError, match=r"falls at layer 2 \(b\)"):
        layer_memory_bytes(falling, 5, "outputs")
    stated = replace(falling, layer_parameter_bytes=np.array([200.0, 50.0, 60.0]))
    np.testing.assert_allclose(layer_memory_bytes(stated, 5, "outputs"), [240, 70, 65])


def test_layers_that_contradict_the_whole_are_refused(make_profile):
    """Layers together cannot have less than the model has."""
    with pytest.raises(InputError, match="layer_parameter_bytes: adds up to 290, less than the 30"):
        make_profile(layer_parameter_bytes=np.array([100.0, 100.0, 90.0]))
    with pytest.raises(InputError, match="layer_saved_bytes: adds up to 60, less than the 61"):
        make_profile(
            layer_saved_bytes=LAYERS["layer_saved_bytes"],
            device_memory_per_sample_bytes=np.array([10.0, 30.0, 61.0]),
        )


def test_layer_arrays_survive_a_file_and_old_files_still_load(make_profile, tmp_path):
    """The new arrays are optional in the file, and absent where they are unknown."""
    profile = make_profile(**LAYERS)
    path = tmp_path / "three.json"
    profile.save(path)
    assert ModelProfile.load(path) == profile
    old = make_profile().to_dict()
    assert not [key for key in old if key.startswith("layer_")]
    assert ModelProfile.from_dict(old, "old").layer_saved_bytes is None


def test_frozen_parameters_have_neither_gradients_nor_moments(make_profile):
    """Of 100, 50 and 150 B, 0, 20 and 150 are trained: Adam holds three more of these."""
    frozen = replace(
        make_profile(**LAYERS),
        device_model_bytes=np.array([0.0, 20.0, 170.0]),
        layer_parameter_bytes=np.array([100.0, 50.0, 150.0]),
        layer_trained_bytes=np.array([0.0, 20.0, 150.0]),
    )
    held = layer_memory_bytes(frozen, 1, "adam") - LAYERS["layer_saved_bytes"]
    np.testing.assert_allclose(held, [100, 50 + 3 * 20, 150 + 3 * 150])
    plain = layer_memory_bytes(frozen, 1, "saved") - LAYERS["layer_saved_bytes"]
    np.testing.assert_allclose(plain, [100, 50, 150])
    with pytest.raises(InputError, match="layer_trained_bytes: adds up to 160, less than the 170"):
        replace(frozen, layer_trained_bytes=np.array([0.0, 10.0, 150.0]))
