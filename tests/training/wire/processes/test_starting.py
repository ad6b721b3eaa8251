"""Real processes: started one by one, by torchrun, late, or otherwise than agreed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

import splitopt
from splitopt.plans import Plan
from splitopt.training.job import TrainingJob
from splitopt.training.wire import launch
from splitopt.training.wire.processes import ProcessError, Processes
from splitopt.training.wire.ranks import Rank
from splitopt.training.wire.setting import Setting
from splitopt.training.wire.transport.errors import RefusedError
from splitopt.training.wire.transport.tokens import Token
from tests.training.wire.processes.cases import model_of, one_process

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


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
