"""Checkpoints: a run that goes on is the run that was interrupted, whatever interrupted it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import OrderedDict

import numpy as np
import pytest
from safetensors.torch import load_file
from torch import nn

import splitopt
from splitopt import InputError
from splitopt.errors import InUseError, WriteError
from splitopt.storage import locks, temporary
from splitopt.training.history import History, RoundRow
from splitopt.training.options import Options
from splitopt.training.saving import checkpoint
from splitopt.training.schemes import TrainingError
from tests.training.saving.checkpoint.cases import assert_same, train

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "few-splitfed",
            Options(optimizer="adam", optimizer_state="keep", batch_norm="local", order="shuffled"),
        ),
        ("digits-clusters", Options(momentum=0.9, optimizer_state="keep", order="shuffled")),
        ("digits-varying", Options(momentum=0.9, optimizer_state="average")),
    ],
)
def test_going_on_gives_the_same_bits(plan_of, tmp_path, name, options):
    """Momentum, moments, dropout, statistics, orders and clusters go on where they were."""
    plan = plan_of(name)
    whole = train(plan, 4, options=options)
    part = train(plan, 2, options=options, checkpoint=tmp_path / "state")
    assert part.history.rows == whole.history.rows[:2]
    assert_same(train(plan, 4, options=options, checkpoint=tmp_path / "state", resume=True), whole)
    # What is done is done: nothing is trained again.
    assert_same(train(plan, 4, options=options, checkpoint=tmp_path / "state", resume=True), whole)


@pytest.mark.slow
def test_any_name_and_shared_weights_can_be_kept(plan_of, tmp_path):
    """A layer may be called as a part of the state is, and stand under two names."""
    inner, shared = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(10, 10)
    net = nn.Sequential(
        OrderedDict(
            conv1=nn.Sequential(OrderedDict(moments=inner, cuda_state=nn.BatchNorm2d(8))),
            pool1=nn.MaxPool2d(2),
            flat=nn.Flatten(),
            fc=nn.Linear(128, 10),
            ends=nn.Sequential(shared, nn.ReLU(), shared),
        )
    )
    options = Options(momentum=0.9, optimizer_state="keep")
    given = {"match": "names", "options": options, "scheme": "federated"}
    plan, place = plan_of("few-splitfed"), tmp_path / "state"
    splitopt.train(plan, net, rounds=1, checkpoint=place, **given)
    run = splitopt.train(plan, net, rounds=2, checkpoint=place, resume=True, **given)
    assert_same(run, splitopt.train(plan, net, rounds=2, **given))
    run.save_model(tmp_path / "net.safetensors")
    saved = load_file(tmp_path / "net.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in run.model.state_dict().items())


@pytest.mark.slow
def test_two_files_that_fit_each_other(plan_of, tmp_path):
    """From before the first round on there are exactly two, written every so many rounds."""
    seen = []

    def look(row, rounds):
        seen.append(checkpoint.load(tmp_path / "state").rounds)

    plan = plan_of("digits-clusters")
    train(plan, 5, checkpoint=tmp_path / "state", checkpoint_every=2, callback=look)
    assert seen == [0, 2, 2, 4, 5]
    assert sorted(path.suffix for path in (tmp_path / "state").iterdir()) == [
        ".json",
        ".safetensors",
    ]
    with pytest.raises(InputError, match="holds a checkpoint already"):
        train(plan, 5, checkpoint=tmp_path / "state")


@pytest.mark.parametrize("failing", ["tensors", "json"])
def test_a_crash_while_writing_leaves_the_one_before(tmp_path, monkeypatch, failing):
    """Whichever of the two files was being written; what is left over goes with the next one."""
    first, second = {"x": torch.zeros(3)}, {"x": torch.ones(3)}
    one, two = History(), History((RoundRow(1, 0.5, 8),))
    checkpoint.save(tmp_path, first, {"seed": 1}, one)
    write = "write_json" if failing == "json" else "write_atomic"

    def crash(path, content):
        raise KeyboardInterrupt

    whole = getattr(checkpoint, write)
    monkeypatch.setattr(checkpoint, write, crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, second, {"seed": 1}, two)
    found = checkpoint.load(tmp_path, {"seed": 1})
    assert (found.rounds, found.state["x"].tolist()) == (0, [0.0, 0.0, 0.0])
    monkeypatch.setattr(checkpoint, write, whole)
    checkpoint.save(tmp_path, second, {"seed": 1}, two)
    found = checkpoint.load(tmp_path, {"seed": 1})
    assert (found.rounds, found.state["x"].tolist()) == (1, [1.0, 1.0, 1.0])
    assert len(list(tmp_path.iterdir())) == 2


SAVE = """
import os, sys, time, torch
from splitopt.errors import InUseError
from splitopt.training.saving import checkpoint
from splitopt.training.history import History
number = 0
for seed in map(int, sys.stdin):
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    writer = None
    while writer is None:
        try:
            writer = checkpoint.Writer(sys.argv[1])
        except InUseError:
            time.sleep(0.001)
    while True:
        number += 1
        writer.save({"x": torch.full((2000,), seed * 1e4 + number)}, {"seed": 1}, History())
