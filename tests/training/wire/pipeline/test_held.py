"""What a party of a pipeline holds of a copy, and the stations at which batches wait."""

from __future__ import annotations

import threading

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.simulation.fifo import EXCLUSIVE, RECEIVE, SEND  # noqa: E402
from splitopt.training.model_parts.copies import Copy  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.wire.own_parts import forget_others, names_in, parts_of  # noqa: E402
from splitopt.training.wire.pipeline.held import check_held, load_held, state_of  # noqa: E402
from splitopt.training.wire.pipeline.stations import Station  # noqa: E402
from splitopt.training.wire.transport.errors import FrameError  # noqa: E402

pytestmark = pytest.mark.train

ROLES = ("device", "server", "device")


def copy_of(make, seed=0):
    model, options = make.cnn(seed=seed, batch_norm=True), Options(momentum=0.9)
    own = Copy.of(model, (2, 7), ROLES, make.split, options)
    values = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for part in own.parts:
        values = part.module(values)
    values.sum().backward()
    for part in own.parts:
        part.step()
    return own


def test_the_parts_are_all_of_the_state_and_nothing_twice(make):
    own = copy_of(make)
    owner, node = parts_of(own, (0, -1)), parts_of(own, (1,))
    assert sorted(names_in(owner) + names_in(node)) == sorted(own.model.state_dict())
    both = state_of(owner) | state_of(node)
    moments = {name for name in both if name.startswith("moments.")}
    assert len(both) == len(state_of(owner)) + len(state_of(node))
    assert moments == {f"moments.{name}" for name in own.moments()}


def test_a_state_goes_from_one_copy_to_the_other(make):
    one, other = copy_of(make), copy_of(make, seed=5)
    for places in ((0, -1), (1,)):
        load_held(parts_of(other, places), state_of(parts_of(one, places)))
    assert all(
        torch.equal(v, other.model.state_dict()[k]) for k, v in one.model.state_dict().items()
    )
    assert one.moments().keys() == other.moments().keys()
    assert all(torch.equal(v, other.moments()[k]) for k, v in one.moments().items())


def test_what_others_hold_takes_no_memory(make):
    held = parts_of(copy_of(make), (1,))
    before = state_of(held)
    forget_others(held)
    kept = sum(value.numel() for value in held.model.state_dict().values())
    assert kept == sum(v.numel() for k, v in before.items() if k.startswith("model."))
    assert all(torch.equal(value, before[name]) for name, value in state_of(held).items())


def test_the_state_of_other_parts_is_refused(make):
    own = copy_of(make)
    node, state = parts_of(own, (1,)), dict(state_of(parts_of(own, (1,))))
    with pytest.raises(FrameError, match="other parts"):
        check_held(node, state_of(parts_of(own, (0, -1))))
    name = next(name for name in state if name.startswith("model."))
    with pytest.raises(FrameError, match="another shape or type"):
        check_held(node, state | {name: torch.zeros(2, 2, 2)})
    with pytest.raises(FrameError, match="other parts"):
        check_held(node, state | {"surprise": torch.zeros(1)})
    with pytest.raises(FrameError, match="belongs to no parameter"):
        check_held(node, state | {"moments.nothing:momentum_buffer": torch.zeros(1)})


class Visit:
    """A thread that has a turn at a station until it is told to leave."""

    def __init__(self, station, lane):
        self.is_in, self.leave = threading.Event(), threading.Event()

        def stay():
            with station.turn(lane):
                self.is_in.set()
                self.leave.wait(120)

        before = len(station._waiting) + sum(station._running)
        self.thread = threading.Thread(target=stay)
        self.thread.start()
        while len(station._waiting) + sum(station._running) == before:
            pass  # until it stands in the queue: the order is what is tested

    def end(self):
        self.leave.set()
        self.thread.join()


def test_nobody_overtakes_and_only_ways_in_and_out_overlap():
    station = Station()
    first = Visit(station, RECEIVE)
    assert first.is_in.wait(120)
    second = Visit(station, SEND)  # the other way: at the same time
    assert second.is_in.wait(120)
    third = Visit(station, EXCLUSIVE)
    fourth = Visit(station, RECEIVE)
    first.end()
    assert not third.is_in.wait(0.1)  # one way is still busy
    assert not fourth.is_in.wait(0.1)  # its way is free, but somebody came before
    second.end()
    assert third.is_in.wait(120)
    assert not fourth.is_in.wait(0.1)
    third.end()
    assert fourth.is_in.wait(120)
    fifth = Visit(station, RECEIVE)
    assert not fifth.is_in.wait(0.1)
    fourth.end()
    assert fifth.is_in.wait(120)
    fifth.end()
