"""The traced table against counts that were made without it."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, ModelProfile, Scenario, load_profile
from splitopt.models import build, default_shape
from splitopt.profiles import trace
from splitopt.profiles.counting.layers import Tensor
from splitopt.profiles.published.architectures import resnet

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.profiles.tracing.running.example import made  # noqa: E402

pytestmark = pytest.mark.train

IMAGENET = (3, 224, 224)
# Where a unit of the counted profile ends under another name.
ENDS = {"conv1": "maxpool"}


@pytest.fixture(scope="module")
def resnet18():
    model, x = build("resnet18", device="meta"), made(IMAGENET, device="meta")
    return trace(model, x, keep_all=True)


# Multiply-accumulates of a forward pass as torchvision prints them in its table of pre-trained
# weights (the column GFLOPS holds GMAC); MobileNetV2 has the 300 M of Sandler et al. (2018),
# Table 4.
PRINTED_GMAC = {
    "resnet18": 1.81,
    "resnet34": 3.66,
    "resnet50": 4.09,
    "resnet101": 7.80,
    "vgg11": 7.61,
    "vgg16": 15.47,
    "vgg19": 19.63,
    "mobilenetv2": 0.30,
}
LARGE = ("resnet34", "resnet50", "resnet101", "mobilenetv2")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in PRINTED_GMAC],
)
def test_work_of_shipped_networks_is_what_is_printed(name):
    """At 224 x 224; backward costs twice forward, but for the gradient of the image.

    All these networks are convolutions and linear layers, of which each product sends one to the
    gradient of the weight and one to that of the input, whatever its groups.
    """
    model = build(name, device="meta")
    profile = trace(model, made(IMAGENET, device="meta")).profile
    forward = profile.device_forward_flop[-1]
    assert forward / 2e9 == pytest.approx(PRINTED_GMAC[name], abs=0.0051)
    first = next(part for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    side = 224 // first.stride[0]
    stem = 2 * side * side * first.weight.numel()
    assert profile.device_backward_flop[-1] == 2 * forward - stem
    for part in ("forward", "backward"):
        both = getattr(profile, f"device_{part}_flop") + getattr(profile, f"server_{part}_flop")
        assert set(both) == {both[0]}
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    assert profile.device_model_bytes[-1] == profile.layer_parameter_bytes.sum() == size
    assert profile.device_memory_fixed_bytes[-1] == 2 * size


@pytest.mark.slow
def test_mobilenet_for_small_images_by_hand():
    """Ten classes on 32 x 32: the blocks of Sandler et al. (2018), Table 2, without its strides.

    Each block expands to t times its channels, filters depth by depth 3 x 3, and projects.
    """
    blocks = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    blocks += [(6, 160, 3, 2), (6, 320, 1, 1)]
    side, channels = 32, 32
    stem = side * side * 27 * channels
    macs = stem
    for factor, out, repeats, stride in blocks:
        for index in range(repeats):
            wide = factor * channels
            macs += side * side * channels * wide * (factor > 1)
            side //= stride if index == 0 else 1
            macs += side * side * (9 * wide + wide * out)
            channels = out
    macs += side * side * channels * 1280 + 1280 * 10
    profile = trace(build("mobilenetv2", (3, 32, 32), 10), torch.randn(2, 3, 32, 32)).profile
    assert profile.device_forward_flop[-1] == 2 * macs == 175_952_896
    assert profile.device_backward_flop[-1] == 4 * macs - 2 * stem == 350_136_320


@pytest.mark.slow
def test_gpt_by_hand():
    """Per position 12 d^2 in each block, 2 T d in its attention, and the head.

    Kaplan et al. (2020), Table 1, without the embedding, in multiply-accumulates. On shapes alone
    attention is not fused, so that backward costs twice forward.
    """
    model = build("gpt", device="meta")
    (steps,) = default_shape("gpt")
    vocabulary, width = model.tokens.weight.shape
    blocks = len(model.blocks)
    products = steps * (12 * blocks * width**2 + width * vocabulary)
    scores = blocks * 2 * steps * steps * width
    profile = trace(model, made((steps,), "int64", device="meta")).profile
    assert profile.device_forward_flop[-1] == 2 * (products + scores)
    assert profile.device_backward_flop[-1] == 4 * (products + scores)
    fused = trace(build("gpt"), made((steps,), "int64")).profile
    assert fused.device_forward_flop[-1] == 2 * (products + scores)
    assert fused.device_backward_flop[-1] == 4 * products + 5 * scores


@pytest.mark.slow
def test_resnet_is_the_one_that_was_counted_by_hand(resnet18):
    """Work, sizes and memory agree to the last digit with the count from the layers' shapes."""
    counted, units = (
        load_profile("resnet18-imagenet"),
        resnet((2, 2, 2, 2), Tensor(*IMAGENET), 1000),
    )
    work = 2 * np.cumsum([unit.macs for unit in units])
    profile = resnet18.profile
    for index, unit in enumerate(units):
        at = profile.layers.index(ENDS.get(unit.name, unit.name))
        assert profile.device_forward_flop[at] == work[index]
        for column in ("smashed_bytes", "device_model_bytes", "device_memory_per_sample_bytes"):
            assert getattr(profile, column)[at] == getattr(counted, column)[index], (column, unit)


