"""Where modules can be cut, by which method, and that the parts are the whole."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import pytest

from splitopt.errors import CapabilityError, InputError
from splitopt.models import build
from splitopt.profiles.tracing import find_cuts, segments

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def networks():
    spec = importlib.util.spec_from_file_location(
        "networks", Path(__file__).with_name("networks.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


def gradients_of(torch, parts, x, seed=3):
    """Train one step by hand: a squared loss, gradients by the name of the parameter."""
    torch.manual_seed(seed)
    values, entry = [], x
    for index, part in enumerate(parts):
        if index:
            entry = values[-1][1].detach()
            if values[-1][1].requires_grad:
                entry.requires_grad_()
        values.append((entry, part(entry)))
    loss = values[-1][1].square().mean()
    loss.backward()
    for (after, _), (_, before) in zip(values[:0:-1], values[-2::-1], strict=True):
        if before.requires_grad:
            before.backward(after.grad)
    found = {}
    for part in parts:
        for name, parameter in part.named_parameters():
            if parameter.grad is not None:
                found[name] = parameter.grad.clone()
                parameter.grad = None
    return found


# How many cuts there are, counted by hand from the definitions; the output is none of them.
COUNTS = {
    # conv, bn, relu; an addition and a ReLU in each of 8 blocks; pooling, flatten
    ("resnet18", (3, 32, 32)): 3 + 2 * 8 + 2,
    # the stem of ImageNet has a max pooling besides
    ("resnet18", (3, 65, 65)): 4 + 2 * 8 + 2,
    # 8 convolutions with ReLU, 5 poolings; average pooling, flatten, 6 layers before the last
    ("vgg11", (3, 32, 32)): 2 * 8 + 5 + 2 + 6,
    # stem 3; the first block 5, six blocks without a shortcut 8 each, ten with one only their
    # addition; last convolution 3; pooling, flatten, dropout
    ("mobilenetv2", (3, 32, 32)): 3 + 5 + 6 * 8 + 10 + 3 + 3,
    # token embedding, sum with positions, two additions in each of 4 blocks, normalisation
    ("gpt", (6,)): 2 + 2 * 4 + 1,
    ("cnn", (1, 8, 8)): 5,
    ("lenet12", (1, 28, 28)): 11,
}


LARGE = (("resnet18", (3, 65, 65)), ("mobilenetv2", (3, 32, 32)))


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "shape"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (case in LARGE)) for case in COUNTS],
)
def test_counts_and_gradients_of_the_shipped_models(torch, name, shape):
    """The number of cuts is the one counted by hand; split at all, gradients are the whole's."""
    model = build(name, shape, classes=5)
    x = torch.randint(0, 4, (2, *shape)) if name == "gpt" else torch.randn(2, *shape)
    found = find_cuts(model, x)
    assert (len(found.cuts), found.difference, found.refused) == (COUNTS[name, shape], 0.0, {})
    assert found.method == ("sequential" if name in ("cnn", "lenet12") else "fx")
    whole = gradients_of(torch, [model], x)
    assert len(whole) == len(list(model.parameters()))
    split = gradients_of(torch, found.segments(found.cuts), x)
    assert all(torch.equal(split[key], whole[key]) for key in whole)


@pytest.mark.parametrize("kind", ["InPlace", "Modes", "Sizes", "UNet"])
def test_every_cut_alone_gives_the_gradients_of_the_whole(torch, networks, kind):
    """Also at each single cut, in both modes, for in-place layers, dropout, sizes and skips."""
    model = getattr(networks, kind)()
    x = {"Sizes": (5, 3, 4), "UNet": (3, 1, 8, 8)}.get(kind, (4, 6))
    x = torch.randn(x)
    found = find_cuts(model, x[:2])
    assert found.method == "fx"
    assert found.difference == 0.0
    whole = gradients_of(torch, [model], x)
    model.eval()
    expected = model(x)
    model.train()
    for cut in found.cuts:
        parts = found.segments([cut])
        split = gradients_of(torch, parts, x)
        assert split.keys() == whole.keys()
        assert all(torch.equal(split[key], whole[key]) for key in whole), cut
        first, second = (part.eval() for part in parts)
        assert torch.equal(second(first(x)), expected), cut


