"""What comes back of a tensor: stated bounds on the error, sizes by hand, expected values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.codecs.packing import pack_pairs, unpack_pairs  # noqa: E402
from splitopt.training.codecs.registry import codec_names, make_codec  # noqa: E402

pytestmark = pytest.mark.train

AFFINE = [
    f"{name}{more}"
    for name in ("int8", "int4")
    for more in ("", ":channel", ":stochastic", ":channel:stochastic")
]
ALL = ["fp16", "bf16", *AFFINE, "topk:0.1", "topk:0.5:forget", "topk:1:feedback"]

SHAPES = st.lists(st.integers(0, 5), min_size=0, max_size=4)
KINDS = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])


def tensors(draw, shape, kind):
    """Draw values of very different sizes, with zeros and equal ones, all finite in float16."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 10.0 ** draw(st.integers(-6, 3))
    shift = draw(st.sampled_from([0.0, 0.0, -1.0, 3.0])) * scale
    values = rng.normal(size=shape) * scale + shift
    values = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.5, 1.0])), 0.0, values)
    return torch.tensor(np.asarray(values), dtype=torch.float64).to(kind)


@st.composite
def cases(draw):
    return tensors(draw, tuple(draw(SHAPES)), draw(KINDS))


def passed(codec, tensor):
    message = codec.encode(tensor)
    assert {n: (v.dtype, tuple(v.shape)) for n, v in message.items()} == codec.layout(
        tensor.shape, tensor.dtype
    )
    size = sum(value.numel() * value.element_size() for value in message.values())
    assert size == codec.bytes(tensor.shape, tensor.dtype)
    found = codec.decode(message, tensor.shape, tensor.dtype)
    assert (found.shape, found.dtype) == (tensor.shape, tensor.dtype)
    assert found.is_contiguous()
    return found


@pytest.mark.one_quick
@pytest.mark.parametrize("text", ALL)
@settings(max_examples=40, deadline=None)
@given(tensor=cases())
def test_a_message_is_as_its_layout_says(text, tensor):
    """Also without any values, of any dimensions; the tensor itself is left as it was."""
    before = tensor.clone()
    found = passed(make_codec(text), tensor)
    assert torch.equal(tensor, before)
    assert torch.isfinite(found).all()
    if text.startswith("topk:1"):
        assert torch.equal(found, tensor)


@pytest.mark.parametrize(
    ("name", "digits", "normal", "least"), [("fp16", 11, -14, -25), ("bf16", 8, -126, -134)]
)
@settings(max_examples=60, deadline=None)
@given(tensor=cases())
def test_half_types_round_to_the_nearest(name, digits, normal, least, tensor):
    """|x - x'| <= 2^-digits |x|, or half of the smallest step below the normal numbers."""
    wide = tensor.double()
    error = (passed(make_codec(name), tensor).double() - wide).abs()
    relative = torch.where(wide.abs() >= 2.0**normal, 2.0**-digits * wide.abs(), 2.0**least)
    twice = 2.0**-24 * wide.abs() if tensor.dtype == torch.float64 else 0.0
    back = torch.zeros_like(wide)
    if tensor.dtype in (torch.float16, torch.bfloat16):  # and then to the type of the tensor
        back = torch.finfo(tensor.dtype).eps * wide.abs() + 2.0**-25
    assert (error <= relative + twice + back).all()


@pytest.mark.parametrize("name", ["fp16", "bf16"])
@settings(max_examples=30, deadline=None)
@given(tensor=cases())
def test_what_is_representable_is_exact(name, tensor):
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[name]
    held = tensor.to(kind).to(torch.float32)
    assert torch.equal(passed(make_codec(name), held), held)


