"""What forward writes is the same split as whole, and the module is left as it was.

The other side of every comparison is the module itself, or its state dict, run by plain PyTorch.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError  # noqa: E402
from splitopt.profiles import trace  # noqa: E402
from splitopt.profiles.tracing import find_cuts  # noqa: E402
from tests.profiles.tracing.networked import there_and_back  # noqa: E402

pytestmark = pytest.mark.train

KINDS = ("Mean", "Replaced", "Observer", "Codebook", "Last", "Spectral")


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture
def nets():
    """Return the networks, which import torch."""
    path = Path(__file__).with_name("stateful.py")
    spec = importlib.util.spec_from_file_location("stateful", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    return module


def batches(count=4):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, 1, 8, 8, generator=generator) for _ in range(count)]


def train_whole(model, given):
    """Run training passes of the whole model by hand, with a step of SGD each."""
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for x in given:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model.state_dict()


def train_split(model, parts, given):
    """Do the same with parts, as over a network."""
    for part in parts:
        part.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for x in given:
        optimizer.zero_grad()
        there_and_back(parts, x, lambda result: result.square().mean())
        optimizer.step()
    return model.state_dict()


@pytest.mark.one_quick
@pytest.mark.parametrize("every", [False, True], ids=["each cut alone", "all cuts"])
@pytest.mark.parametrize("kind", KINDS)
def test_training_split_ends_with_the_state_of_the_whole(nets, kind, every):
    """Weights and buffers, bit for bit, after four steps; then the outputs in evaluation."""
    model = getattr(nets, kind)()
    given = batches()
    wanted = copy.deepcopy(model)
    train_whole(wanted, given)
    split = find_cuts(model, given[0])
    assert split.method == "fx"
    assert len(split.cuts) >= 3
    for cuts in [split.cuts] if every else [(cut,) for cut in split.cuts]:
        own = copy.deepcopy(model)
        parts = split.segments(cuts, own)
        state = train_split(own, parts, given)
        for name, value in wanted.state_dict().items():
            assert torch.equal(state[name], value), (cuts, name)
        held = [name for part in parts for name in part.state_dict()]
        assert sorted(held) == sorted(state), cuts
        for part in parts:
            part.eval()
        value = given[0]
        for part in parts:
            value = part(value)
        assert torch.equal(value, copy.deepcopy(wanted).eval()(given[0]))


def test_the_mean_by_hand(nets):
    """After a pass over a batch the running mean is a tenth of the first layer's mean."""
    model = nets.Mean()
    x = batches()[0]
    with torch.no_grad():
        wanted = 0.1 * (x.flatten(1) @ model.a.weight.t() + model.a.bias).mean(0)
    parts = find_cuts(model, x).segments(["relu"])
    parts[0].train()(x)
    assert torch.allclose(parts[0].state_dict()["mean"], wanted, rtol=1e-5)


def test_what_is_written_is_named(nets):
    """Buffers in place, buffers that are replaced, and centres that are not trained."""
    found = {kind: find_cuts(getattr(nets, kind)(), batches()[0]).state for kind in KINDS}
    assert found["Mean"].written == {"mean"}
    assert found["Replaced"].written == {"mean", "passes"}
    assert found["Replaced"].replaced == {"mean"}
    assert found["Observer"].written == {"low", "high", "passes"}
    assert found["Codebook"].written == {"centres", "counts"}
    assert not found["Mean"].replaced


def test_a_buffer_of_both_sides_is_no_cut(nets):
    """Between writing and reading there are two parties, who would each have their own."""
    split = find_cuts(nets.BothSides(), batches()[0])
    assert split.cuts == ("flatten", "a", "sub")


def test_without_gradients_where_the_module_is(nets):
    """The first layer gets no gradient, the others that of the whole."""
    model = nets.NoGradient()
    split = find_cuts(model, batches()[0])
    assert split.cuts == ("flatten", "a", "relu", "b", "mul")
    assert split.difference == 0
    parts = split.segments(["a", "b"])
    result = parts[0](batches()[0])
    assert not result.requires_grad
    assert parts[1](result.requires_grad_(False)).requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("kind", ["Plain", "Hidden"])
