"""Real processes: started, killed, stopped, interrupted, and what is learned all the same."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.plans import Plan  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.saving import checkpoint  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.validation.planned_bytes import planned_bytes  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402
from splitopt.training.wire.processes import ProcessError, Processes  # noqa: E402
from splitopt.training.wire.ranks import Rank  # noqa: E402
from splitopt.training.wire.setting import Setting  # noqa: E402
from splitopt.training.wire.star.server import Server  # noqa: E402
from splitopt.training.wire.star.splitfed import SplitFedServer  # noqa: E402
from splitopt.training.wire.transport.errors import RefusedError  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train

NET = '''
from collections import OrderedDict
import torch
from torch import nn

class Block(nn.Module):
    """A layer of the shipped network, with dropout behind its activation."""

    def __init__(self, layer, dropout=0.0):
        super().__init__()
        self.layer, self.dropout = layer, nn.Dropout(dropout)

    def forward(self, x):
        if isinstance(self.layer, nn.Linear):
            x = torch.flatten(x, 1)
        return self.dropout(torch.relu_(self.layer(x)))

def net():
    """The shipped network, with dropout on both sides of its cuts."""
    return nn.Sequential(OrderedDict(
        conv1=Block(nn.Conv2d(1, 8, 3, padding=1), 0.2),
        pool1=nn.MaxPool2d(2),
        conv2=Block(nn.Conv2d(8, 16, 3, padding=1)),
        pool2=nn.MaxPool2d(2),
        fc1=Block(nn.Linear(64, 64), 0.2),
        fc2=nn.Linear(64, 10),
    ))
'''
OPTIONS = Options(momentum=0.9, optimizer_state="keep")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a folder with a network of the user's, and plans of three devices."""
    place = tmp_path_factory.mktemp("run")
    (place / "net.py").write_text(NET)
    splitfed = Scenario.load("digits-splitfed").to_dict()
    far = splitfed["devices"][-1] | {"samples": 96, "compute": "40 MFLOP/s"}
    fast = splitfed["devices"][0] | {"samples": 48, "count": 2}
    splitfed |= {"devices": [fast, far], "training": {"epochs": 1, "rounds": 3}}
    clusters = Scenario.load("digits-clusters").to_dict()
    near, other = clusters["devices"][0], clusters["devices"][-1]
    clusters["devices"] = [near | {"count": 1, "samples": 32}, other | {"count": 2, "samples": 48}]
    clusters |= {"clusters": {"sizes": [2, 1], "cut": "pool1"}}
    clusters |= {"training": {"epochs": 2, "rounds": 3}}
    pair = clusters | {"clusters": {"size": 2, "cut": "pool1"}}
    pair["devices"] = [near | {"count": 1, "samples": 32}, other | {"count": 1, "samples": 48}]
    few = splitfed | {"devices": [fast | {"count": 1}, far]}
    scenarios = {"splitfed": splitfed, "few": few, "clusters": clusters, "pair": pair}
    for name, document in scenarios.items():
        splitopt.plan(Scenario.from_dict(document)).save(place / f"{name}.json")
    for name in ("vanilla", "splitfed_v2", "federated"):
        splitopt.plan(Scenario.from_dict(splitfed), scheme=name).save(place / f"{name}.json")
    batch = splitfed | {"training": splitfed["training"] | {"server_order": "batch"}}
    splitopt.plan(Scenario.from_dict(batch), scheme="splitfed_v2").save(place / "batch.json")
    cuts = json.loads((place / "splitfed.json").read_text())["decision"]["cut"]
    assert cuts[0] != cuts[2], "the devices are to have different cuts"
    return place


def model_of(folder):
    return f"{folder / 'net.py'}:net"


def one_process(folder, name, **changes):
    """Train as one process does."""
    plan = Plan.load(folder / f"{name}.json")
    return splitopt.train(plan, model_of(folder), options=OPTIONS, **changes)


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


@pytest.mark.slow
def test_a_process_that_does_not_come_up_ends_the_run(tmp_path):
    """The message has its last words."""
    with Processes(tmp_path / "job.json", ["far"], 1, Token.new(), 5.0) as group:
        group.started[0].wait(60)
        with pytest.raises(ProcessError, match=r"far \(rank 1\) ended with code 2.*no such file"):
            group.check()


def test_who_was_started_otherwise_is_refused(folder):
    """Another seed, another token, a port in use: one sentence each."""
    from splitopt.training.wire.crew import Crew, JoinError, join
    from splitopt.training.wire.transport.connecting import connect
    from splitopt.training.wire.transport.listener import listen

    token = Token.new()
    with Crew(listen(None, 0, token), ["a", "b"], {"seed": 0}) as crew:
        port = crew.listener.port
        with pytest.raises(
            splitopt.InputError, match=r"seed: is 1 for rank 1 \(a\) and 0 for rank 0"
        ):
            join("127.0.0.1", port, token, 1, {"seed": 1}, 60.0)
        with pytest.raises(splitopt.InputError, match="rank 3 is not from 1 to 2"):
            join("127.0.0.1", port, token, 3, {"seed": 0}, 60.0)
        with join("127.0.0.1", port, token, 1, {"seed": 0}, 60.0):
            with pytest.raises(splitopt.InputError, match="rank 1 is taken"):
                join("127.0.0.1", port, token, 1, {"seed": 0}, 60.0)
            with pytest.raises(JoinError, match=r"rank 2 \(b\) has not joined within 0.1 s"):
                crew.wait(0.1)
        with pytest.raises(RefusedError, match="the same token"):
            connect("127.0.0.1", port, Token.new(), 60.0)
        with pytest.raises(splitopt.InputError, match="in use"):
            listen(None, port, token)