def ranges(tensor, by_channel):
    """Return hi - lo of the values that share a scale, in the tensor's shape, by numpy."""
    values = tensor.double().numpy()
    axes = tuple(axis for axis in range(values.ndim) if axis != 1)
    axes = axes if by_channel and values.ndim > 1 else None
    high = np.maximum(values.max(axis=axes, keepdims=True), 0)
    low = np.minimum(values.min(axis=axes, keepdims=True), 0)
    return torch.tensor(np.broadcast_to(high - low, values.shape).copy())


@pytest.mark.one_quick
@pytest.mark.parametrize("text", AFFINE)
@settings(max_examples=60, deadline=None)
@given(tensor=cases())
def test_levels_are_as_near_as_stated(text, tensor):
    """Half a level to the nearest, a whole one at random; Q - 1 levels span the values and 0."""
    if not tensor.numel():
        return
    whole = ranges(tensor, "channel" in text)
    top = 255 if text.startswith("int8") else 15
    level = whole / (top - 1)
    found = passed(make_codec(text), tensor).double()
    error = (found - tensor.double()).abs()
    bound = level * (1.0 if "stochastic" in text else 0.5)
    rounding = 8 * torch.finfo(torch.float32).eps * whole + 1e-43 * top
    if tensor.dtype in (torch.float16, torch.bfloat16):  # what comes back is of this type again
        rounding += torch.finfo(tensor.dtype).eps * whole + 2.0**-25
    assert (error <= bound + rounding).all()
    assert (found[tensor == 0] == 0).all()


@pytest.mark.parametrize("text", ["int8", "int4", "int4:channel"])
def test_extreme_ranges(text):
    """The largest numbers, the smallest, both at once, one side alone: nothing becomes infinite."""
    big, small = torch.finfo(torch.float32).max, 1e-45
    for values in (
        [big, -big],
        [big, -small],
        [small, -big],
        [small, -small],
        [1e30, -1e-30],
        [5.0, 5.0],
        [-5.0, -5.0],
        [0.0, 0.0],
    ):
        tensor = torch.tensor(values, dtype=torch.float32).reshape(2, 1)
        found = passed(make_codec(text), tensor)
        assert torch.isfinite(found).all()
        top = 255 if text == "int8" else 15
        whole = max(0.0, *values) - min(0.0, *values)
        error = (found.double() - tensor.double()).abs().max()
        assert error <= whole / (2 * (top - 1)) * (1 + 1e-5) + 1e-43


@pytest.mark.slow
@pytest.mark.parametrize("name", ["int8", "int4"])
@pytest.mark.parametrize("more", ["", ":channel"])
def test_rounding_at_random_has_the_value_as_its_mean(name, more):
    """By a normal bound at 6 standard deviations: a draw is at most half a level from its mean.

    The variance of one draw is p (1 - p) s^2 <= s^2 / 4, so the mean of n draws is within
    6 s / (2 sqrt(n)) but for one time in 10^9.
    """
    torch.manual_seed(0)
    tensor = torch.randn(6, 4) * torch.tensor([1.0, 0.1, 3.0, 0.01])
    codec, count = make_codec(f"{name}{more}:stochastic"), 4000
    draws = torch.stack([passed(codec, tensor) for _ in range(count)]).double()
    top = 255 if name == "int8" else 15
    level = ranges(tensor, bool(more)) / (top - 1)
    far = (draws.mean(0) - tensor.double()).abs()
    assert (far <= 6 * level / (2 * math.sqrt(count)) + 1e-6).all()
    different = [len(torch.unique(column)) for column in draws.reshape(count, -1).T]
    assert set(different) == {1, 2}, "it falls on either neighbour, and on the ends themselves"
    nearest = make_codec(f"{name}{more}")
    assert torch.equal(passed(nearest, tensor), passed(nearest, tensor))


