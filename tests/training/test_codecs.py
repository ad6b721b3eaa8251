"""Codecs in one process: all schemes, bytes by hand, checkpoints, and clients side by side."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt.errors import InputError, TrainingError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train

SIZES, BATCH = (10, 16, 7), 4
CUTS = {
    "vanilla": (3,),
    "splitfed_v1": (3,),
    "splitfed_v2": (3,),
    "clustered": (3,),
    "multihop": (3, 5, 7),
    "u_shaped": (3, 7),
    "split_nn": (3, 7),
}


def scheme_of(make, name, options, sizes=SIZES, **model):
    clients = make.clients(sizes, CUTS[name], BATCH, dtype=model.get("dtype", torch.float32))
    found = SCHEMES[name](make.cnn(**model), clients, options, make.split)
    if name == "clustered":
        found.cluster([[0, 2], [1]])
    return found


def assert_same(found, wanted):
    first, second = found.state_dict(), wanted.state_dict()
    assert first.keys() == second.keys()
    for name, value in second.items():
        assert torch.equal(first[name], value), name


@pytest.mark.parametrize("name", CUTS)
def test_none_is_what_it_was(make, name):
    """Not one bit, byte or entry of the state is another one."""
    usual = scheme_of(make, name, Options(momentum=0.9), dropout=0.3)
    named = scheme_of(
        make, name, Options(momentum=0.9, codec="none", gradient_codec="none"), dropout=0.3
    )
    assert usual.round(0) == named.round(0)
    assert_same(named, usual)
    assert not any("crossing" in entry for entry in usual.state_dict())


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("codec", ["fp16", "int8", "int4:stochastic", "topk:0.2"])
def test_a_scheme_without_codecs_forgets_those_of_another(make, name, codec):
    coded = scheme_of(make, name, Options(codec=codec))
    usual = SCHEMES[name](make.cnn(), coded.clients, Options(), make.split)
    assert not any(client.crossing.ways for client in usual.clients)
    assert all(client.crossing.ways == {"up", "down"} for client in coded.clients)


@pytest.mark.one_quick
@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("codec", ["fp16", "int8", "int4:stochastic", "topk:0.2"])
def test_bytes_by_hand(make, name, codec):
    """Values of a cut by its shape: 4 x 8 x 8 behind layer 3, 64 behind 5, and 16 behind 7."""
    values = {3: 256, 5: 64, 7: 16}
    cuts, options = CUTS[name], Options(codec=codec, gradient_codec="bf16")
    scheme = scheme_of(make, name, options)
    if name == "clustered":  # as many steps in a cluster as its longest client has
        counts = [[4, 4, 2], [4, 4, 4, 4], [4, 3, 4]]
        rows = [size for own in counts for size in own]
        assert [scheme.steps(client) for client in scheme.clients] == [3, 4, 2]
    else:
        rows = [4, 4, 2, 4, 4, 4, 4, 4, 3]
    each = {
        "fp16": lambda n: 2 * n,
        "int8": lambda n: n + 5,
        "int4:stochastic": lambda n: -(-n // 2) + 5,
        "topk:0.2": lambda n: -(-n // 5) * (4 + 2),
    }[codec]
    traffic = scheme.round(0).traffic
    numbers = [size * values[cut] for size in rows for cut in cuts]
    assert traffic.smashed == sum(map(each, numbers))
    assert traffic.gradient == sum(2 * n for n in numbers)


def test_the_gradient_takes_the_same_codec_unless_it_has_its_own(make):
    both = scheme_of(make, "vanilla", Options(codec="fp16")).round(0).traffic
    assert both.smashed == both.gradient
    up = scheme_of(make, "vanilla", Options(codec="fp16", gradient_codec="none")).round(0).traffic
    assert up.gradient == 2 * up.smashed == 2 * both.gradient
    down = scheme_of(make, "vanilla", Options(gradient_codec="fp16")).round(0).traffic
    assert down.smashed == 2 * down.gradient


class Rounded(nn.Module):
    """What a codec makes of values and of their gradient, as one layer of a whole model."""

    def __init__(self, up, down):
        super().__init__()

        class Through(torch.autograd.Function):
            @staticmethod
            def forward(context, value):
                return up(value)

            @staticmethod
            def backward(context, gradient):
                return down(gradient)

        self.through = Through.apply

    def forward(self, value):
        return self.through(value)


def test_what_is_learned_is_that_of_a_whole_model_that_rounds_there(make):
    """Both ways by torch.autograd: rounding to bfloat16 forward, to float16 backward."""
    options = Options(codec="bf16", gradient_codec="fp16", learning_rate=0.1)
    scheme = scheme_of(make, "splitfed_v1", options, sizes=(12,))
    whole = make.cnn()
    rounded = nn.Sequential(
        *whole[:3],
        Rounded(lambda x: x.bfloat16().float(), lambda g: g.half().float()),
        *whole[3:],
    )
    optimizer = torch.optim.SGD(rounded.parameters(), lr=0.1)
    (client,) = make.clients((12,), (3,), BATCH)
    for inputs, targets in client.batches.take(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(rounded(inputs), targets).backward()
        optimizer.step()
    scheme.round(0)
    for name, value in scheme.model.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


@pytest.mark.one_quick
@pytest.mark.parametrize("codec", ["int8", "int4:channel:stochastic", "topk:0.1:feedback"])
@pytest.mark.parametrize("name", ["splitfed_v1", "multihop"])
def test_clients_side_by_side_send_what_they_send_one_by_one(make, name, codec):
    """The same messages but for the last bits of float64, in which sums are taken otherwise."""
    sizes = (8, 8, 6)  # two are alike, and train in one stack
    one, other = (
        scheme_of(make, name, Options(codec=codec, batched=batched), sizes, dtype=torch.float64)
        for batched in (False, True)
    )
    for number in range(2):
        first, second = one.round(number), other.round(number)
        assert first.traffic == second.traffic
        assert first.loss == pytest.approx(second.loss, abs=1e-10)
    state = other.state_dict()
    for key, value in one.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(state[key], value, atol=1e-10), key
        else:
            assert torch.equal(state[key], value), key


@pytest.mark.one_quick
@pytest.mark.parametrize("name", CUTS)
def test_a_state_goes_on_bit_for_bit(make, name):
    """What was left out of messages is in it, by client, way and cut."""
    options = Options(codec="topk:0.1:feedback", gradient_codec="int4:stochastic", momentum=0.9)
    whole = scheme_of(make, name, options, dropout=0.3)
    whole.round(0)
    state = whole.state_dict()
    kept = {entry for entry in state if ".crossing." in entry}
    cuts = range(len(CUTS[name]))
    assert kept == {f"client.{k}.crossing.up.{cut}" for k in range(3) for cut in cuts}
    whole.round(1)
    resumed = scheme_of(make, name, options, dropout=0.3)
    resumed.load_state_dict(state)
    resumed.round(1)
    assert_same(resumed, whole)


class Signs(nn.Module):
    """Whole numbers: 1 where a value is above zero."""

    def forward(self, value):
        return (value.flatten(1) > 0).long()


def test_whole_numbers_at_a_cut_pass_as_they_are(make):
    """Nothing before them is trained: no gradient comes back."""
    torch.manual_seed(0)
    model = nn.Sequential(
        Signs(), nn.Sequential(nn.Embedding(2, 4), nn.Flatten(), nn.Linear(256, 3))
    )
    clients = make.clients((8, 6), (1,), BATCH)
    traffic, usual = (
        SCHEMES["splitfed_v1"](model, clients, Options(codec=codec), make.split).round(0).traffic
        for codec in ("topk:0.1", "none")
    )
    assert traffic == usual
    assert traffic.smashed == 14 * 64 * 8
    assert traffic.gradient == 0


def test_frozen_first_layers_send_no_gradient(make):
    options = Options(codec="topk:0.1:feedback")
    scheme = scheme_of(make, "splitfed_v1", options, frozen=(0,))
    assert scheme.round(0).traffic.gradient == 0
    assert not any(".crossing.down" in entry for entry in scheme.state_dict())


@pytest.mark.parametrize("name", ["federated", "centralized"])
def test_what_is_not_cut_has_no_use_for_a_codec(make, name):
    clients = make.clients(SIZES if name == "federated" else (9,), (), BATCH)
    with pytest.raises(InputError, match=r"^codec: is for what crosses a cut, and no client's"):
        SCHEMES[name](make.cnn(), clients, Options(codec="int8"), make.split)


def test_a_value_that_is_not_finite_is_named(make):
    scheme = scheme_of(make, "splitfed_v1", Options(codec="int8"))
    scheme.clients[1].batches.inputs[:] = float("inf")
    with pytest.raises(TrainingError, match=r"^activations of client d1 at cut 1 hold a value"):
        scheme.round(0)


def trained(plan, folder, rounds, codec="topk:0.1:feedback", resume=False):
    options = Options(codec=codec, learning_rate=0.1, momentum=0.9)
    return splitopt.train(plan, rounds=rounds, options=options, checkpoint=folder, resume=resume)


@pytest.mark.slow
def test_a_checkpoint_goes_on_bit_for_bit(plan_of, tmp_path):
    plan = plan_of("few-splitfed")
    whole = trained(plan, None, 3)
    trained(plan, tmp_path, 2)
    resumed = trained(plan, tmp_path, 3, resume=True)
    assert resumed.history.to_dict() == whole.history.to_dict()
    assert (
        whole.history.origin["codec"]
        == whole.history.origin["gradient_codec"]
        == "topk:0.1:feedback"
    )
    assert_same(resumed.scheme, whole.scheme)


@pytest.mark.slow
def test_a_checkpoint_is_of_its_codec(plan_of, tmp_path):
    """One way named twice is the same run; another codec is another one."""
    plan = plan_of("few-splitfed")
    trained(plan, tmp_path, 1, codec="int8")
    options = Options(codec="int8", gradient_codec="int8", learning_rate=0.1, momentum=0.9)
    splitopt.train(plan, rounds=1, options=options, checkpoint=tmp_path, resume=True)
    with pytest.raises(InputError, match=r"options.codec is int8 there and fp16 here"):
        trained(plan, tmp_path, 2, codec="fp16", resume=True)
    with pytest.raises(InputError, match=r"options.(gradient_)?codec is int8 there"):
        trained(plan, tmp_path, 2, codec="none", resume=True)


def test_a_checkpoint_from_before_there_were_codecs_goes_on(plan_of, tmp_path):
    """Its identity names no codec, and so does that of a run without one."""
    plan = plan_of("few-splitfed")
    trained(plan, tmp_path, 1, codec="none")
    identity = json.loads((tmp_path / "checkpoint.json").read_text())["identity"]
    assert not {"codec", "gradient_codec"} & identity["options"].keys()
    assert len(trained(plan, tmp_path, 2, codec="none", resume=True).history) == 2


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("client.0.crossing.up.7", torch.ones(2)),
        ("client.99.crossing.up.0", torch.ones(2)),
        ("client.0.crossing.down.0", torch.ones(2)),
        ("client.0.crossing.up.0", torch.ones(2).long()),
    ],
)
@pytest.mark.one_quick
def test_a_checkpoint_with_what_nobody_left_out_is_refused(plan_of, tmp_path, entry, value):
    from splitopt.training.saving import checkpoint

    plan = plan_of("few-splitfed")
    options = Options(codec="topk:0.1:feedback", gradient_codec="int8")
    given = {"options": options, "checkpoint": tmp_path}
    splitopt.train(plan, rounds=1, **given)
    found = checkpoint.load(tmp_path)
    state = {**found.state, entry: value}
    checkpoint.save(tmp_path, state, found.identity, found.history)
    with pytest.raises(InputError, match=f"does not fit this model .{entry}."):
        splitopt.train(plan, rounds=2, resume=True, **given)
