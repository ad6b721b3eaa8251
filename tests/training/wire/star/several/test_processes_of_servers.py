"""Several servers among real processes: the same bits, killed, resumed, by hand, with TLS."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from safetensors.torch import load_file  # noqa: E402

import splitopt  # noqa: E402
from splitopt.errors import TrainingError  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.validation.planned_bytes import planned_bytes  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.slow]

OPTIONS = Options(momentum=0.9, optimizer_state="keep")
FAST = {"time_scale": 1e-3, "any_speed": True, "join_s": 600.0, "deadline": "120 s"}


def assert_same(model, wanted):
    for name, value in wanted.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


@pytest.fixture
def plan(plan_of_servers):
    """Return a plan of three devices at two servers."""
    return plan_of_servers()


def test_processes_learn_what_one_process_learns(plan, tmp_path, started):
    """Weights, history, bytes, the tasks of the plan; a checkpoint is that of one process."""
    kept = tmp_path / "kept"
    run = run_wire(plan, options=OPTIONS, rounds=2, checkpoint=kept, **FAST)
    wanted = splitopt.train(plan, options=OPTIONS, rounds=2)
    assert [len(group.started) for group in started] == [4]
    assert run.history == wanted.history
    assert_same(run.model, wanted.model)
    planned = planned_bytes(run.program)
    assert run.sent_bytes["smashed"] == 2 * planned["smashed"]
    assert run.sent_bytes["gradient"] == 2 * planned["gradient"]
    assert run.sent_bytes["model"] == 2 * (planned["model_up"] + planned["model_down"])
    tasks = {(t.resource, t.phase, t.owner, t.batch) for t in run.timelines[1]}
    predicted = run.program.replay_of(1).timeline
    assert tasks == {(t.resource, t.phase, t.owner, t.batch) for t in predicted}
    more = splitopt.train(plan, options=OPTIONS, rounds=3, checkpoint=kept, resume=True)
    assert_same(more.model, splitopt.train(plan, options=OPTIONS, rounds=3).model)


def without(plan, rounds):
    """Train in one process with some clients left out of some rounds."""
    scheme = prepare(TrainingJob(plan, options=OPTIONS)).scheme
    for number, left_out in enumerate(rounds):
        clients = [client for client in scheme.clients if client.name not in left_out]
        scheme.begin(clients, Round(), number)
        for client in clients:
            scheme._train_alone(client, Round())
        scheme.end(clients, Round(), number)
    return scheme


@pytest.mark.parametrize(
    ("place", "left_out"), [(-1, ("b", "c")), (2, ("c",))], ids=["server", "device"]
)
def test_who_dies_is_left_out(plan, started, place, left_out):
    """A server takes its devices along, and a device nobody; the others go on."""

    def kill(row, rounds):
        if row.round == 1:
            started[0].started[place].send_signal(signal.SIGKILL)
            started[0].started[place].wait()

    run = run_wire(plan, options=OPTIONS, rounds=2, callback=kill, **FAST)
    assert [row.dropped for row in run.history] == [(), left_out]
    assert_same(run.model, without(plan, [(), left_out]).model)
    assert len(run.dropped) in (0, len(left_out))  # none where it was gone before the round


def test_the_run_ends_where_nobody_is_left(plan, started):
    """Rank 0's own device and the other server are gone: one sentence with the reasons."""

    def kill(row, rounds):
        for place in (0, -1):
            started[0].started[place].send_signal(signal.SIGKILL)
            started[0].started[place].wait()

    with pytest.raises(TrainingError, match=r"round 2: no device is left to train with"):
        run_wire(plan, options=OPTIONS, rounds=3, callback=kill, **FAST)


def test_a_plan_of_servers_is_validated(plan):
    """Every task of the plan is measured, at every server, and bytes are those of the profile."""
    found = splitopt.validate(plan, rounds=1, any_speed=True, time_scale=0.2)
    assert (found.validation.missing, found.validation.extra) == ((), ())
    rows = {row.kind: (row.predicted, row.measured) for row in found.traffic}
    for kind in ("smashed", "gradient", "model"):
        assert rows[kind][0] == rows[kind][1] > 0
    names = {resource.name for resource in found.measured.resources}
    assert {"uplink of near", "uplink of far", "near", "far"} <= names


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_ranks_started_by_hand_with_certificates(plan, tmp_path):
    """Every rank is a command with a certificate of its own; weights are those of one process."""
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }

    def command(*words):
        return subprocess.Popen(
            [sys.executable, "-m", "splitopt", *words], cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    plan.save(tmp_path / "plan.json")
    making = command("certificates", "plan.json", "-o", "c", "--json")
    out, error = making.communicate(timeout=600)
    assert making.returncode == 0, error
    assert "c/rank-4.key" in json.loads(out)
    port, ranks = free_port(), []
    try:
        for rank in range(5):
            more = ["--listen", "127.0.0.1"] if rank in (0, 4) else []
            more += ["--save-model", "m.safetensors"] if rank == 0 else []
            ranks.append(
                command(
                    *("train", "plan.json", "--wire", "--any-speed", "--time-scale", "1e-3"),
                    *("--rounds", "2", "--rank", str(rank), "--world-size", "5"),
                    *("--master", f"127.0.0.1:{port}", "--token-file", "c/token"),
                    *("--tls-cert", f"c/rank-{rank}.pem", "--tls-key", f"c/rank-{rank}.key"),
                    *("--tls-ca", "c/ca.pem", "--join-within", "500", *more),
                )
            )
        said = [one.communicate(timeout=600) for one in ranks]
        assert [one.returncode for one in ranks] == [0] * 5, said
    finally:
        for one in ranks:
            one.kill()
    there = load_file(tmp_path / "m.safetensors")
    for name, value in splitopt.train(plan, rounds=2).model.state_dict().items():
        assert torch.equal(value, there[name]), name