@settings(max_examples=60, deadline=None)
@given(tensor=cases(), percent=st.integers(1, 100))
def test_the_largest_values_come_back_exactly(tensor, percent):
    """By sorting; and what is lost is at most 1 - k/n of the squared sum."""
    count, wide = tensor.numel(), tensor.double().reshape(-1)
    kept = -(-percent * count // 100)
    found = passed(make_codec(f"topk:{percent / 100}"), tensor).double().reshape(-1)
    ordered = wide.abs().sort(descending=True).values
    assert torch.equal(found.abs().sort(descending=True).values[:kept], ordered[:kept])
    is_sent = found != 0
    assert torch.equal(found[is_sent], wide[is_sent])
    if count:
        lost = float(((found - wide) ** 2).sum())
        assert lost <= (1 - kept / count) * float((wide**2).sum()) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("text", "shape", "kind", "size"),
    [
        ("fp16", (5, 3), torch.float32, 30),
        ("bf16", (5, 3), torch.float64, 30),
        ("int8", (5, 3), torch.float32, 15 + 4 + 1),
        ("int8", (5, 3), torch.float64, 15 + 8 + 1),
        ("int8:channel", (5, 3, 2), torch.float32, 30 + 3 * (4 + 1)),
        ("int8:channel", (5,), torch.float32, 5 + 4 + 1),
        ("int4", (5, 3), torch.float32, 8 + 4 + 1),
        ("int4:channel", (2, 3, 7), torch.bfloat16, 21 + 3 * 5),
        ("int4", (), torch.float32, 1 + 4 + 1),
        ("int8", (0, 3), torch.float32, 0 + 4 + 1),
        ("topk:0.1", (5, 3), torch.float32, 2 * (4 + 2)),
        ("topk:0.1", (10, 1), torch.float64, 1 * (8 + 2)),
        ("topk:0.25", (2**15,), torch.float32, 2**13 * (4 + 2)),
        ("topk:0.25", (2**15 + 4,), torch.float32, (2**13 + 1) * (4 + 4)),
        ("topk:0.5", (2**31 + 2,), torch.float16, (2**30 + 1) * (2 + 8)),
        ("topk:0.1", (0, 3), torch.float32, 0),
    ],
)
def test_bytes_by_hand(text, shape, kind, size):
    assert make_codec(text).bytes(shape, kind) == size
    if math.prod(shape) < 2**20:
        passed(make_codec(text), torch.ones(shape, dtype=kind))


def test_levels_by_hand():
    """-1 .. 2 in 15 levels: z is 5, a level 0.2; 0.29 is nearest to the level 1 above zero."""
    codec, tensor = make_codec("int4"), torch.tensor([-1.0, 0.0, 0.29, 0.31, 2.0])
    message = codec.encode(tensor)
    assert message["zero"].tolist() == [5]
    assert message["scale"].tolist() == pytest.approx([0.2])
    assert message["levels"].tolist() == [0 | 5 << 4, 6 | 7 << 4, 15]
    wanted = torch.tensor([-1.0, 0.0, 0.2, 0.4, 2.0])
    assert torch.allclose(codec.decode(message, (5,), torch.float32), wanted)


@given(levels=st.lists(st.integers(0, 15), max_size=40))
def test_pairs(levels):
    flat = torch.tensor(levels, dtype=torch.uint8)
    packed = pack_pairs(flat)
    assert len(packed) == -(-len(levels) // 2)
    assert unpack_pairs(packed, len(levels)).tolist() == levels


def test_a_tensor_that_lies_otherwise_in_memory_is_the_same():
    """Channels last, transposed, with steps: what travels depends on the values alone."""
    base = torch.randn(4, 3, 6, 6)
    for text in ALL:
        if "stochastic" in text:
            continue
        codec = make_codec(text)
        wanted = passed(codec, base)
        assert torch.equal(passed(codec, base.to(memory_format=torch.channels_last)), wanted)
        sparse = torch.zeros(4, 3, 6, 12)[..., ::2]
        sparse.copy_(base)
        assert torch.equal(passed(codec, sparse), wanted)


def test_all_names_are_known():
    assert codec_names()[:6] == ["none", "fp16", "bf16", "int8", "int4", "topk"]
    assert make_codec("none") is None
