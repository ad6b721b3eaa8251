"""Training while strangers connect all the time: nobody is kept out, nothing else is learned."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402

pytestmark = pytest.mark.train

SCRIPT = Path(__file__).parent / "strangers.py"


@contextmanager
def strangers(port, count, pause_s=0.0):
    """Have a process connect so many times; give a function that waits for their number."""
    command = [sys.executable, str(SCRIPT), str(port), str(count), str(pause_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield lambda: int(process.stdout.readline())
        finally:
            process.stdin.close()


@pytest.mark.slow
def test_three_devices_among_a_hundred_strangers(wired, caplog):
    """They are there before the first device, and stay until the end."""
    caplog.set_level(logging.WARNING)
    options, crowd = Options(momentum=0.9, optimizer_state="keep"), []

    def opened(listener):
        held = strangers(listener.port, 128)
        made = held.__enter__()
        crowd.append(held)
        assert made() == 128  # as many as there is room for

    try:
        begun = time.monotonic()
        wired.train("splitfed_v1", options, rounds=2, opened=opened)
        taken_s = time.monotonic() - begun
    finally:
        for held in crowd:
            held.__exit__(None, None, None)
    assert not wired.errors
    assert taken_s < 600
    wanted = wired.scheme_of("splitfed_v1", options)
    for number in range(2):
        wanted.round(number)
    wired.assert_same_state(wired.scheme, wanted)
    lines = [r.getMessage() for r in caplog.records if "refused" in r.getMessage()]
    assert 1 <= len(lines) <= 2 + taken_s / 5


@pytest.mark.slow
def test_processes_among_two_thousand_strangers(monkeypatch, caplog):
    """Weights and history are those of one process, byte for byte."""
    caplog.set_level(logging.WARNING)
    document = Scenario.load("digits-splitfed").to_dict()
    document["devices"][-1] |= {"samples": 96}
    document["training"] = {"epochs": 1, "rounds": 4}
    plan = splitopt.plan(Scenario.from_dict(document))
    found, listen = {}, launch._listen

    def listening(*arguments):
        listener = listen(*arguments)
        found["crowd"] = strangers(listener.port, 2000, 0.005)
        found["made"] = found["crowd"].__enter__()
        found["refusals"] = listener.refusals
        return listener

    monkeypatch.setattr(launch, "_listen", listening)
    begun = time.monotonic()
    try:
        run = launch.run_wire(plan, data="digits", rounds=4, time_scale=1.0, any_speed=True)
        taken_s, made = time.monotonic() - begun, found["made"]()
    finally:
        found["crowd"].__exit__(None, None, None)
    assert made == 2000
    assert found["refusals"].count > 1000
    assert taken_s < 900
    wanted = splitopt.train(plan, data="digits", rounds=4)
    assert run.history == wanted.history
    assert run.history.to_csv() == wanted.history.to_csv()
    for name, value in wanted.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name
    assert run.dropped == ()
    lines = [r.getMessage() for r in caplog.records if "refused" in r.getMessage()]
    assert len(lines) <= 2 + taken_s / 5