@pytest.mark.slow
def test_backward_is_twice_forward_but_for_the_first_layer(resnet18):
    """Only the first convolution saves the gradient of its input: 236 MFLOP of 112 x 112 x 64."""
    first = 2 * 112 * 112 * 64 * 3 * 49
    profile = resnet18.profile
    expected = 2 * profile.device_forward_flop - first
    np.testing.assert_array_equal(profile.device_backward_flop, expected)


@pytest.mark.slow
def test_the_published_fit_follows_the_traced_network(resnet18):
    """DP-MORA's Table 1 for ResNet-18: 5.4664 GMAC in all, a fit with an RMSE of 0.115.

    It counts element-wise operations (0.44 % of the work) and, in the first convolution, a
    gradient of the image. The rest of the traced work is its, and the fit's own error remains.
    """
    printed = load_profile("dp-mora-resnet18")
    units = resnet((2, 2, 2, 2), Tensor(*IMAGENET), 1000)
    at = [resnet18.profile.layers.index(ENDS.get(unit.name, unit.name)) for unit in units]
    mine = (resnet18.profile.device_forward_flop + resnet18.profile.device_backward_flop)[at]
    first = 112 * 112 * 64 * 3 * 49
    elementwise = np.cumsum([unit.elementwise for unit in units])
    counted = mine / 2 + first + 3 * elementwise
    assert counted[-1] / 1e9 == pytest.approx(5.4664, abs=1e-4)  # 5.46646: cut off, not rounded
    work = (printed.device_forward_flop + printed.device_backward_flop) / 2
    error = (work - counted)[:-1] / 1e9
    assert np.sqrt(np.mean(error**2)) < 2 * 0.115


def test_lenet_by_hand():
    """Work and memory of LeNet-12, layer by layer on paper (28 x 28, 14 x 14, 7 x 7, 3 x 3)."""
    profile = trace(build("lenet12"), torch.randn(2, 1, 28, 28), keep_all=True).profile
    macs = [
        784 * 9 * 32, 784 * 288 * 32, 0, 196 * 288 * 64, 196 * 576 * 64, 0,
        49 * 576 * 128, 49 * 1152 * 128, 0, 1152 * 382, 382 * 192, 192 * 10,
    ]  # fmt: skip
    assert profile.device_forward_flop.tolist() == (2 * np.cumsum(macs)).tolist()
    first = 2 * macs[0]
    assert profile.device_backward_flop.tolist() == (4 * np.cumsum(macs) - first).tolist()
    sizes = [784 * 32, 784 * 32, 196 * 32, 196 * 64, 196 * 64, 49 * 64, 49 * 128, 49 * 128, 1152]
    sizes += [382, 192, 0]
    assert profile.smashed_bytes.tolist() == [4 * size for size in sizes]
    # Kept: the image, every output, twice where ReLU follows a pooling's indices of 8 B; the
    # output of the last layer is not kept by the network itself.
    kept = [784, sizes[0], sizes[1], sizes[2] * 3]
    memory = profile.device_memory_per_sample_bytes
    assert memory[0] == 4 * (kept[0] + kept[1])
    assert memory[2] == 4 * (kept[0] + kept[1] + kept[2]) + 8 * sizes[2]


@pytest.mark.slow
def test_dominated_cuts_are_left_out_and_kept_on_demand(resnet18):
    """What is pruned sends no less than a later cut for the same work; nothing else is pruned."""
    model, x = build("resnet18", device="meta"), made(IMAGENET, device="meta")
    found = trace(model, x)
    assert found.profile.layers == (
        "maxpool", "layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1",
        "layer4.0", "flatten", "fc",
    )  # fmt: skip
    every = resnet18.profile
    assert set(found.dominated) | set(found.profile.layers) == set(every.layers)
    for early, late in found.dominated.items():
        i, j = every.layers.index(early), every.layers.index(late)
        assert i < j < every.layer_count - 1
        assert every.device_forward_flop[i] == every.device_forward_flop[j]
        assert every.smashed_bytes[i] >= every.smashed_bytes[j]


class Factored(torch.nn.Module):
    """A linear layer whose weight is the product of two others."""

    def __init__(self):
        super().__init__()
        self.down = torch.nn.Parameter(torch.ones(2, 6))
        self.up = torch.nn.Parameter(torch.ones(4, 2))

    def forward(self, x):
        return x @ (self.up @ self.down).T


class Alike(torch.nn.Module):
    """Weighs the samples of a batch by how alike they are: all pairs are compared."""

    def forward(self, x):
        return (x @ x.T).softmax(1) @ x


