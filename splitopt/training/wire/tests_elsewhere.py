"""Tests of the common model by the party that has the data to test with, and lets nobody see them.

Rank 0 sends that party the weights after a round, and gets back the loss, the metrics, and those of
each class where they are asked for, as the numbers that they are there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from splitopt.errors import SplitoptError
from splitopt.training.model_parts.averaging import load_state
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.rounds.evaluate import Score, evaluate
from splitopt.training.wire.client_state import expect_like
from splitopt.training.wire.leader import Question
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message

if TYPE_CHECKING:
    from splitopt.training.preparing.prepare import Prepared
    from splitopt.training.tasks import Task
    from splitopt.training.wire.leader import Leader
    from splitopt.training.wire.transport.channel import Channel

TEST, TESTED = "test", "tested"
_SCORE, _CLASSES = "score", "classes."
_NO_NUMBER = float("nan")


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return all of a model's state, each tensor once under its first name."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        found.setdefault(id(value), (name, value.detach()))
    return dict(found.values())


class Tests:
    """Tests the models that rank 0 sends, on the test data of this party.

    Parameters
    ----------
    prepared
        Of this party, which has data to train and to test with.
    channel
        To rank 0.
    """

    def __init__(self, prepared: Prepared, channel: Channel) -> None:
        self._data, self._task = prepared.data, prepared.task
        self._model = copy.deepcopy(prepared.split.module)
        self._channel = channel

    def __call__(self, message: Message) -> bool:
        """Answer a message that asks for a test; report whether it was one."""
        if message.kind != TEST:
            return False
        expect_like(message.tensors, weights_of(self._model), "the model to test")
        load_state(self._model, message.tensors)
        by_class, data = bool(message.fields.get("by_class")), self._data
        try:
            score = evaluate(
                self._model, data.test_inputs, data.test_targets, self._task, by_class=by_class
            )
        except SplitoptError as error:
            self._channel.send("failed", {"message": str(error)})
            raise
        self._channel.send(TESTED, {}, _written(score))
        return True


def answering(prepared: Prepared, rank: int, channel: Channel) -> None:
    """Have a connection to rank 0 answer what asks for tests, where this party has the data."""
    clients = [client.name for client in prepared.program.clients]
    if prepared.test_at is not None and clients.index(prepared.test_at) == rank - 1:
        channel.aside = Tests(prepared, channel)


class TestsThere:
    """Has the common model tested by the party that has the data.

    Parameters
    ----------
    prepared
        Of rank 0.
    leader
        Which has the connections.
    """

    def __init__(self, prepared: Prepared, leader: Leader) -> None:
        assert prepared.test_at is not None
        self._scheme, self._task, self._leader = prepared.scheme, prepared.task, leader
        self.name = prepared.test_at
        self._rank = 1 + [client.name for client in self._scheme.clients].index(self.name)

    def __call__(self, by_class: bool) -> Score:
        """Return the score of the common model.

        Raises
        ------
        TrainingError
            The party is gone, or says that it cannot test.
        """
        weights = weights_of(self._scheme.model)
        self._leader.sent_bytes[TEST] += sum(map(tensor_bytes, weights.values()))
        question = Question(TEST, {"by_class": by_class}, weights, TESTED)
        answer = self._leader.asked(self._rank, question)
        try:
            return _read(answer.tensors, self._task, by_class)
        except FrameError as error:
            raise self._leader.without_tests(self._rank, str(error)) from None


def _written(score: Score) -> dict[str, Tensor]:
    values = [score.loss, *score.metrics.values()]
    classes = {
        f"{_CLASSES}{name}": [_NO_NUMBER if one is None else one for one in own]
        for name, own in score.classes.items()
    }
    return {
        name: torch.tensor(own, dtype=torch.float64)
        for name, own in {_SCORE: values, **classes}.items()
    }


def _read(tensors: Mapping[str, Tensor], task: Task, by_class: bool) -> Score:
    """Read a score; raise `FrameError` for what is none of the task."""
    names = list(task.metrics)
    wanted = {_SCORE, *(f"{_CLASSES}{name}" for name in task.class_metrics if by_class)}
    if tensors.keys() != wanted or any(
        own.dtype is not torch.float64 or own.dim() != 1 for own in tensors.values()
    ):
        raise FrameError("it sent scores of another task")
    loss, *values = tensors[_SCORE].tolist()
    if len(values) != len(names):
        raise FrameError("it sent metrics of another task")
    classes = {
        name.removeprefix(_CLASSES): tuple(None if x != x else x for x in own.tolist())
        for name, own in tensors.items()
        if name != _SCORE
    }
    return Score(loss, dict(zip(names, values, strict=True)), classes)