def test_cuts_of_a_net_with_skips(torch, networks):
    """A U-Net can be cut before and after its skips, never between: counted on its picture."""
    found = find_cuts(networks.UNet(), torch.randn(2, 1, 8, 8))
    assert found.cuts == ("stem", "relu", "cat", "merge", "relu#2")


def test_a_part_that_begins_in_place_copies_what_it_is_given(torch, networks):
    """The entry of such a part may be a leaf that needs a gradient, and it is not written over."""
    found = find_cuts(networks.InPlace(), torch.randn(2, 6))
    assert found.copying == ("one", "two", "add", "three")
    for cut in found.copying:
        first, second = found.segments([cut])
        entry = first(torch.randn(2, 6)).detach().requires_grad_()
        before = entry.detach().clone()
        second(entry).sum().backward()
        assert torch.equal(entry.detach(), before)
        assert entry.grad is not None


def test_sizes_follow_the_batch(torch, networks):
    """Sizes asked of the input before a cut are restated behind it, for a batch of any size."""
    model = networks.Sizes()
    found = find_cuts(model, torch.randn(2, 3, 4))
    assert {"one", "relu", "view", "add"} <= set(found.cuts)
    x = torch.randn(11, 3, 4)
    for cut in found.cuts:
        first, second = found.segments([cut])
        assert torch.equal(second(first(x)), model(x))


@pytest.mark.slow
def test_the_parts_share_the_tensors_of_the_module_under_its_names(torch):
    """State dicts of the parts together are that of the module; a copy is split into its own."""
    model = build("resnet18", (3, 32, 32))
    found = find_cuts(model, torch.randn(2, 3, 32, 32))
    cuts = ("relu", "layer2.0", "avgpool")
    parts = found.segments(cuts)
    joined = {}
    for part in parts:
        state = part.state_dict()
        assert not joined.keys() & state.keys()
        joined |= state
    assert joined.keys() == model.state_dict().keys()
    own = dict(model.named_parameters())
    for part in parts:
        assert all(parameter is own[name] for name, parameter in part.named_parameters())
    twin = copy.deepcopy(model)
    numbers = [found.cuts.index(cut) + 1 for cut in cuts]
    theirs = {
        id(parameter) for part in found.split(twin, numbers) for parameter in part.parameters()
    }
    assert theirs == {id(parameter) for parameter in twin.parameters()}


@pytest.mark.slow
def test_parts_can_be_copied(torch):
    """A deep copy of a part has tensors of its own and still runs: one for each device."""
    first, _ = segments(build("lenet12"), ["pool1"], torch.randn(2, 1, 28, 28))
    third = copy.deepcopy(first)
    x = torch.randn(2, 1, 28, 28)
    assert torch.equal(first(x), third(x))
    with torch.no_grad():
        next(iter(third.parameters())).add_(1.0)
    assert not torch.equal(first(x), third(x))
    net = segments(build("resnet18", (3, 32, 32)), ["layer1.0"], torch.randn(2, 3, 32, 32))
    again = copy.deepcopy(net[1])
    y = torch.randn(2, 64, 32, 32)
    assert torch.equal(again.eval()(y), net[1].eval()(y))


