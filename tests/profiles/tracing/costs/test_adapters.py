"""What frozen layers and adapters cost: work, bytes and memory, counted on paper."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.models import add_adapters, build  # noqa: E402
from splitopt.models.adapters.ranks import set_rank  # noqa: E402
from splitopt.profiles import layer_memory_bytes, trace  # noqa: E402
from splitopt.profiles.counting.adapter_ranks import at_rank  # noqa: E402
from splitopt.profiles.counting.memory import server_parts  # noqa: E402

pytestmark = pytest.mark.train

T, WIDTH, SYMBOLS, R = 16, 128, 256, 4
SIDES = {"qkv": (WIDTH, 3 * WIDTH), "proj": (WIDTH, WIDTH), "0": (WIDTH, 4 * WIDTH),
         "2": (4 * WIDTH, WIDTH)}  # fmt: skip
P = sum(a * b for a, b in SIDES.values())
"""Weights of the linear layers of a block."""
BOTH = sum(a + b for a, b in SIDES.values())
"""Inputs and outputs of its layers, which a rank of an adapter has a number for."""
BIASES = sum(b for _, b in SIDES.values())
NORMS = 2 * 2 * WIDTH


def traced(**given):
    torch.manual_seed(0)
    dtype = given.pop("dtype", torch.float32)
    model = add_adapters(build("gpt", (T,)), R, **given).to(dtype)
    return trace(model, torch.zeros((2, T), dtype=torch.int64), name="gpt", keep_all=True)


def layer_of(column, names):
    """Return what the two layers of each block add to a column over the cuts."""
    at = {name: float(value) for name, value in zip(names, column, strict=True)}
    before = ["add", *(f"blocks.{k}" for k in range(3))]
    return [at[f"blocks.{k}"] - at[before[k]] for k in range(4)]


@pytest.fixture(scope="module")
def every():
    """Profile a gpt with adapters of every linear layer of its blocks."""
    return traced(targets=["qkv", "proj", "mlp.*"]).profile


@pytest.mark.slow
def test_work_of_a_token(every):
    """Forward 2P + 2 r sum(both sides) + 4 T d; backward 2P + 4 r sum(..) and attention's own.

    Frozen weights have gradients of their input only. Attention multiplies scores and values, T d
    each; backward that is twice as much, and the fused kernel makes the scores once more. The first
    block has no gradient of what comes in: 2 P less of qkv, and 2 r d less of its A.
    """
    attention = T * WIDTH
    forward = 2 * P + 2 * R * BOTH + 4 * attention
    backward = 2 * P + 4 * R * BOTH + 10 * attention
    less = 2 * WIDTH * 3 * WIDTH + 2 * R * WIDTH
    assert layer_of(every.device_forward_flop, every.layers) == [T * forward] * 4
    found = layer_of(every.device_backward_flop, every.layers)
    assert found == [T * (backward - less), *[T * backward] * 3]
    head = every.device_backward_flop[-1] - every.device_backward_flop[-2]
    assert head == T * 2 * WIDTH * SYMBOLS


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_bytes_of_adapters(dtype, size):
    """At 16 bit 2 r (inputs + outputs) bytes of each layer."""
    profile = traced(targets=["qkv", "proj", "mlp.*"], dtype=dtype).profile
    assert layer_of(profile.device_model_bytes, profile.layers) == [size * R * BOTH] * 4
    assert profile.device_model_bytes[1] == 0
    assert profile.device_model_bytes[-1] == 4 * size * R * BOTH


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "formula"), [(None, "adam"), (8, "adam"), (4, "momentum")])
def test_memory_is_that_of_frozen_weights_and_four_or_three_times_the_adapters(bits, formula):
    """P q / 8, a scale of 4 B for each row, biases and normalisations in 4 B; adapters 4 or 3 x."""
    profile = traced(targets=["qkv", "proj", "mlp.*"], frozen_bits=bits).profile
    weights = 4 * P if bits is None else P * bits // 8 + 4 * BIASES
    frozen = weights + 4 * BIASES + 4 * NORMS
    adapters = 4 * R * BOTH
    fixed = layer_of(profile.device_memory_fixed_bytes, profile.layers)
    assert fixed == [frozen + 2 * adapters] * 4
    memory = layer_memory_bytes(profile, 0, formula).cumsum()
    copies = {"adam": 4, "momentum": 3}[formula]
    assert layer_of(memory, profile.layers) == [frozen + copies * adapters] * 4


@pytest.mark.slow
@pytest.mark.parametrize("bits", [None, 8])
def test_what_is_saved_of_a_sample_does_not_depend_on_how_weights_are_held(bits, every):
    found = traced(targets=["qkv", "proj", "mlp.*"], frozen_bits=bits).profile
    assert list(found.device_memory_per_sample_bytes) == list(every.device_memory_per_sample_bytes)
    assert list(found.smashed_bytes) == list(every.smashed_bytes)
    assert list(found.device_backward_flop) == list(every.device_backward_flop)


@pytest.mark.slow
def test_nothing_comes_back_over_a_cut_before_the_first_adapter():
    """Adapters of the last two blocks: no gradient, no work backward, nothing saved before."""
    found = traced(targets="blocks.[23].*").profile
    last = found.layers.index("blocks.1")
    assert not found.gradient_bytes[: last + 1].any()
    assert not found.device_backward_flop[: last + 1].any()
    assert not found.device_model_bytes[: last + 1].any()
    assert not found.device_memory_per_sample_bytes[: last + 1].any()
    assert (found.gradient_bytes[last + 1 : -1] == T * WIDTH * 4).all()


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True], ids=["own", "tied"])
@pytest.mark.parametrize("bits", [None, 8, 4])
def test_memory_columns_are_the_bytes_that_parts_hold(bits, tied):
    """At every cut, of a device and of a server: parameters, and gradients of those trained."""
    torch.manual_seed(0)
    model = build("gpt", (T,))
    if tied:
        model.head.weight = model.tokens.weight
    example = torch.zeros((2, T), dtype=torch.int64)
    found = trace(add_adapters(model, R, frozen_bits=bits), example, keep_all=True)
    servers, _ = server_parts(found.profile)
    for index, name in enumerate(found.cuts):
        needed = [
            sum(p.numel() * p.element_size() * (1 + p.requires_grad) for p in part.parameters())
            for part in found.segments([name])
        ]
        planned = [float(found.profile.device_memory_fixed_bytes[index]), float(servers[index])]
        assert planned == needed, name


@pytest.mark.slow
def test_a_frozen_weight_that_is_shared_is_in_the_way_of_no_cut():
    """Both sides hold it, and neither trains it."""
    torch.manual_seed(0)
    model = build("gpt", (T,))
    model.head.weight = model.tokens.weight
    example = torch.zeros((2, T), dtype=torch.int64)
    found = trace(add_adapters(model, R, targets="qkv"), example, keep_all=True)
    assert "blocks.1" in found.cuts
    device, server = found.segments(["blocks.1"])
    for part in (device, server):
        assert any(p.shape == (SYMBOLS, WIDTH) for p in part.parameters())


def test_adapters_where_no_gradient_arrives_are_named():
    class Guarded(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            with torch.no_grad():
                x = self.first(x)
            return self.second(x).relu()

    found = trace(add_adapters(Guarded(), 2), torch.randn(2, 4), keep_all=True)
    assert found.without_gradient() == ("first.lora_A.weight", "first.lora_B.weight")
    assert trace(Guarded(), torch.randn(2, 4), keep_all=True).without_gradient() == (
        "first.weight",
        "first.bias",
    )


def linear(rank):
    torch.manual_seed(0)
    layers = nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)
    model = add_adapters(nn.Sequential(*layers), rank, targets=["0", "2"])
    return trace(model, torch.zeros(2, 6), name="net", keep_all=True).profile


def assert_alike(first, second):
    assert first.columns.keys() == second.columns.keys()
    for name, column in second.columns.items():
        assert first.columns[name].tolist() == column.tolist(), name
    for name, column in second.adapter_ranks.per_rank.items():
        assert first.adapter_ranks.per_rank[name].tolist() == column.tolist(), name


def test_the_table_of_any_rank_follows_from_that_of_another():
    """To the byte and FLOP, from above and below; by hand a rank of 6 x 8 is 4 (6 + 8) B."""
    profiles = {rank: linear(rank) for rank in (1, 2, 5)}
    for first, second in itertools.permutations(profiles, 2):
        assert_alike(at_rank(profiles[first], second), profiles[second])
    known = profiles[2].adapter_ranks
    assert (known.rank, known.most) == (2, 6)
    assert known.per_rank["device_model_bytes"][0] == 4 * (6 + 8)
    assert known.per_rank["device_forward_flop"][0] == 2 * (6 + 8)


@pytest.mark.slow
@pytest.mark.parametrize("given", [{}, {"frozen_bits": 8}], ids=str)
def test_the_table_of_any_rank_of_a_language_model(given):
    """Blocks of attention with frozen weights as they are and in 8 bits."""
    torch.manual_seed(0)
    example, network = torch.zeros((2, T), dtype=torch.int64), build("gpt", (T,))
    low, high = (
        trace(add_adapters(network, rank, **given), example, name="gpt", keep_all=True).profile
        for rank in (2, 16)
    )
    assert_alike(at_rank(low, 16), high)
    assert_alike(at_rank(high, 2), low)


def test_adapters_of_different_ranks_have_no_record():
    model = add_adapters(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), 2)
    set_rank(model[2], 1)
    assert trace(model, torch.zeros(2, 6), keep_all=True).profile.adapter_ranks is None
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    assert trace(plain, torch.zeros(2, 6), keep_all=True).profile.adapter_ranks is None
