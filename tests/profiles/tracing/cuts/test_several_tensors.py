"""Cuts that several tensors cross: the parts are the whole bit for bit, and bytes are by hand."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.trace_record import TraceRecord
from splitopt.profiles.tracing import find_cuts, measure, segments, trace

pytestmark = pytest.mark.train

NAMES = (
    "unet", "two branches", "dense", "mask", "encoder", "causal encoder", "sequence first",
    "mixed", "contained", "translated", "two types",
)  # fmt: skip


@pytest.fixture(scope="module")
def networks():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    spec = importlib.util.spec_from_file_location("several", Path(__file__).with_name("several.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(before)


def trained(torch, parts, x):
    """Train a step by hand, what crosses being sent as a tensor; give output and gradients."""
    torch.manual_seed(3)
    sent, entries, given = [], [], tuple(item.clone() for item in x)
    for part in parts:
        sent.append(part(*given))
        given = (sent[-1].detach().clone(),)
        if sent[-1].requires_grad:
            given[0].requires_grad_()
        entries.append(given[0])
    sent[-1].square().sum().backward()
    for value, entry in zip(sent[-2::-1], entries[-2::-1], strict=True):
        if value.requires_grad:
            value.backward(entry.grad)
    found = {n: p.grad for part in parts for n, p in part.named_parameters() if p.grad is not None}
    return sent[-1].detach(), found


def evaluated(torch, parts, x):
    torch.manual_seed(4)
    value = tuple(item.clone() for item in x)
    with torch.no_grad():
        for part in parts:
            value = (part.eval()(*value),)
    return value[0]


@pytest.mark.slow
@pytest.mark.parametrize("most", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_the_parts_are_the_whole_at_every_cut(torch, networks, name, most):
    """Outputs, gradients and buffers in training, and outputs in evaluation; nothing is near."""
    make, x = networks.CASES[name]
    model = make().train()
    split = find_cuts(model, x, most_tensors=most, verify=False)
    own = copy.deepcopy(model)
    wanted, gradients = trained(torch, [own], x)
    buffers = {name: value.clone() for name, value in own.named_buffers()}
    outputs = evaluated(torch, [own], x)
    assert split.method == "fx"
    for cuts in (*((cut,) for cut in split.cuts), split.cuts):
        other = copy.deepcopy(model)
        parts = split.segments(cuts, other)
        found, others = trained(torch, parts, x)
        assert torch.equal(found, wanted), cuts
        assert others.keys() == gradients.keys(), cuts
        for key, value in gradients.items():
            assert torch.equal(others[key], value), (cuts, key)
        for key, value in buffers.items():
            assert torch.equal(dict(other.named_buffers())[key], value), (cuts, key)
        assert torch.equal(evaluated(torch, parts, x), outputs), cuts


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_there_are_no_more_tensors_than_allowed_and_one_is_what_it_was(torch, networks, name):
    """Those of one tensor are the same whatever is allowed, and more allowed finds no fewer."""
    make, x = networks.CASES[name]
    found = {}
    for most in (1, 2, 3, 4):
        try:
            split = find_cuts(make(), x, most_tensors=most, method="fx")
        except InputError:
            assert most == 1
            found[most] = split = None
            continue
        found[most] = split
        assert split.difference == 0
        assert not split.refused
        several = [len(layout.sections) for layout in split.layouts.values()]
        assert max(several, default=1) <= most
        assert min(several, default=2) >= 2
    alone = len(found[1].cuts) if found[1] else 0
    for most in (2, 3, 4):
        assert len(found[most].cuts) - len(found[most].layouts) == alone
    assert len(found[2].cuts) <= len(found[3].cuts) <= len(found[4].cuts)


@pytest.mark.slow
def test_the_bytes_of_a_unet_are_those_of_its_tensors(torch, networks):
    """Images of 8 x 8: levels of 4 x 64, 8 x 16 and 16 x 4 numbers, of 4 bytes each."""
    one, two, three = 4 * 64 * 4, 8 * 16 * 4, 16 * 4 * 4
    wanted = {
        "enc1": one,
        "pool1": one + 4 * 16 * 4,
        "enc2": one + two,
        "pool2": one + two + 8 * 4 * 4,
        "middle": one + two + three,
        "up2": one + two + two,
        "cat": one + 2 * two,
        "dec2": one + two,
        "up1": one + one,
        "cat#2": 2 * one,
        "dec1": one,
    }
    model = networks.UNet()
    found = trace(model, torch.randn(2, 1, 8, 8), most_tensors=3, keep_all=True).profile
    smashed = dict(zip(found.layers, found.smashed_bytes.tolist(), strict=True))
    gradient = dict(zip(found.layers, found.gradient_bytes.tolist(), strict=True))
    assert {name: smashed[name] for name in wanted} == wanted
    assert {name: gradient[name] for name in wanted} == wanted
    for count, cut in ((2, "enc2"), (3, "middle")):
        with pytest.raises(InputError, match="there is no"):
            find_cuts(model, torch.randn(2, 1, 8, 8), most_tensors=count - 1).segments([cut])
        device, _ = segments(model, [cut], torch.randn(2, 1, 8, 8), most_tensors=count)
        assert device(torch.randn(5, 1, 8, 8)).shape == (5, wanted[cut] / 4)


@pytest.mark.slow
def test_work_and_memory_are_those_of_the_cuts_of_one_tensor(torch, networks):
    """What a layer computes and saves does not depend on where else the model could be cut."""
    x = torch.randn(2, 1, 8, 8)
    few, many = (trace(networks.UNet(), x, most_tensors=n, keep_all=True).profile for n in (1, 3))
    # What several tensors cross behind a concatenation is counted first among those.
    at = [many.layers.index("cat#2" if name == "cat" else name) for name in few.layers]
    for column in (
        "device_forward_flop", "device_backward_flop", "device_memory_per_sample_bytes",
        "device_model_bytes", "smashed_bytes", "gradient_bytes",
    ):  # fmt: skip
        assert np.array_equal(getattr(many, column)[at], getattr(few, column)), column
    whole, parts = (found.operators.forward.sum(axis=0) for found in (few, many))
    assert np.array_equal(whole, parts)  # nothing is packed where nobody cuts


@pytest.mark.slow
def test_masks_and_inputs_that_wait_send_no_gradient(torch, networks):
    """Five truth values are 5 bytes, two words; the hidden state has 30 numbers of 4 bytes."""
    make, x = networks.CASES["mask"]
    found = trace(make(), x, most_tensors=2, keep_all=True).profile
    at = found.layers.index("blocks.b0")
    assert (found.smashed_bytes[at], found.gradient_bytes[at]) == (2 * 4 + 30 * 4, 30 * 4)
    make, x = networks.CASES["two branches"]
    split = find_cuts(make(), x, most_tensors=2)
    found = trace(make(), x, most_tensors=2, keep_all=True).profile
    at = found.layers.index("image.2")  # the second input crosses beside 3 x 4 x 4 numbers
    assert (found.smashed_bytes[at], found.gradient_bytes[at]) == (4 * (5 + 48), 4 * 48)
    device, server = split.segments(["image.2"])
    assert not any(name.startswith("table") for name, _ in device.named_parameters())
    assert {name for name, _ in server.named_parameters()} == {
        "table.0.weight", "table.0.bias", "head.weight", "head.bias",
    }  # fmt: skip


@pytest.mark.slow
def test_cuts_inside_containers_have_the_names_of_the_modules(torch, networks):
    """In lists, dictionaries and sequences in each other, and in the encoder of torch.nn."""
    make, x = networks.CASES["contained"]
    split = find_cuts(make(), x, most_tensors=2)
    modules = dict(make().named_modules())
    wanted = [
        "stages.0.0", "stages.0.1.0", "stages.0.1.1", "stages.1.left", "stages.1.right",
        "encoder.layers.0", "encoder",
    ]  # fmt: skip
    assert [name for name in split.cuts if name in modules] == wanted
    for name in ("encoder", "causal encoder", "sequence first"):
        make, x = networks.CASES[name]
        cuts = find_cuts(make(), x, most_tensors=2).cuts
        assert {"encoder.layers.0", "encoder.layers.1", "encoder.layers.2"} <= set(cuts)


@pytest.mark.slow
def test_what_needs_no_values_needs_none_here(torch, networks):
    """On shapes alone the bytes are the same, and times can be taken of the layers."""
    shapes = trace(
        networks.UNet().to("meta"), torch.randn(2, 1, 8, 8, device="meta"), most_tensors=3
    )
    found = trace(networks.UNet(), torch.randn(2, 1, 8, 8), most_tensors=3)
    assert shapes.profile.layers == found.profile.layers
    assert np.array_equal(shapes.profile.smashed_bytes, found.profile.smashed_bytes)
    assert measure(found, batch=2, repeats=1, warmup=0).profile.machines["here"].total_s.sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fx", "export"])
@pytest.mark.parametrize(
    ("kinds", "sizes", "common"),
    [
        (("float32", "bfloat16"), (4, 2), "float32"),
        (("float64", "float32"), (8, 4), "float64"),
        (("float16", "bfloat16"), (2, 2), "float32"),
        (("float32", "float16"), (4, 2), "float32"),
    ],
)
def test_two_types_of_real_numbers_cross_without_loss(
    torch, networks, method, kinds, sizes, common
):
    """Outputs and gradients of every cut are the whole's, bit for bit; bytes are each type's."""
    torch.manual_seed(1)
    model, x = networks.TwoTypes(*(getattr(torch, kind) for kind in kinds)), torch.randn(4, 6)
    split = find_cuts(model, x, most_tensors=2, method=method)
    assert split.difference == 0
    layout = split.layouts["right"]
    assert layout.dtype is getattr(torch, common)
    assert layout.bytes == layout.gradient_bytes == 8 * sizes[0] + 5 * sizes[1]
    wanted, gradients = trained(torch, [copy.deepcopy(model)], (x,))
    for cut in split.cuts:
        parts = split.segments([cut], copy.deepcopy(model))
        found, others = trained(torch, parts, (x,))
        assert torch.equal(found, wanted), cut
        for key, value in gradients.items():
            assert torch.equal(others[key], value), (cut, key)
    if method == "fx":
        table = trace(model, x, most_tensors=2, keep_all=True).profile
        at = table.layers.index("right")
        assert table.smashed_bytes[at] == table.gradient_bytes[at] == layout.bytes


def test_complex_numbers_do_not_cross_with_others(torch):
    """A gradient would have to come back for both; one of them alone is a cut."""
    nn = torch.nn

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.three = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            x = self.one(x)
            y = torch.fft.fft(x)
            return self.three(self.two(x) + y.abs())

    split = find_cuts(Turned(), torch.randn(2, 3), most_tensors=3)
    assert "one" in split.cuts
    assert not any(own.is_complex for layout in split.layouts.values() for own in [layout.dtype])
    assert "fft_fft" not in split.cuts


@pytest.mark.slow
def test_the_profile_says_how_many_may_cross(torch, networks, tmp_path):
    """A file without the word is of one tensor, and one tensor writes none."""
    x = torch.randn(2, 1, 8, 8)
    found = trace(networks.UNet(), x, most_tensors=3).profile
    found.save(tmp_path / "unet.json")
    again = ModelProfile.load(tmp_path / "unet.json")
    assert (
        again.trace
        == found.trace
        == TraceRecord("fx", input_shape=(1, 8, 8), input_dtype="float32", most_tensors=3)
    )
    assert json.loads((tmp_path / "unet.json").read_text())["trace"]["most_tensors"] == 3
    assert "most_tensors" not in trace(networks.UNet(), x).profile.trace.to_dict()
    with pytest.raises(InputError, match=r"trace\.most_tensors: is 1"):
        TraceRecord("fx", most_tensors=1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"most_tensors": 0}, "is 0, it must be a whole number >= 1"),
        ({"most_tensors": "2"}, "is '2', it must be a whole number"),
        ({"most_tensors": 2, "stages": ["one"]}, "between declared stages one tensor crosses"),
        ({"most_tensors": 2, "method": "stages"}, "between declared stages one tensor crosses"),
        ({"most_tensors": 2, "method": "sequential"}, "the layers of an nn.Sequential one tensor"),
    ],
)
def test_what_cannot_be_is_refused(torch, networks, given, words):
    with pytest.raises(InputError, match=words):
        find_cuts(networks.UNet(), torch.randn(2, 1, 8, 8), **given)


def test_inside_the_layers_of_a_sequential(torch, networks):
    """Residual blocks in an nn.Sequential have cuts inside them that two tensors cross."""
    nn = torch.nn

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return x + self.two(self.one(x).relu())

    model = nn.Sequential(Residual(), Residual())
    assert find_cuts(model, torch.randn(2, 4)).cuts == ("0",)
    split = find_cuts(model, torch.randn(2, 4), most_tensors=2)
    assert (split.method, split.difference) == ("fx", 0)
    assert {"0", "0.one", "0.two", "1.one", "1.two"} <= set(split.cuts)