"""


@pytest.mark.slow
def test_runs_that_are_killed_while_they_write(tmp_path):
    """Two that write as fast as they can, killed at any moment: the folder is always whole."""
    place, moments = tmp_path / "state", np.random.default_rng(1).uniform(0.001, 0.08, 10)
    process = subprocess.Popen(
        [sys.executable, "-c", SAVE, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def begin(seed):
        process.stdin.write(f"{seed}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    for seed, moment in enumerate(moments):
        children = [begin(2 * seed), begin(2 * seed + 1)]
        until = time.monotonic() + 120
        while not checkpoint.exists(place) and time.monotonic() < until:
            time.sleep(0.001)  # a busy host takes its time to begin
        time.sleep(moment)
        for child in children:
            os.kill(child, signal.SIGKILL)
        value = checkpoint.load(place, {"seed": 1}).state["x"]
        assert value.unique().numel() == 1
    process.communicate()
    checkpoint.save(place, {"x": torch.zeros(3)}, {"seed": 1}, History())
    assert len(os.listdir(place)) == 2  # what the killed ones left is gone


@pytest.mark.slow
def test_a_folder_is_one_runs_at_a_time(plan_of, tmp_path):
    """Another run in this process, and what ended there while a run prepared itself."""
    plan, place = plan_of("digits-clusters"), tmp_path / "state"

    def second(row, rounds):
        with pytest.raises(InUseError, match=f"is in use by process {os.getpid()} on "):
            train(plan, 2, checkpoint=place, resume=True)
        with pytest.raises(InUseError, match="is in use by"):
            checkpoint.save(place, {"x": torch.zeros(3)}, {"seed": 1}, History())

    first = train(plan, 2, checkpoint=place, callback=second)
    assert len(first.history) == 2
    assert_same(train(plan, 3, checkpoint=place, resume=True), train(plan, 3))


def test_without_locks_no_run_removes_what_is_anothers(tmp_path, monkeypatch):
    """Two writers in turn on a file system without locks: each has its own tensors, to the end."""

    def none(handle):
        raise locks.NoLocksError

    monkeypatch.setattr(locks, "try_lock", none)
    with pytest.warns(locks.LockWarning):
        one = checkpoint.Writer(tmp_path)
    with pytest.warns(locks.LockWarning):
        two = checkpoint.Writer(tmp_path)
    for number in range(3):
        for seed, writer in enumerate((one, two)):
            state = {"x": torch.full((3,), float(number))}  # the same content
            writer.save(state, {"seed": seed}, History())
            assert checkpoint.load(tmp_path, {"seed": seed}).state["x"][0] == number
    one.save({"x": torch.full((3,), 9.0)}, {"seed": 0}, History())
    two.save({"x": torch.full((3,), 9.0)}, {"seed": 1}, History())
    one.save({"x": torch.full((3,), 8.0)}, {"seed": 0}, History())
    assert checkpoint.load(tmp_path, {"seed": 0}).state["x"][0] == 8
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.slow
def test_a_disk_that_fills_is_no_mistake_of_the_users(plan_of, tmp_path, monkeypatch):
    """Before the first round and in a later one; what is there stays, and nothing is left over."""
    plan, place = plan_of("digits-clusters"), tmp_path / "state"
    make = temporary.tempfile.mkstemp
    room = [0]

    def full(*arguments, **named):
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        room[0] -= 1
        return make(*arguments, **named)

    monkeypatch.setattr(temporary.tempfile, "mkstemp", full)
    with pytest.raises(WriteError, match="No space left on device") as caught:
        train(plan, 3, checkpoint=place)
    assert caught.value.exit_code == 1
    assert not place.exists()
    room[0] = 9  # a checkpoint makes two files, and probes each
    with pytest.raises(WriteError, match="No space left on device"):
        train(plan, 3, checkpoint=place)
    assert checkpoint.load(place).rounds == 1
    assert len(os.listdir(place)) == 2


@pytest.mark.slow
def test_what_a_callback_raises_keeps_the_round(plan_of, tmp_path):
    """It reaches the caller as it is, and the round before it is written."""
    plan, place = plan_of("digits-clusters"), tmp_path / "state"
    for error in (ZeroDivisionError("mine"), TrainingError("mine"), RuntimeError("mine")):

        def fail(row, rounds, error=error):
            if row.round == 2:
                raise error

        with pytest.raises(type(error)) as caught:
            train(plan, 5, checkpoint=place, checkpoint_every=4, callback=fail)
        assert caught.value is error
        assert checkpoint.load(place).rounds == 2
        for path in place.iterdir():
            path.unlink()


def start(plan_file, folder, *arguments):
    """Start the command line in a process of its own."""
    command = [sys.executable, "-m", "splitopt", "train", plan_file, "--rounds", "1000000"]
    return subprocess.Popen(
        [*map(str, command), "--checkpoint", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(folder, rounds, process):
    """Wait until a checkpoint of so many rounds is there."""
    while process.poll() is None:
        if checkpoint.exists(folder):
            document = json.loads((folder / checkpoint.FILE).read_text())
            if len(document["history"]["rounds"]) >= rounds:
                return
        time.sleep(0.02)
    raise AssertionError(process.communicate())


@pytest.mark.slow
def test_processes_that_are_killed_and_interrupted(plan_of, tmp_path):
    """A process is killed, a second one goes on and is interrupted: a third has the same bits."""
    plan, place = plan_of("digits-pipeline"), tmp_path / "state"
    plan.save(tmp_path / "plan.json")
    process = start(tmp_path / "plan.json", place)
    try:
        wait_for(place, 2, process)
        process.kill()
        process.communicate()
        killed = checkpoint.load(place).rounds
        assert killed >= 2
        process = start(tmp_path / "plan.json", place, "--resume", "--csv", str(tmp_path / "r.csv"))
        wait_for(place, killed + 2, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Interrupted after" in out
    rounds = checkpoint.load(place).rounds
    assert rounds >= killed + 2
    assert len((tmp_path / "r.csv").read_text().splitlines()) == rounds + 1
    more = splitopt.train(plan, rounds=rounds + 1, checkpoint=place, resume=True)
    assert_same(more, splitopt.train(plan, rounds=rounds + 1))
