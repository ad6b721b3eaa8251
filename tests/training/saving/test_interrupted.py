"""Ctrl-C wherever the loop of the rounds is: what is whole is kept, and the rest can follow."""

from __future__ import annotations

import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.rounds import loop  # noqa: E402
from splitopt.training.saving import checkpoint  # noqa: E402

pytestmark = pytest.mark.train


def train(plan, **more):
    """Train two rounds of a small network, whose momentum is kept."""
    torch.manual_seed(5)
    layers = {"conv1": nn.Conv2d(1, 4, 3, padding=1), "pool1": nn.MaxPool2d(4)}
    layers |= {"flat": nn.Flatten(), "fc": nn.Linear(16, 10)}
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    options = Options(momentum=0.9, optimizer_state="keep")
    return splitopt.train(plan, net, match="names", rounds=2, options=options, **more)


class Interruption:
    """Interrupts the loop before its line number `at` is executed, and never again."""

    def __init__(self, at):
        self.at, self.seen, self.begun, self.loops = at, 0, False, loop._run_rounds.__code__

    def __call__(self, frame, event, arg):
        return self._line if frame.f_code is self.loops else None

    def _line(self, frame, event, arg):
        self.begun = self.begun or "stopped" in frame.f_locals
        if event == "line" and self.begun and "return" not in self._text(frame):
            self.seen += 1
            if self.seen == self.at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._line

    @staticmethod
    def _text(frame):
        with open(frame.f_code.co_filename) as file:
            return file.read().splitlines()[frame.f_lineno - 1]


@pytest.mark.slow  # a training for each line
def test_at_every_line_of_the_loop(plan_of, tmp_path):
    """The model is that of the last whole round, and who goes on learns what nobody broke off."""
    plan = plan_of("few-splitfed")
    whole = train(plan)
    stops = [train(plan, callback=lambda row, rounds, n=n: row.round == n) for n in (1, 2)]
    at = 0
    while True:
        at += 1
        place, before = tmp_path / str(at), sys.gettrace()
        sys.settrace(interruption := Interruption(at))
        try:
            run = train(plan, checkpoint=place)
        finally:
            sys.settrace(before)
        if interruption.seen < at:
            break
        assert run.stopped == "interrupted", at
        done = len(run.history)
        assert len(checkpoint.load(place).history) == done
        if done:
            assert_same_weights(run, stops[done - 1])
        assert_same_weights(train(plan, checkpoint=place, resume=True), whole)
    assert at > 12


def assert_same_weights(one, two):
    """Compare bit by bit."""
    assert one.history.rows == two.history.rows
    for name, value in two.model.state_dict().items():
        assert torch.equal(one.model.state_dict()[name], value), name
