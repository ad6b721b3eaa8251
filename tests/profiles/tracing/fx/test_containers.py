"""Cuts between the layers of the containers of torch.nn; the module itself is the other side."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.errors import InputError  # noqa: E402
from splitopt.profiles.tracing import find_cuts  # noqa: E402
from tests.profiles.tracing.networked import there_and_back  # noqa: E402

pytestmark = pytest.mark.train

LAYER = {"d_model": 8, "nhead": 2, "dim_feedforward": 16}


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


class Encoder(nn.Module):
    """An encoder between two linear layers, with a mask if `mask` makes one."""

    def __init__(self, mask=None, norm=None, **options):
        super().__init__()
        options = {"batch_first": True, **options}
        self.emb, self.head, self.mask = nn.Linear(4, 8), nn.Linear(8, 3), mask
        self.enc = nn.TransformerEncoder(nn.TransformerEncoderLayer(**LAYER, **options), 3, norm)
        self.register_buffer("causal", nn.Transformer.generate_square_subsequent_mask(7))

    def forward(self, x):
        x = self.emb(x)
        given = {"buffer": (self.causal,), None: ()}.get(self.mask)
        if self.mask == "hinted":
            length = x.size(1)
            made = nn.Transformer.generate_square_subsequent_mask(length)
            return self.head(self.enc(x, made, is_causal=True).mean(1))
        return self.head(self.enc(x, *given).mean(1))


class Decoder(nn.Module):
    """A decoder that attends to a memory of its own."""

    def __init__(self):
        super().__init__()
        self.emb, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        layer = nn.TransformerDecoderLayer(**LAYER, batch_first=True)
        self.dec = nn.TransformerDecoder(layer, 3)
        self.register_buffer("memory", torch.ones(1, 5, 8))

    def forward(self, x):
        memory = self.memory.expand(x.size(0), -1, -1)
        return self.head(self.dec(self.emb(x), memory).mean(1))


class Recurrent(nn.Module):
    """Recurrent layers on each other; the head reads the last output, or the last state."""

    def __init__(self, kind, state=False, layers=3, **options):
        super().__init__()
        self.rnn, self.state = kind(4, 6, layers, batch_first=True, **options), state
        width = (options.get("proj_size") or 6) * (2 if options.get("bidirectional") else 1)
        self.head = nn.Linear(6 if state else width, 3)

    def forward(self, x):
        found, state = self.rnn(x)
        if self.state:
            return self.head((state[0] if isinstance(state, tuple) else state)[-1])
        return self.head(found[:, -1])


def gradients(model, x):
    """Compute output and gradients of the whole by plain PyTorch."""
    own = copy.deepcopy(model)
    torch.manual_seed(7)
    found = own(x)
    found.square().sum().backward()
    return found.detach(), {name: p.grad for name, p in own.named_parameters()}


def split_gradients(model, cuts, split, x):
    """Compute the same by the parts."""
    own = copy.deepcopy(model)
    parts = split.segments(cuts, own)
    torch.manual_seed(7)
    found = there_and_back(parts, x, lambda result: result.square().sum())
    return found, {name: p.grad for name, p in own.named_parameters()}


def check(model, x, wanted):
    """See that the cuts are there, and that each alone computes what the whole does."""
    split = find_cuts(model, x)
    assert split.method == "fx"
    assert set(wanted) <= set(split.cuts), split.cuts
    model.train()
    output, expected = gradients(model, x)
    for cut in split.cuts:
        found, own = split_gradients(model, [cut], split, x)
        assert torch.equal(found, output), cut
        for name, value in expected.items():
            assert torch.allclose(own[name], value, rtol=1e-5, atol=1e-6), (cut, name)
    model.eval()
    parts = split.segments(split.cuts)
    with torch.no_grad():
        value = x
        for part in parts:
            value = part.eval()(value)
        assert torch.allclose(value, model(x), rtol=1e-5, atol=1e-6)
    return split


@pytest.mark.one_quick
@pytest.mark.parametrize("mask", [None, "buffer", "hinted"])
def test_a_cut_behind_every_layer_of_an_encoder(mask):
    """In training, with dropout, and in evaluation, where PyTorch takes its fast path."""
    torch.manual_seed(0)
    model = Encoder(mask, norm=nn.LayerNorm(8) if mask else None)
    last = "enc.layers.2" if mask else "enc"
    check(model, torch.randn(2, 7, 4), ["emb", "enc.layers.0", "enc.layers.1", last])


def test_the_layers_cut_as_in_a_module_list():
    """The names and bytes that cross are those of the same layers called one by one."""
    torch.manual_seed(0)
    model = Encoder()

    class Loose(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb, self.head = model.emb, model.head
            self.layers = nn.ModuleList(model.enc.layers)

        def forward(self, x):
            x = self.emb(x)
            for layer in self.layers:
                x = layer(x)
            return self.head(x.mean(1))

    x = torch.randn(2, 7, 4)
    loose, own = find_cuts(Loose(), x), find_cuts(model, x)
    assert len(own.cuts) == len(loose.cuts) == 5
    for one, two in zip(own.segments(["enc"]), loose.segments(["layers.2"]), strict=True):
        assert sum(p.numel() for p in one.parameters()) == sum(p.numel() for p in two.parameters())


@pytest.mark.slow
def test_a_cut_behind_every_layer_of_a_decoder():
    """Its memory is the model's own, so that nothing but the sequence crosses."""
    torch.manual_seed(0)
    check(Decoder(), torch.randn(2, 7, 4), ["emb", "dec.layers.0", "dec.layers.1", "dec"])