@pytest.mark.slow
def test_the_module_is_left_as_it_was(torch):
    """Modes, running statistics, gradients and the random state are those of before."""
    model = build("resnet18", (3, 32, 32))
    model.layer1.eval()
    model.fc.weight.grad = torch.ones_like(model.fc.weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    attributes = set(vars(model))
    find_cuts(model, torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert (model.training, model.layer1.training) == (True, False)
    assert bool((model.fc.weight.grad == 1).all())
    assert model.conv1.weight.grad is None
    assert set(vars(model)) == attributes


@pytest.mark.slow
def test_export_finds_what_fx_cannot_follow(torch, networks):
    """A Python guard on the shape stops torch.fx; torch.export has a graph of each mode."""
    found = find_cuts(networks.Guards(), torch.randn(2, 6))
    assert found.method == "export"
    assert found.cuts == ("one", "relu", "dropout")
    assert found.difference == 0.0
    assert any("fx: a branch or loop depends on the input" in line for line in found.tried)
    assert len(found.segments(["one"])) == 2


@pytest.mark.slow
def test_a_graph_of_one_mode_serves_to_count(torch, networks):
    """Where only training can be exported the cuts are there; the reason is told with them."""
    found = find_cuts(networks.Unsettled(), torch.randn(2, 6))
    assert (found.method, found.cuts) == ("export", ("one", "relu", "dropout"))
    with pytest.raises(CapabilityError, match=r"serves to count only.*split_stages\(\).*depends"):
        found.segments(["one"])


@pytest.mark.slow
def test_fx_and_export_find_the_same_cuts(torch):
    """Two tracers that know nothing of each other agree on ResNet-18."""
    model, x = build("resnet18", (3, 32, 32)), torch.randn(2, 3, 32, 32)
    symbolic, exported = (find_cuts(model, x, method=method) for method in ("fx", "export"))
    assert symbolic.layers == exported.layers


@pytest.mark.slow
def test_control_flow_by_data_is_said(torch, networks):
    """Nothing but declared stages helps where the data decides; the message says so and how."""
    with pytest.raises(InputError) as caught:
        find_cuts(networks.Branches(), torch.randn(2, 6))
    for words in (
        "no cut was found",
        "export: the control flow depends on the numbers of the input",
        "give the module a method split_stages()",
        "--stages a,b,c",
    ):
        assert words in str(caught.value)


def test_declared_stages(torch, networks):
    """A module's own stages are its cuts, whatever happens inside them."""
    x = torch.randn(2, 6)
    found = find_cuts(networks.Declared(), x)
    assert (found.method, found.layers) == ("stages", ("one", "stage2", "two"))
    assert found.difference == 0.0
    given = find_cuts(networks.Modes(), x, stages=["one", torch.relu, torch.nn.Dropout(), "two"])
    assert given.layers == ("one", "stage2", "stage3", "two")


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        (["one", "three"], "'three' is no submodule; at the top there are one, two"),
        (["one", "two"], "declared stages do not work .split and whole differ"),
        (["two", "one"], "declared stages do not work"),
        ([], "is empty"),
        (["one", 3], "stage 2 is a int"),
        (["one", "one", "two"], "'one' stands there twice"),
    ],
)
def test_wrong_stages_are_refused(torch, networks, stages, words):
    """Stages that are not what the module computes are found out by comparing gradients."""
    with pytest.raises(InputError, match=words):
        find_cuts(networks.Modes(), torch.randn(2, 6), stages=stages)


def test_tied_weights_are_refused_between_their_uses(torch, networks):
    """A weight on both sides of a cut would be trained twice; behind its last use all is well."""
    found = find_cuts(networks.Tied(), torch.randn(2, 4))
    assert found.cuts == ("three",)
    assert "one.weight is used on both sides (tied weights)" in found.refused["one"]
    with pytest.raises(InputError, match=r"'two' is no cut: the weight one\.weight"):
        found.segments(["two"])


