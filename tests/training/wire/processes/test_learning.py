"""Real processes: what is learned is what one process learns, whoever is killed or stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

import splitopt
from splitopt.plans import Plan
from splitopt.training.saving import checkpoint
from splitopt.training.schemes import Round
from splitopt.training.validation.planned_bytes import planned_bytes
from splitopt.training.wire import launch
from splitopt.training.wire.star.server import Server
from splitopt.training.wire.star.splitfed import SplitFedServer
from tests.training.wire.processes.cases import OPTIONS, model_of, one_process

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


def assert_same_weights(found, wanted):
    for name, value in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["clusters", "splitfed", "vanilla", "splitfed_v2", "batch", "federated"]
)
def test_processes_learn_what_one_process_learns(folder, name, started):
    """The user's network with dropout, momentum, devices with cuts of their own."""
    plan = Plan.load(folder / f"{name}.json")
    run = launch.run_wire(
        plan, model_of(folder), options=OPTIONS, rounds=2, time_scale=1e-3, any_speed=True
    )
    wanted = one_process(folder, name, rounds=2)
    assert_same_weights(run.model, wanted.model)
    assert run.history == wanted.history
    assert run.dropped == ()
    predicted = planned_bytes(run.program)
    for kind in ("smashed", "gradient"):
        assert run.sent_bytes.get(kind, 0) == 2 * predicted[kind]
    assert run.sent_bytes["model"] == 2 * (predicted["model_down"] + predicted["model_up"])
    tasks = {(t.resource, t.phase, t.owner, t.batch) for t in run.timelines[1]}
    assert tasks == {(t.resource, t.phase, t.owner, t.batch) for t in run.predicted[1]}
    assert [found.makespan_s for found in run.predicted] == pytest.approx(
        [row.round_s for row in wanted.history]
    )


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["int8:channel:stochastic", "topk:0.1:feedback"])
def test_processes_encode_as_one_process_does(folder, codec, started):
    """Random rounding and what is left out go with the client, in whichever process it is."""
    options = replace(OPTIONS, codec=codec, gradient_codec="topk:0.2")
    plan = Plan.load(folder / "clusters.json")
    given = {"options": options, "rounds": 2}
    run = launch.run_wire(plan, model_of(folder), time_scale=1e-3, any_speed=True, **given)
    wanted = splitopt.train(plan, model_of(folder), **given)
    assert_same_weights(run.model, wanted.model)
    assert run.history == wanted.history
    predicted = planned_bytes(run.program, run.scheme)
    for kind in ("smashed", "gradient"):
        assert run.sent_bytes[kind] == 2 * predicted[kind] == wanted.history.traffic_bytes()[kind]


@pytest.mark.slow
def test_devices_in_turn_go_on_from_a_checkpoint(folder, started):
    """The second run draws the orders of turns that the first would have drawn."""
    plan, place = Plan.load(folder / "batch.json"), folder / "in-turn"
    given = {"options": OPTIONS, "time_scale": 1e-3, "any_speed": True, "checkpoint": place}
    launch.run_wire(plan, model_of(folder), rounds=1, **given)
    run = launch.run_wire(plan, model_of(folder), rounds=3, resume=True, **given)
    wanted = one_process(folder, "batch", rounds=3)
    assert_same_weights(run.model, wanted.model)
    assert run.history == wanted.history
    assert len(run.timelines) == len(run.predicted) == 2


@pytest.mark.slow
def test_a_killed_and_a_stopped_device_are_dropped(folder, started, monkeypatch):
    """The round in which it happens goes on with the third one, and so does the next one."""
    plan = Plan.load(folder / "splitfed.json")
    place = folder / "faults"
    signals = {0: signal.SIGKILL, 1: signal.SIGSTOP}

    def take(server, n, batch):
        arrived = Server.take(server, n, batch)
        if server.number == 1 and n in signals:  # the device waits for its gradient now
            started[0].started[n].send_signal(signals[n])
        return arrived

    monkeypatch.setattr(SplitFedServer, "take", take, raising=False)
    run = launch.run_wire(
        plan,
        model_of(folder),
        options=OPTIONS,
        rounds=3,
        time_scale=1e-3,
        any_speed=True,
        deadline="8 s",
        checkpoint=place,
    )
    gone = ("fast-1", "fast-2")
    assert [row.dropped for row in run.history] == [(), gone, gone]
    assert sorted(text.split(" in ")[0] for text in run.dropped) == list(gone)
    wanted = one_process(folder, "splitfed", rounds=1)
    scheme, alone = wanted.scheme, wanted.scheme.clients[2:]
    for _ in range(2):
        tally = Round()
        scheme.begin(alone, tally)
        scheme._train_alone(alone[0], tally)
        scheme.end(alone, tally)
    assert_same_weights(run.model, scheme.model)
    assert checkpoint.load(place, None).history == run.history


def lead(folder, name, place, *more):
    """Start the command line as a user does, in a process that leads."""
    arguments = [
        *("train", str(folder / f"{name}.json"), "--wire", "--model", model_of(folder)),
        *("--momentum", "0.9", "--optimizer-state", "keep", "--any-speed", "--rounds", "3"),
        *("--checkpoint", str(place), *more),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "splitopt", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_round(place, rounds, process):
    """Wait until a checkpoint holds so many rounds, and give the leader's children."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        path = place / checkpoint.FILE
        if path.exists() and len(json.loads(path.read_text())["history"]["rounds"]) >= rounds:
            return psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.02)
    raise AssertionError(process.stderr.read().decode())


def assert_gone(children):
    gone, alive = psutil.wait_procs(children, timeout=400)
    assert len(gone) >= 2
    assert not alive


@pytest.mark.slow
def test_interrupted_and_killed_runs_go_on_from_their_checkpoints(folder):
    """Ctrl-C in the second round, SIGKILL in the third one: no process is left behind either time.

    The end is made by one process, and all three together learn what an uninterrupted one learns.
    """
    place, slow = folder / "restarts", ("--time-scale", "3")
    first = lead(folder, "pair", place, *slow)
    children = wait_for_round(place, 1, first)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=400)
    assert first.returncode == 130
    assert b"--resume goes on from there" in said
    assert b"Traceback" not in said
    assert_gone(children)
    second = lead(folder, "pair", place, "--resume", *slow)
    children = wait_for_round(place, 2, second)
    children[-1].suspend()  # one that cannot even notice
    second.kill()
    second.communicate(timeout=400)
    assert_gone(children)
    done = len(checkpoint.load(place, None).history)
    assert done >= 2
    run = one_process(folder, "pair", rounds=3, checkpoint=place, resume=True)
    wanted = one_process(folder, "pair", rounds=3)
    assert_same_weights(run.model, wanted.model)
    assert run.history == wanted.history