def test_an_encoder_in_a_sequence_of_layers():
    """Its layers are those of the sequence."""
    layer = nn.TransformerEncoderLayer(**LAYER, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8))
    model = nn.Sequential(nn.Linear(4, 8), encoder, nn.Flatten(), nn.Linear(56, 3))
    split = find_cuts(model, torch.randn(2, 7, 4))
    assert split.method == "sequential"
    assert split.cuts == ("0", "1.layers.0", "1.layers.1", "1.norm", "2")
    assert split.difference == 0


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.LSTM, {}),
        (nn.LSTM, {"bidirectional": True, "proj_size": 3, "bias": False}),
        (nn.LSTM, {"state": True}),
        (nn.GRU, {"bidirectional": True}),
        (nn.GRU, {"state": True}),
        (nn.RNN, {"nonlinearity": "relu"}),
        (nn.RNN, {}),
    ],
)
def test_a_cut_between_recurrent_layers(kind, options):
    """Whatever the kind; the weights have the names that they have in the module."""
    torch.manual_seed(0)
    model = Recurrent(kind, **options)
    split = check(model, torch.randn(2, 7, 4), ["rnn.l0", "rnn.l1", "rnn"])
    first = [name for name, _ in split.segments(["rnn.l0"])[0].named_parameters()]
    assert sorted(first) == sorted(n for n, _ in model.named_parameters() if "_l0" in n)


def test_dropout_between_recurrent_layers():
    """It is drawn once, on the side that it lies on: what comes out is zero so often, or scaled."""
    torch.manual_seed(0)
    model = Recurrent(nn.LSTM, dropout=0.5)
    x = torch.randn(64, 7, 4)
    split = find_cuts(model, x)
    assert split.cuts[:2] == ("rnn.l0.getitem", "rnn.l0")
    before, after = (split.segments([cut])[0].train() for cut in split.cuts[:2])
    value, dropped = before(x), after(x)
    zero = dropped == 0
    assert 0.4 < float(zero.float().mean()) < 0.6
    assert torch.allclose(dropped[~zero], 2 * value[~zero])
    assert torch.equal(after.eval()(x), value)


def test_containers_that_cannot_be_entered_are_taken_whole():
    """One with a hook does more than its layers do."""
    torch.manual_seed(0)
    model = Encoder()
    model.enc.register_forward_hook(lambda module, given, result: 2 * result)
    split = find_cuts(model, torch.randn(2, 7, 4))
    assert split.cuts == ("emb", "enc", "mean")


def test_what_is_declared_comes_first():
    """Stages of the model's own win over what torch.fx would find, and their fault is theirs."""

    class Declared(Encoder):
        stages: tuple[str, ...] = ()

        def split_stages(self):
            return [self.emb, *self.enc.layers, lambda x: x.mean(1), self.head][: len(self.stages)]

    torch.manual_seed(0)
    model, x = Declared(), torch.randn(2, 7, 4)
    model.stages = tuple("123456")
    split = find_cuts(model, x)
    assert split.method == "stages"
    assert split.cuts == ("emb", "enc.layers.0", "enc.layers.1", "enc.layers.2", "stage5")
    model.stages = tuple("12345")
    with pytest.raises(InputError, match=r"the stages of split_stages\(\) do not work"):
        find_cuts(model, x)
    assert find_cuts(model, x, method="fx").method == "fx"
    with pytest.raises(InputError, match=r"no cut was found; declare stages: .*tried: sequential"):
        find_cuts(model, x, method="sequential")


def test_the_first_result_of_a_layer_has_its_name():
    """Two recurrent layers of one: their outputs are `a` and `b`."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.LSTM(4, 6), nn.GRU(6, 5)

        def forward(self, x):
            seen, _ = self.a(x)
            return self.b(seen)[0].relu()

    assert find_cuts(Two(), torch.randn(2, 7, 4)).cuts == ("a", "b")