def test_work_on_weights_is_done_once_for_a_batch():
    """4 x 2 x 6 products for the weight, twice that for its gradients, in no sample's share."""
    profile = trace(
        torch.nn.Sequential(Factored(), torch.nn.Linear(4, 2)), torch.randn(2, 6)
    ).profile
    assert profile.device_forward_flop[-1] == 2 * (24 + 8)
    assert profile.device_backward_flop[-1] == 2 * (24 + 2 * 8)
    (note,) = [text for text in profile.provenance.notes if "done once for a batch" in text]
    assert note.startswith(f"Further {2 * 3 * 48} FLOP are done once for a batch of any size")


def test_work_on_pairs_of_samples_is_that_of_the_small_batch():
    """2 samples of 4 values: two products with 2 others each, and no work left over."""
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), Alike(), torch.nn.Linear(4, 2))
    profile = trace(model, torch.randn(2, 6)).profile
    assert profile.device_forward_flop[-1] == 2 * (24 + 2 * 2 * 4 + 8)
    assert not any("done once for a batch" in text for text in profile.provenance.notes)


def test_samples_may_cost_differently():
    """Every second sample passes the layer: half of its products for a sample on average."""

    class Gated(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 4)

        def forward(self, x):
            chosen = x[:, 0] > 0
            return x.masked_scatter(chosen[:, None], self.layer(x[chosen]))

    x = torch.tensor([[-1.0, 1, 1, 1], [1.0, 1, 1, 1]])
    gated = torch.nn.Sequential(torch.nn.Flatten(), Gated(), torch.nn.Linear(4, 2))
    profile = trace(gated, x).profile
    assert profile.device_forward_flop[-1] == 2 * (16 / 2 + 8)
    assert not any("done once for a batch" in text for text in profile.provenance.notes)


def test_sparse_buffers_are_named_and_not_counted():
    """A product with a sparse matrix has no formula, forward or backward."""

    class Mixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mix", torch.eye(3).to_sparse())

        def forward(self, x):
            return torch.stack([torch.sparse.mm(self.mix, item) for item in x])

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), Mixed(), torch.nn.Linear(4, 2))
    profile = trace(model, torch.randn(2, 3, 4)).profile
    found = [(item.operator, item.phase, item.runs) for item in profile.uncounted]
    assert found == [("aten::_sparse_addmm", "forward", 2), ("aten::mm", "backward", 2)]
    assert profile.device_forward_flop[-1] == 2 * 3 * (16 + 8)


def test_frozen_layers_need_no_gradient():
    """A device whose layers are not trained gets no gradient and holds none."""
    model = torch.nn.Sequential(*(torch.nn.Linear(8, 8) for _ in range(3)))
    model[0].requires_grad_(False)
    profile = trace(model, torch.randn(2, 8)).profile
    assert profile.gradient_bytes.tolist() == [0.0, 32.0, 0.0]
    assert profile.smashed_bytes.tolist() == [32.0, 32.0, 0.0]
    assert profile.device_backward_flop.tolist() == [0.0, 128.0, 384.0]
    size = 8 * 8 * 4 + 8 * 4
    assert profile.device_memory_fixed_bytes.tolist() == [size, 3 * size, 5 * size]


@pytest.mark.slow
def test_oddities_are_in_the_notes():
    """Unused parameters and copies are said."""
    model = build("resnet18", (3, 32, 32))
    model.spare = torch.nn.Linear(2, 2)
    notes = " ".join(trace(model, torch.randn(2, 3, 32, 32)).profile.provenance.notes)
    assert "Not used by the forward pass, and in no column: spare.weight, spare.bias." in notes
    assert "are the same bit for bit" in notes
    assert "Behind bn1, layer1.0.add" in notes


def test_a_traced_profile_can_be_planned_with(tmp_path, scenario_document):
    """Saved, named in a scenario and solved: every cut is one of the profile's layers."""
    profile = trace(build("lenet12"), torch.randn(2, 1, 28, 28), name="mine").profile
    profile.save(tmp_path / "mine.json")
    assert ModelProfile.load(tmp_path / "mine.json") == profile
    scenario_document["model"] = {"file": str(tmp_path / "mine.json")}
    problem = CutAndResources.from_scenario(Scenario.from_dict(scenario_document))
    assert problem.layers == profile.layer_count


def test_the_parts_of_a_profile_are_found_by_its_numbers():
    """Cut l of a plan is the part that ends with layer l of the profile."""
    found = trace(build("lenet12"), torch.randn(2, 1, 28, 28))
    first, second = found.segments([2])
    assert first(torch.randn(2, 1, 28, 28)).shape == (2, 32, 14, 14)
    assert second(torch.randn(2, 32, 14, 14)).shape == (2, 10)
    assert len(found.all_parts()) == found.profile.layer_count
