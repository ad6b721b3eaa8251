"""What crosses the cuts of a client: what is kept, what goes as it is, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError, TrainingError  # noqa: E402
from splitopt.training.codecs.crossing import Crossing  # noqa: E402
from splitopt.training.codecs.registry import make_codec  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402

pytestmark = pytest.mark.train


def crossing(up, down="none", stream=None):
    return Crossing({"up": make_codec(up), "down": make_codec(down)}, "d0", stream)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    percent=st.sampled_from([1, 10, 35]),
    seed=st.integers(0, 2**20),
)
def test_with_feedback_all_arrives_over_time(rows, percent, seed):
    """What came and what is still kept add up to what was to be sent, whatever the sizes.

    Whole numbers, whose sums have no rounding.
    """
    draws = torch.Generator().manual_seed(seed)
    own = crossing(f"topk:{percent / 100}:feedback")
    sent, came = torch.zeros(6, 9), torch.zeros(6, 9)
    for count in rows:
        value = torch.randint(-9, 10, (count, 9), generator=draws).float()
        sent[:count] += value
        came[:count] += own.up(0, value)
        kept = torch.zeros(6, 9)
        rest = own.state_dict().get("up.0")
        if rest is not None:
            kept[: len(rest)] = rest
        assert torch.equal(came + kept, sent)


def test_what_is_left_out_long_enough_arrives():
    """The same values again and again: their sum comes, to within what may still be kept.

    A value waits until it is the largest. Each message takes the k largest away from what has
    grown by x, so that no kept value exceeds (n / k + 1) max |x| in the long run.
    """
    own, value = (
        crossing("topk:0.25:feedback"),
        torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.1, -0.1]),
    )
    total = torch.zeros(8)
    for _ in range(400):
        total += own.up(0, value)
    assert torch.allclose(total / 400, value, atol=(8 / 2 + 1) * 8 / 400)


@pytest.mark.parametrize(
    ("text", "ways"),
    [("topk:0.25", {"down"}), ("topk:0.25:feedback", {"up", "down"}), ("topk:0.25:forget", set())],
)
def test_gradients_have_feedback_and_activations_on_demand(text, ways):
    own, value = crossing(text, text), torch.randn(3, 8)
    for way, carry in (("up", own.up), ("down", own.down)):
        assert torch.equal(carry(0, value), carry(0, value)) == (way not in ways)
    assert {key[: key.index(".")] for key in own.state_dict()} == ways
    assert set(own.keys_of(2)) == {f"{way}.{cut}" for way in ways for cut in (0, 1)}


def test_each_way_and_cut_keeps_its_own():
    own = crossing("topk:0.5:feedback", "topk:0.5")
    value = torch.tensor([[4.0, 1.0, 3.0, 2.0]])
    own.up(0, value)
    own.up(1, 2 * value)
    own.down(0, 3 * value)
    assert {key: rest.tolist() for key, rest in own.state_dict().items()} == {
        "up.0": [[0.0, 1.0, 0.0, 2.0]],
        "up.1": [[0.0, 2.0, 0.0, 4.0]],
        "down.0": [[0.0, 3.0, 0.0, 6.0]],
    }
    assert own.state_dict(["up.1"]).keys() == {"up.1"}
    other = crossing("topk:0.5:feedback", "topk:0.5")
    other.load_state_dict(own.state_dict())
    assert torch.equal(other.up(0, value), own.up(0, value))
    other.load_state_dict({}, ["up.0"])
    assert other.state_dict().keys() == {"up.1", "down.0"}
    other.load_state_dict({})
    assert other.state_dict() == {}


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
@pytest.mark.parametrize("text", ["fp16", "int8", "topk:0.1"])
def test_what_is_no_real_number_passes_as_it_is(text, dtype):
    own, value = crossing(text), torch.ones(4, 30).to(dtype)
    assert own.up(0, value) is value
    assert own.size("up", value) == value.numel() * value.element_size()


def test_what_would_not_get_smaller_passes_as_it_is():
    """One value of 4 B in int8 needs 6 B; half types in fp16 what they have already."""
    for text, value in (
        ("int8", torch.ones(1)),
        ("fp16", torch.ones(9, dtype=torch.float16)),
        ("bf16", torch.ones(9, dtype=torch.float16)),
        ("topk:0.9", torch.ones(10)),
        ("int8:channel", torch.ones(1, 9)),
        ("int4", torch.ones(0, 3)),
    ):
        own = crossing(text)
        assert own.up(0, value) is value or torch.equal(own.up(0, value), value), text
        assert own.size("up", value) == value.numel() * value.element_size()
        assert own.encode("up", 0, value).is_whole


def test_what_was_left_out_goes_with_what_passes_as_it_is():
    """A batch that is too small for the codec takes along all that was kept for its rows."""
    own = crossing("topk:0.5:feedback")
    first = torch.tensor([[4.0, 3.0], [2.0, 1.0]])
    assert own.up(0, first).tolist() == [[4.0, 3.0], [0.0, 0.0]]
    assert own.up(0, torch.zeros(2, 0)).shape == (2, 0)
    assert own.up(0, torch.tensor([[0.0], [5.0]])[:, :1]).tolist() == [[0.0], [7.0]]
    assert own.state_dict()["up.0"].tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_without_a_codec_a_value_is_itself():
    value = torch.tensor([float("nan"), 1.0])
    for own in (Crossing(), crossing("none")):
        assert own.up(0, value) is value
        assert own.down(3, value) is value
        assert own.size("down", value) == 8


@pytest.mark.parametrize("wrong", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("text", ["fp16", "bf16", "int8", "int4:channel:stochastic", "topk:0.1"])
def test_what_is_not_finite_is_named(text, wrong):
    value = torch.ones(4, 8)
    value[2, 3] = float(wrong)
    with pytest.raises(
        TrainingError, match=r"^activations of client d0 at cut 3 hold a value that is not finite;"
    ):
        crossing(text).up(2, value)


def test_what_is_beyond_half_precision_is_named():
    value = torch.full((4, 8), 7e4)
    words = r"^activations of client d0 at cut 1 reach 7e\+04, and fp16 ends at 65504; take another"
    with pytest.raises(TrainingError, match=words):
        crossing("fp16").up(0, value)
    value.fill_(65504.0)
    assert torch.equal(crossing("fp16").up(0, value), value)
    with pytest.raises(TrainingError, match=r"bf16 ends at 3.38953e\+38"):
        crossing("bf16").up(0, torch.full((4, 8), 3.4e38))


def test_random_rounding_draws_from_the_clients_stream():
    """The same stream draws the same, the global generator stays where it was."""
    value, one, other = torch.randn(4, 8), Stream(5), Stream(5)
    before = torch.get_rng_state()
    first = crossing("int4:stochastic", stream=one).up(0, value)
    second = crossing("int4:stochastic", stream=other).up(0, value)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.state, other.state)
    assert not torch.equal(one.state, Stream(5).state)
    nearest = Stream(5)
    crossing("int4", stream=nearest).up(0, value)
    assert torch.equal(nearest.state, Stream(5).state)


def test_a_tensor_of_other_dimensions_is_refused():
    own = crossing("topk:0.5:feedback")
    own.up(0, torch.ones(2, 8))
    with pytest.raises(TrainingError, match="d0 sends tensors of other dimensions than before"):
        own.up(0, torch.ones(2, 2, 4))


@pytest.mark.parametrize(
    "state",
    [{"up": torch.ones(1)}, {"left.0": torch.ones(1)}, {"up.0": torch.ones(1).long()}],
)
def test_a_state_that_is_none_is_refused(state):
    with pytest.raises(InputError, match="what was left out of messages holds"):
        crossing("topk:0.5:feedback").load_state_dict(state)
