"""SplitFedV2 served client by client: the recursion against an event simulation of every batch."""

from __future__ import annotations

import heapq
from itertools import count

import numpy as np
import pytest

from splitopt import Scenario
from splitopt.latency.sequential import phases_in_turn
from splitopt.latency.served_in_turn import ClientSeconds, client_seconds, served_in_turn
from splitopt.latency.split_federated import phase_seconds


class Simulator:
    """Processes that wait, take turns at links in the order in which they ask, and signal."""

    def __init__(self):
        self.now, self.queue, self.number = 0.0, [], count()
        self.free, self.waiting, self.fired = {}, {}, set()

    def start(self, process):
        """Begin a process, a generator of requests."""
        self.wake(process, 0.0)

    def wake(self, process, time):
        heapq.heappush(self.queue, (time, next(self.number), process))

    def fire(self, signal):
        """Resume the processes that wait for a signal."""
        self.fired.add(signal)
        for process in self.waiting.pop(signal, []):
            self.wake(process, self.now)

    def run(self):
        """Run all processes to their ends and give the time of the last one."""
        while self.queue:
            self.now, _, process = heapq.heappop(self.queue)
            try:
                kind, what, seconds = next(process)
            except StopIteration:
                continue
            if kind == "signal" and what in self.fired:
                self.wake(process, self.now)
            elif kind == "signal":
                self.waiting.setdefault(what, []).append(process)
            elif kind == "work":
                self.wake(process, self.now + seconds)
            else:  # a link: who asks first is served first
                end = max(self.now, self.free.get(what, 0.0)) + seconds
                self.free[what] = end
                self.wake(process, end)
        return self.now


def simulate(clients, batches, shared):
    """Simulate a round: batches[n] has the fractions of client n's work in each batch."""
    world, done = Simulator(), [0]

    def device(n):
        down, up = ("down", "up") if shared else (("down", n), ("up", n))
        c = ClientSeconds(*(float(column[n]) for column in clients))
        yield "link", down, c.model_down
        for index, part in enumerate(batches[n]):
            yield "work", None, part * c.forward
            if index == 0 and n > 0:
                yield "signal", ("turn", n - 1), 0.0
            yield "link", up, part * c.upload
            yield "work", None, part * c.server
            if index == len(batches[n]) - 1:
                world.fire(("turn", n))
            yield "link", down, part * c.gradient
            yield "work", None, part * c.backward
        done[0] += 1
        if done[0] == len(batches):
            world.fire("all done")
        yield "signal", "all done", 0.0
        yield "link", up, c.model_up

    for n in range(len(batches)):
        world.start(device(n))
    return world.run()


def drawn(seed):
    """Draw clients with unequal batches, zeros, and seconds over some decades."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    times = np.exp(rng.uniform(-2, 3, (7, n))) * (rng.random((7, n)) > 0.15)
    batches = []
    for _ in range(n):
        epochs, full, rest = int(rng.integers(1, 4)), int(rng.integers(1, 4)), rng.random() < 0.5
        one = [1.0] * full + [0.3] * rest
        batches.append(np.tile(one, epochs) / (sum(one) * epochs))
    first = np.array([b[0] if len(b) > 1 else 1.0 for b in batches])
    last = np.array([b[-1] if len(b) > 1 else 1.0 for b in batches])
    return ClientSeconds(*times, first, last), batches


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_against_events(seed, shared):
    """The sum of the phases is when the simulated round ends."""
    clients, batches = drawn(seed)
    found = served_in_turn(clients, shared)
    assert found.shape == (4,)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(simulate(clients, batches, shared), rel=1e-12)


def test_two_clients_by_hand():
    """Client 2 has its first batch ready; its gradient waits for the last one of client 1."""
    two = np.ones(2)
    clients = ClientSeconds(
        model_down=1 * two,
        forward=np.array([4.0, 2.0]),
        upload=np.array([2.0, 1.0]),
        server=np.array([2.0, 1.0]),
        gradient=np.array([8.0, 4.0]),
        backward=np.array([6.0, 2.0]),
        model_up=3 * two,
        first=np.array([0.5, 1.0]),
        last=np.array([0.5, 1.0]),
    )
    # Client 1: model until 1, forward 3, up 4, server 5, gradient 9, back 12, forward 14, up 15,
    # server 16, gradient 20, back 23. Client 2, at 16: up 17, server 18, gradient from 20 to 24,
    # back 26. Then two models of 3 s go up.
    assert served_in_turn(clients).sum() == pytest.approx(32.0)
    # With links of their own the gradient comes at 22, back 24; client 1 is done at 23.
    assert served_in_turn(clients, shared_links=False).sum() == pytest.approx(27.0)


def test_cuts_side_by_side():
    """Further axes are computed as if each were alone."""
    clients, _ = drawn(7)
    stacked = ClientSeconds(
        *(np.stack((column, 2 * column), axis=1) for column in clients[:7]),
        clients.first[:, None],
        clients.last[:, None],
    )
    found = served_in_turn(stacked)
    np.testing.assert_allclose(found[0], served_in_turn(clients))
    np.testing.assert_allclose(found[1], 2 * found[0])


def test_the_clients_of_a_scenario_by_hand():
    """Seconds at a cut from rates, bytes and work alone; first and last batches are of 4 and 2."""
    scenario = Scenario.from_si(
        {
            "model": "cnn-digits",
            "devices": [{"name": "d", "compute": 1e9, "samples": 10, "batch_size": 4}],
            "links": {"downlink": {"rate": 2e6}, "uplink": {"rate": 1e6}},
            "servers": [{"name": "s", "compute": 1e10}],
            "training": {"epochs": 3},
        }
    )
    profile = scenario.load_model()
    found = client_seconds(scenario, profile, phase_seconds(scenario, profile), np.array([1]))
    server = profile.server_forward_flop[1] + profile.server_backward_flop[1]
    by_hand = ClientSeconds(
        model_down=8 * profile.device_model_bytes[1] / 2e6,
        forward=30 * profile.device_forward_flop[1] / 1e9,
        upload=8 * 30 * profile.smashed_bytes[1] / 1e6,
        server=30 * server / 1e10,
        gradient=8 * 30 * profile.gradient_bytes[1] / 2e6,
        backward=30 * profile.device_backward_flop[1] / 1e9,
        model_up=8 * profile.device_model_bytes[1] / 1e6,
        first=4 / 30,
        last=2 / 30,
    )
    for seconds, expected in zip(found, by_hand, strict=True):
        assert seconds.shape == (1, 1)
        assert seconds.item() == pytest.approx(expected)
    seconds = phase_seconds(scenario, profile)
    (round_s,) = phases_in_turn(seconds, [2]).sum(axis=1)
    assert round_s == pytest.approx(sum(by_hand[:7]))