def test_state_outside_the_state_dict_is_refused(nets, kind):
    """Whatever the method, since no copy or other machine would have it."""
    model = getattr(nets, kind)()
    with pytest.raises(InputError, match=r"keeps mean .* self.register_buffer\(\"mean\", ...\)"):
        find_cuts(model, batches()[0])
    sequence = torch.nn.Sequential(torch.nn.Flatten(), model, torch.nn.Linear(3, 2))
    with pytest.raises(InputError, match=r"keeps 1\.mean from one pass to the next"):
        find_cuts(sequence, batches()[0])


def test_a_schedule_by_a_plain_counter_is_refused(nets):
    """Three passes do not show it; a counter that is set on does."""
    with pytest.raises(InputError, match="goes by steps, a number that it changes in forward"):
        find_cuts(nets.Every(), batches()[0])


def test_sizes_that_the_first_batch_tells(nets):
    """They are known afterwards, and the parts are those of any other model."""
    model = nets.Lazy()
    split = find_cuts(model, batches()[0])
    assert split.difference == 0
    assert tuple(model.a.weight.shape) == (12, 64)
    assert split.cuts == ("flatten", "a", "norm", "relu")


def test_what_needs_no_data_runs_where_it_is_used():
    """A table that is looked up before the cut and added behind it is held behind it alone."""

    class Late(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.a, self.b = torch.nn.Embedding(4, 4), *_two(64, 4, 3)

        def forward(self, x):
            places = self.table(torch.arange(4, device=x.device))
            x = self.a(x.flatten(1)).relu()
            return self.b(x + places.mean(0))

    def _two(*sizes):
        return [torch.nn.Linear(one, two) for one, two in itertools.pairwise(sizes)]

    split = find_cuts(Late(), batches()[0])
    assert split.cuts == ("flatten", "a", "relu", "add")
    first, second = split.segments(["relu"])
    assert [name for name, _ in first.named_parameters()] == ["a.weight", "a.bias"]
    assert "table.weight" in dict(second.named_parameters())


def test_notes_that_nothing_depends_on_are_no_state(nets):
    """They are said in the profile and left out of the module."""
    model = nets.Noting()
    found = trace(model, batches()[0])
    assert any("Forward changes steps" in note for note in found.profile.provenance.notes)
    assert (model.steps, model.last, model.notes, model.table) == (0, None, [], {"a": 1})


def process():
    """Return the random states of the process, and whether gradients are on."""
    numbers = np.random.get_state()[1].tolist()  # noqa: NPY002
    states = random.getstate(), numbers, torch.get_rng_state().tolist()
    return *states, torch.is_grad_enabled()


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", [*KINDS, "Plain", "Noting", "BothSides"])
def test_the_module_is_left_exactly_as_it_was(nets, kind):
    """Attributes, values, flags, modes, hooks, gradients and the random states of the process."""
    model = getattr(nets, kind)()
    model.a.eval()
    model.c.bias.requires_grad_(False)
    model.c.weight.grad = torch.ones_like(model.c.weight)
    model.register_forward_hook(lambda *_: None)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    attributes = {path: dict(vars(m)) for path, m in model.named_modules()}
    hooks, state = dict(model._forward_hooks), copy.deepcopy(model.state_dict())
    tensors = {id(t) for t in (*model.parameters(), *model.buffers())}
    states = process()
    try:
        trace(model, batches()[0])
    except InputError:
        assert kind == "Plain"
    assert {path: dict(vars(m)) for path, m in model.named_modules()} == attributes
    assert dict(model._forward_hooks) == hooks
    assert {id(t) for t in (*model.parameters(), *model.buffers())} == tensors
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not model.a.training
    assert model.b.training
    assert [p for p in model.parameters() if not p.requires_grad][-1] is model.c.bias
    assert torch.equal(model.c.weight.grad, torch.ones_like(model.c.weight))
    assert sum(p.grad is not None for p in model.parameters()) == 1
    assert states == process()
    assert torch.get_default_dtype() is torch.float32


def test_a_weight_that_only_a_function_uses_is_refused():
    """A stage that is a method of the model holds no weights, so nobody would train them."""

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(64, 4), torch.nn.Linear(4, 3)

        def head(self, x):
            return self.b(x)

        def forward(self, x):
            return self.head(self.a(x.flatten(1)))

        def split_stages(self):
            return [torch.nn.Flatten(), self.a, self.head]

    with pytest.raises(InputError, match=r"split_stages\(\) do not work \(b.weight is used by a"):
        find_cuts(Model(), batches()[0])
