"""The shipped networks: published sizes, shapes for both image sizes, and refusals."""

from __future__ import annotations

import pytest

from splitopt.errors import InputError
from splitopt.models import build, default_shape, is_token_model, model_names

pytestmark = pytest.mark.train

# Parameters as the papers' reference implementations (torchvision) state them for 1000 classes.
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "vgg11": 132_863_336,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "mobilenetv2": 3_504_872,
    "lenet12": 802_344,
    "alexnet": 61_100_840,
    "lenet5": 61_706,  # as its modern form is stated everywhere; the original has 60,000
}


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_parameters_are_those_that_are_published(name, count):
    """The networks have the parameters of the published definitions, to the last one."""
    model = build(name, device="meta")
    assert sum(p.numel() for p in model.parameters()) == count


def test_lenet_by_hand():
    """LeNet-12 layer by layer: (inputs x kernel + 1) x outputs, counted on paper."""
    convolutions = (1 * 9 + 1) * 32 + (32 * 9 + 1) * 32
    convolutions += (32 * 9 + 1) * 64 + (64 * 9 + 1) * 64
    convolutions += (64 * 9 + 1) * 128 + (128 * 9 + 1) * 128
    linear = (3 * 3 * 128 + 1) * 382 + (382 + 1) * 192 + (192 + 1) * 10
    assert (convolutions, linear) == (286_432, 515_912)
    assert convolutions + linear == PUBLISHED["lenet12"]


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 32), (3, 32, 32)])
def test_lenet5_by_hand(shape):
    """LeNet-5 layer by layer: both image sizes leave 16 maps of 5 x 5."""
    count = (shape[0] * 25 + 1) * 6 + (6 * 25 + 1) * 16
    count += (16 * 25 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10
    model = build("lenet5", shape, device="meta")
    assert sum(p.numel() for p in model.parameters()) == count
    assert round(count, -4) == 60_000  # SplitFed, Table 4
    # LeCun et al. 1998: C3 has 1,516 parameters, S2 and S4 have 12 and 32, outputs are fixed.
    if shape[0] == 1:
        assert count - (2_416 - 1_516) + 12 + 32 - 850 == 60_000
    assert f"{count:,}" in type_of("lenet5").__doc__


@pytest.mark.parametrize(("shape", "count"), [((3, 32, 32), 2_472_266), ((1, 28, 28), 2_456_778)])
def test_small_alexnet_by_hand(shape, count):
    """The form for CIFAR, of 2.47 million parameters in tables of others."""
    kernels = ((shape[0], 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3))
    summed = sum((a * k * k + 1) * b for a, b, k in kernels) + (256 + 1) * 10
    model = build("alexnet", shape, device="meta")
    assert sum(p.numel() for p in model.parameters()) == summed == count


@pytest.mark.parametrize(("side", "features"), [(28, 7 * 7 * 16), (8, 2 * 2 * 16)])
def test_cnn_by_hand(side, features):
    """The small network layer by layer, counted on paper; both sizes are in its docstring."""
    count = (1 * 9 + 1) * 8 + (8 * 9 + 1) * 16 + (features + 1) * 64 + (64 + 1) * 10
    model = build("cnn", (1, side, side), device="meta")
    assert sum(p.numel() for p in model.parameters()) == count
    assert f"{count:,}" in type_of("cnn").__doc__


def type_of(name):
    """Return the function that builds a network."""
    import importlib

    return getattr(importlib.import_module(f"splitopt.models.{name}"), name)


@pytest.mark.one_quick
@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize("small", [True, False])
def test_outputs_have_the_shape_that_is_asked_for(name, small):
    """A batch goes in, a batch of scores comes out, for CIFAR's and ImageNet's sizes."""
    import torch

    tokens = is_token_model(name)
    shape = (16,) if tokens else (3, 32, 32) if small else default_shape(name)
    model = build(name, shape, classes=7, device="meta")
    dtype = torch.int64 if tokens else torch.float32
    scores = model(torch.empty((2, *shape), device="meta", dtype=dtype))
    assert scores.shape == ((2, 16, 7) if tokens else (2, 7))


@pytest.mark.slow
def test_weights_are_ready_to_train():
    """Activations neither vanish nor explode through the fresh network."""
    import torch

    for name in ("resnet18", "vgg16", "mobilenetv2", "alexnet"):
        torch.manual_seed(1)
        scores = build(name, (3, 32, 32))(torch.randn(8, 3, 32, 32))
        assert 1e-2 < float(scores.detach().std()) < 1e2


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("resnet81", None, "did you mean 'resnet18'"),
        ("vgg16", (3, 16, 16), "too small for vgg16: its height and width must be at least 32"),
        ("lenet5", (1, 8, 8), "too small for lenet5: .* at least 12"),
        ("alexnet", (1, 8, 8), "too small for alexnet: .* at least 16"),
        ("lenet12", (28, 28), "does not fit lenet12, which takes channels,height,width"),
        ("gpt", (3, 32, 32), "the number of tokens"),
        ("resnet18", (3, 0, 32), "input shape"),
    ],
)
def test_what_cannot_be_built_is_refused(name, shape, words):
    """A wrong name or shape is one sentence."""
    with pytest.raises(InputError, match=words):
        build(name, shape)
    with pytest.raises(InputError, match="at least one output"):
        build("lenet12", classes=0)
