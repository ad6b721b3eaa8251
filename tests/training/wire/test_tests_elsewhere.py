"""What rank 0 says where the device that has the data to test with is gone or sends nonsense."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.rounds.evaluate import Score  # noqa: E402
from splitopt.training.schemes.base import TrainingError  # noqa: E402
from splitopt.training.tasks.known import CLASSIFICATION  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.leader import Leader, Question  # noqa: E402
from splitopt.training.wire.tests_elsewhere import _read, _written, weights_of  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError, FrameError  # noqa: E402

pytestmark = pytest.mark.train

QUESTION = Question("test", {}, {}, "tested")


class Channel:
    """A device that answers with one message, or is gone."""

    def __init__(self, answer):
        self.answer = answer

    def send(self, *given, **named):
        pass

    def receive(self, timeout_s):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Led(Leader):
    """A leader of one device, with nothing to train."""

    def __init__(self, channel):
        self.scheme = SimpleNamespace(clients=[SimpleNamespace(name="phone")])
        self.crew = SimpleNamespace(channel=lambda rank: channel)
        self.deadline = Deadline(None, 1.0)

    def train_round(self):
        raise NotImplementedError

    def copy(self, n):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        (None, r"phone, which has the data to test with, cannot test the model \(it has left\)"),
        (Channel(ChannelClosedError("its host has gone")), "its host has gone.*--resume"),
        (Channel(SimpleNamespace(kind="state", fields={})), "tested was due.*--resume"),
        (Channel(SimpleNamespace(kind="failed", fields={"message": "loss is inf"})), "loss is inf"),
    ],
    ids=["left", "closed", "other", "failed"],
)
def test_a_device_that_cannot_test_ends_the_run(channel, words):
    with pytest.raises(TrainingError, match=words):
        Led(channel).asked(1, QUESTION)


def test_scores_travel_as_they_are():
    """To the last bit, with classes of which nothing was counted."""
    metrics = dict.fromkeys(CLASSIFICATION.metrics, 0.1 + 0.2)
    classes = dict.fromkeys(CLASSIFICATION.class_metrics, (0.5, None, 1 / 3))
    score = Score(1 / 7, metrics, classes)
    assert _read(_written(score), CLASSIFICATION, True) == score
    for tensors in (
        {},
        {"score": torch.zeros(1)},
        {"score": torch.zeros(9, dtype=torch.float64)},
        {"score": torch.zeros(2, 2, dtype=torch.float64)},
    ):
        with pytest.raises(FrameError, match="of another task"):
            _read(tensors, CLASSIFICATION, False)


def test_a_tied_weight_is_sent_once():
    one, two = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    two.weight = one.weight
    found = weights_of(torch.nn.Sequential(one, two))
    assert list(found) == ["0.weight", "0.bias", "1.bias"]