def test_further_arguments_and_mappings(torch, networks):
    """Arguments that the example does not have keep their defaults; outputs may be mappings."""
    model, x = networks.Optional(), torch.randn(2, 4)
    found = find_cuts(model, x)
    assert found.layers == ("one", "truediv", "two")  # of the first output alone
    first, second = found.segments(["one"])
    assert torch.equal(second(first(x)), model(x)["scores"])
    several = find_cuts(model, (x, torch.ones(2, 3)))
    assert several.cuts == ("mul", "truediv")
    first, second = several.segments(["mul"])
    assert torch.equal(second(first(x, torch.zeros(2, 3))), model.two(torch.zeros(2, 3)))
    assert type(model).__name__ == "Optional"
    assert type(model(x)) is dict


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("cuts", "words"),
    [
        (["nowhere"], "there is no 'nowhere'; the cuts are conv1, conv2, pool1"),
        ([12], "12 is not a number from 1 to 11, the cuts of a model of 12 layers"),
        ([0], "0 is not a number"),
        (["pool2", "pool1"], "must be different and stand in order"),
        ([3, 3], "must be different"),
    ],
)
def test_wrong_cuts_are_refused(torch, cuts, words):
    """More cuts than layers, unknown names and a wrong order are one sentence each."""
    found = find_cuts(build("lenet12"), torch.randn(2, 1, 28, 28))
    with pytest.raises(InputError, match=words):
        found.segments(cuts)


def test_wrong_examples_are_refused(torch, networks):
    """An input that the module cannot take names the exception and the mend."""
    with pytest.raises(InputError, match=r"cannot take the example input \(2, 7\) of float32"):
        find_cuts(networks.Modes(), torch.randn(2, 7))
    with pytest.raises(InputError, match="input-dtype int64"):
        find_cuts(build("gpt", (6,)), torch.randn(2, 6))
    with pytest.raises(InputError, match="a tuple of tensors, found str"):
        find_cuts(networks.Modes(), ("text",))
    with pytest.raises(InputError, match="first axis must be a batch"):
        find_cuts(networks.Modes(), torch.tensor(1.0))
    with pytest.raises(InputError, match="choose one of auto"):
        find_cuts(networks.Modes(), torch.randn(2, 6), method="magic")


def test_random_numbers_in_both_modes(torch, networks):
    """A module that adds noise also in evaluation draws the same numbers split as whole."""

    class Noisy(networks.Modes):
        def forward(self, x):
            return self.two(self.one(x) + torch.randn_like(x))

    found = find_cuts(Noisy(), torch.randn(1, 6))
    assert (found.method, found.difference) == ("fx", 0.0)


def test_one_sample_is_enough(torch):
    """Samples are repeated where a batch normalisation needs more than one."""
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1)
    )
    assert find_cuts(model, torch.randn(1, 4)).cuts == ("0", "1")


def test_a_module_that_cannot_be_trained_is_refused(torch):
    """A backward pass that fails is the module's own mistake, whole as split."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Sigmoid(), torch.nn.ReLU(True))
    model.append(torch.nn.Linear(3, 2))
    with pytest.raises(InputError, match=r"cannot be trained \(RuntimeError: one of the variables"):
        find_cuts(model, torch.randn(2, 3))


def test_a_module_of_one_layer_has_no_cut(torch):
    """One layer is device or server; the message says that nothing lies between."""
    with pytest.raises(InputError, match="no cut was found"):
        find_cuts(torch.nn.Linear(3, 2), torch.randn(2, 3))


def test_torch_absent_is_one_sentence(monkeypatch):
    """Without PyTorch the message says how to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CapabilityError, match=r"pip install 'splitopt\[train\]'"):
        find_cuts(None, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet12", "resnet18", "resnet50", "vgg16", "mobilenetv2", "gpt"])
def test_each_cut_alone_in_the_shipped_models(torch, name):
    """One cut at a time through every shipped kind of network: the gradients are the whole's."""
    shape = {"lenet12": (1, 28, 28), "gpt": (6,)}.get(name, (3, 32, 32))
    model = build(name, shape, classes=5)
    x = torch.randint(0, 4, (2, *shape)) if name == "gpt" else torch.randn(2, *shape)
    found = find_cuts(model, x)
    whole = gradients_of(torch, [model], x)
    for cut in found.cuts:
        split = gradients_of(torch, found.segments([cut]), x)
        assert all(torch.equal(split[key], whole[key]) for key in whole), cut