def test_who_comes_when_the_run_is_over_is_told_so():
    """A device that was started again too late learns why it cannot take part."""
    from splitopt.training.wire.crew import Crew
    from splitopt.training.wire.transport.connecting import connect
    from splitopt.training.wire.transport.listener import listen

    token = Token.new()
    with Crew(listen(None, 0, token), ["a"], {}) as crew:
        pass
    with (
        listen(None, 0, token) as listener,
        connect("127.0.0.1", listener.port, token) as late,
        listener.accept(10.0) as door,
    ):
        late.send("hello", {"rank": 1, "agreement": {}})
        crew._admit(door)
        answer = late.receive(10.0)
        assert (answer.kind, answer.fields) == ("refused", {"message": "the run is over"})


@pytest.mark.parametrize(
    ("rank", "words"),
    [
        (Rank(0, 3, "127.0.0.1", 1), "world_size: is 3, this plan needs 4 processes: rank 0 to"),
        (Rank(4, 4, "127.0.0.1", 1), "rank: is 4, it must be from 0 to 3"),
    ],
)
def test_wrong_numbers_of_processes(folder, rank, words):
    """The right number is in the message."""
    plan = Plan.load(folder / "splitfed.json")
    job = TrainingJob(plan)
    with pytest.raises(splitopt.InputError, match=words):
        launch.run_rank(job, rank, Setting(Token.new()))


@pytest.mark.slow
def test_a_store_that_is_not_there_is_said():
    """Torchrun's store goes with rank 0; what PyTorch raises then is no internal error."""
    from splitopt.training.wire.transport.errors import ChannelTimeoutError
    from splitopt.training.wire.transport.listener import listen

    with listen(None, 0, Token.new()) as listener:
        port = listener.port  # nobody's, once it is closed
    with pytest.raises(ChannelTimeoutError, match=f"store on 127.0.0.1:{port} does not say where"):
        Rank(1, 3, "127.0.0.1", port, has_store=True).find_port(1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 s", "deadline: is 0 s, it must be above 0"),
        ("0.5x", "deadline: is 0.5x, a factor must be at least 1"),
        ("twicex", "deadline: is 'twicex', it must be a factor such as 3x, or 10 s"),
    ],
)
def test_a_deadline_is_refused_in_one_sentence(text, words):
    """The field stands there once."""
    from splitopt.training.wire.deadlines import Deadline

    with pytest.raises(splitopt.InputError) as caught:
        Deadline.read(text)
    assert str(caught.value) == words


@pytest.mark.slow
def test_torchrun_starts_the_same_command(folder):
    """As its users expect: one command for all ranks, which it numbers."""
    place = folder / "torchrun.csv"
    arguments = [
        *("-m", "torch.distributed.run", "--nproc-per-node", "3", "--standalone"),
        *("-m", "splitopt", "train", str(folder / "few.json"), "--wire", "--csv", str(place)),
        *("--model", model_of(folder), "--rounds", "2", "--time-scale", "0.01", "--any-speed"),
        *("--momentum", "0.9", "--optimizer-state", "keep"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SPLITOPT_TOKEN": Token.new().secret}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert place.read_text() == one_process(folder, "few", rounds=2).history.to_csv()


@pytest.mark.slow
@pytest.mark.parametrize("protected", [False, True], ids=["plain", "TLS"])
def test_ranks_may_be_started_one_by_one(folder, protected):
    """With arguments, as on several machines; a rank with another seed is told so, exit code 2."""
    place = folder / f"secrets-{protected}"
    secret = place / "token"
    if protected:
        pytest.importorskip("cryptography", reason="needs the extra 'tls'")
        from splitopt.training.wire.transport.certificates import write_certificates

        write_certificates(place, ["fast", "far"])
    else:
        place.mkdir()
        secret.write_text(Token.new().secret)
        secret.chmod(0o600)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def start(rank, *more):
        arguments = [
            *("train", str(folder / "few.json"), "--wire", "--any-speed", "--time-scale", "0.01"),
            *("--rank", str(rank), "--world-size", "3", "--master", f"127.0.0.1:{port}"),
            *("--token-file", str(secret), "--rounds", "1", *more),
        ]
        if protected:
            for flag, name in (("cert", f"rank-{rank}.pem"), ("key", f"rank-{rank}.key")):
                arguments += [f"--tls-{flag}", str(place / name)]
            arguments += ["--tls-ca", str(place / "ca.pem")]
            arguments += ["--listen", "0.0.0.0"] if rank == 0 else []
        return subprocess.Popen(
            [sys.executable, "-m", "splitopt", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    ranks = [start(0), start(1), start(2, "--seed", "1")]
    _, said = ranks[2].communicate(timeout=400)
    assert ranks[2].returncode == 2
    assert b"started otherwise" not in said
    assert b"rank 2 (far)" in said
    ranks[2] = start(2)
    for process in ranks:
        _, said = process.communicate(timeout=400)
        assert process.returncode == 0, said.decode()


def test_rank_0_of_another_machine_listens_where_it_is_told(folder):
    """On the loopback interface nobody there could connect."""
    plan = Plan.load(folder / "few.json")
    job = TrainingJob(plan)
    with pytest.raises(splitopt.InputError, match=r"listen: .*203.0.113.7.*--listen"):
        launch.run_rank(job, Rank(0, 3, "203.0.113.7", 1), Setting(Token.new()))
