"""A state that no run wrote is refused when it is loaded, not in the middle of a round."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from splitopt.errors import InputError  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402


@pytest.fixture
def batches() -> Batches:
    """Walk through five samples, two at a time."""
    return Batches(torch.zeros(5, 2), torch.zeros(5, dtype=torch.int64), 2, seed=1)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("generator", torch.zeros(5056, dtype=torch.uint8), "state of random numbers"),
        ("generator", torch.zeros(3, dtype=torch.uint8), "state of random numbers"),
        ("generator", torch.zeros(5056), "state of random numbers"),
        ("order", torch.tensor([0, 1, 5]), "no walk through its 5 samples"),
        ("order", torch.tensor([0, -1]), "no walk through its 5 samples"),
        ("order", torch.tensor([0.0, 1.0]), "no walk through its 5 samples"),
        ("next", torch.tensor(-1), "no walk through its 5 samples"),
    ],
)
def test_a_walk_that_is_none_is_refused(batches, name, value, words):
    """And the batches go on as they were."""
    state = batches.state_dict()
    with pytest.raises(InputError, match=words):
        batches.load_state_dict({**state, name: value})


def test_a_walk_goes_on(batches):
    """What was written is read."""
    batches.draw()
    state = batches.state_dict()
    first = batches.draw()[0]
    batches.load_state_dict(state)
    assert torch.equal(batches.draw()[0], first)


@pytest.mark.parametrize("value", [torch.zeros(5056, dtype=torch.uint8), torch.zeros(2)])
def test_a_stream_that_is_none_is_refused(value):
    """Its former state stays."""
    stream = Stream(3)
    before = stream.state.clone()
    with pytest.raises(InputError, match="state of random numbers"):
        stream.load_state_dict({"state": value})
    assert torch.equal(stream.state, before)
