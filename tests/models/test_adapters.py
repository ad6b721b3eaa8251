"""Adapters: what they compute, what they learn, where they fit, and what is refused."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.errors import InputError  # noqa: E402
from splitopt.models import (  # noqa: E402
    adapter_state,
    add_adapters,
    build,
    load_adapter_state,
    merge_adapters,
)
from splitopt.models.adapters.choice import Adapters  # noqa: E402

pytestmark = pytest.mark.train


def linear(inputs=6, outputs=4, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, outputs)).to(dtype)


def ids(tokens=8, samples=3):
    torch.manual_seed(1)
    return torch.randint(0, 256, (samples, tokens))


def test_a_fresh_adapter_changes_no_bit():
    model = build("gpt", (8,))
    with torch.no_grad():
        assert torch.equal(add_adapters(model, 4)(ids()), model(ids()))


def test_the_model_that_was_given_stays_as_it_is():
    model = build("gpt", (8,))
    before = copy.deepcopy(model.state_dict())
    add_adapters(model, 4, frozen_bits=8)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_only_the_matrices_are_trained_and_there_are_r_times_both_sides_of_them():
    """Of a block of width 128: 128 x 384, 128 x 128, 128 x 512 and 512 x 128, and 128 x 256."""
    adapted = add_adapters(build("gpt", (8,)), 4)
    trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    sides = 4 * ((128 + 384) + (128 + 128) + 2 * (128 + 512)) + (128 + 256)
    assert sum(p.numel() for p in trained.values()) == 4 * sides
    assert adapter_state(adapted).keys() == trained.keys()
    assert all(".lora_A.weight" in name or ".lora_B.weight" in name for name in trained)


def test_gradients_are_those_of_the_weight_multiplied_by_the_other_matrix():
    """With G the gradient of W, that of B is s G A^T and that of A is s B^T G."""
    model = linear()
    adapted = add_adapters(model, 2, alpha=3.0)
    layer = adapted[0]
    torch.manual_seed(2)
    with torch.no_grad():
        layer.lora_B.weight.normal_()
    x, wanted = torch.randn(5, 6).double(), torch.randn(5, 4).double()
    loss = 0.5 * (adapted(x) - wanted).square().sum()
    loss.backward()
    scale, A, B = 1.5, layer.lora_A.weight.detach(), layer.lora_B.weight.detach()
    whole = model[0].weight.detach() + scale * B @ A
    G = (x @ whole.T + model[0].bias.detach() - wanted).T @ x
    torch.testing.assert_close(layer.lora_B.weight.grad, scale * G @ A.T)
    torch.testing.assert_close(layer.lora_A.weight.grad, scale * B.T @ G)


def test_a_step_of_full_rank_is_the_step_of_the_weight():
    """With square A orthogonal and B = 0 a step of B alone moves W by the step of full training.

    dB = G A^T, so that W moves by dB A = G A^T A = G.
    """
    model = linear(5, 5)
    adapted = add_adapters(model, 5)
    layer = adapted[0]
    torch.manual_seed(3)
    orthogonal, _ = torch.linalg.qr(torch.randn(5, 5).double())
    with torch.no_grad():
        layer.lora_A.weight.copy_(orthogonal)
    layer.lora_A.weight.requires_grad_(False)
    x, wanted = torch.randn(9, 5).double(), torch.randn(9, 5).double()
    for own in (model, adapted):
        step = torch.optim.SGD([p for p in own.parameters() if p.requires_grad], lr=0.01)
        model[0].bias.requires_grad_(False)
        (own(x) - wanted).square().mean().backward()
        step.step()
    torch.testing.assert_close(merge_adapters(adapted)[0].weight, model[0].weight)


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_merging_gives_one_weight_that_computes_the_same(bits):
    adapted = add_adapters(build("gpt", (8,)).double(), 4, alpha=2.0, frozen_bits=bits)
    torch.manual_seed(4)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.1)
    merged = merge_adapters(adapted)
    assert merged.state_dict().keys() == build("gpt", (8,)).state_dict().keys()
    assert all(parameter.requires_grad for parameter in merged.parameters())
    with torch.no_grad():
        torch.testing.assert_close(merged(ids()), adapted(ids()), rtol=1e-9, atol=1e-9)


def test_the_same_layer_has_the_same_numbers_whatever_else_is_chosen():
    model = build("gpt", (8,))
    few, many = (add_adapters(model, 4, targets=name, seed=7) for name in ("qkv", "*"))
    other = add_adapters(model, 4, targets="qkv", seed=8)
    for name, value in adapter_state(few).items():
        assert torch.equal(value, adapter_state(many)[name])
        assert torch.equal(value, adapter_state(other)[name]) == ("lora_B" in name)
    first, second = (adapter_state(few)[f"blocks.{k}.attention.qkv.lora_A.weight"] for k in (0, 1))
    assert not torch.equal(first, second)
    assert float(first.abs().max()) <= 128**-0.5


def test_adding_draws_from_no_generator_of_the_process():
    model = build("gpt", (8,))
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    add_adapters(model, 4)
    assert torch.equal(torch.rand(3), wanted)


def test_adapters_are_saved_and_loaded_alone():
    model = build("gpt", (8,))
    one, two = add_adapters(model, 4, seed=1), add_adapters(model, 4, seed=2)
    with torch.no_grad():
        one.head.lora_B.weight.normal_()
    load_adapter_state(two, adapter_state(one))
    with torch.no_grad():
        assert torch.equal(two(ids()), one(ids()))
    with pytest.raises(InputError, match=r"proj\.lora_A\.weight' is in the state alone"):
        load_adapter_state(add_adapters(model, 4, targets="qkv"), adapter_state(one))
    with pytest.raises(InputError, match=r"is \(4, 128\) and not \(2, 128\)"):
        load_adapter_state(add_adapters(model, 2), adapter_state(one))


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("qkv", 4), ("blocks.*.mlp.0", 4), ("blocks.1.*", 4), ("mlp.*", 8), ("head", 1), ("*", 17)],
)
def test_patterns_name_layers_by_their_end_or_whole(pattern, count):
    adapted = add_adapters(build("gpt", (8,)), 2, targets=pattern)
    assert len(adapter_state(adapted)) == 2 * count


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rank": 0}, "rank 0, it must be a whole number >= 1"),
        ({"rank": 129, "targets": "qkv"}, "qkv is 128 x 384; choose at most 128"),
        ({"rank": 2, "targets": "qvk"}, "matches no layer; did you mean 'qkv'"),
        ({"rank": 2, "targets": "norm"}, "which is of type LayerNorm and no nn.Linear"),
        ({"rank": 2, "targets": ["qkv", "tokens"]}, "which is of type Embedding and no nn.Linear"),
        ({"rank": 2, "targets": []}, "are none"),
        ({"rank": 2, "alpha": 0}, "alpha 0, it must be a number above 0"),
        ({"rank": 2, "alpha": float("nan")}, "it must be a number above 0"),
        ({"rank": 2, "frozen_bits": 3}, "frozen_bits: is 3, it must be 8 or 4"),
        ({"rank": 2, "seed": -1}, "seed"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(given, words):
    with pytest.raises(InputError) as caught:
        add_adapters(build("gpt", (8,)), **given)
    assert words in str(caught.value)


def test_weights_that_are_shared_or_read_by_others_get_none():
    """A tied head reads the embedding; MultiheadAttention reads the weight of its out_proj."""
    tied = build("gpt", (8,))
    tied.head.weight = tied.tokens.weight
    assert not any("head" in name for name in adapter_state(add_adapters(tied, 2)))
    with pytest.raises(InputError, match="shares its weight with another layer"):
        add_adapters(tied, 2, targets="head")
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with pytest.raises(InputError, match="without being called"):
        add_adapters(encoder, 2, targets="out_proj")
    with pytest.raises(InputError, match="are there already"):
        add_adapters(add_adapters(encoder, 2), 2)
    with pytest.raises(InputError, match="no adapters to merge"):
        merge_adapters(encoder)


def test_the_fused_path_of_an_encoder_does_not_leave_adapters_out():
    """In evaluation without gradients PyTorch would read the weights by itself."""
    torch.manual_seed(6)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    adapted = add_adapters(encoder, 2)
    with torch.no_grad():
        adapted.linear1.lora_B.weight.normal_()
        x = torch.randn(2, 3, 8)
        training, evaluating = adapted.train()(x), adapted.eval()(x)
        torch.testing.assert_close(evaluating, training)
        assert not torch.allclose(evaluating, encoder.eval()(x))


def test_a_choice_is_read_and_written():
    wanted = Adapters(4, 8.0, ("qkv", "mlp.*"), 8, 3)
    assert Adapters.from_dict(wanted.to_dict()) == wanted
    assert Adapters(4).to_dict() == {"rank": 4}
    assert Adapters.read("4:8", "qkv, mlp.*", 8) == Adapters(4, 8.0, ("qkv", "mlp.*"), 8)
    assert Adapters.read(None) is None
    assert (Adapters(4).scale, Adapters(4, 8).scale) == (1.0, 2.0)
    with pytest.raises(InputError, match="unknown key 'rang'"):
        Adapters.from_dict({"rank": 1, "rang": 2})
