"""Ranks that each have a folder of their own, with their own data and nobody else's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from safetensors.torch import load_file  # noqa: E402

import splitopt  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.partition import partition  # noqa: E402
from splitopt.training.data.shards import Elsewhere, save_kind, save_shards  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.schedule import Schedule  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.roles import roles_of  # noqa: E402
from splitopt.training.wire.setting import Setting  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train


def _start(folder, rank, size, port, data, more=()):
    command = [
        *(sys.executable, "-m", "splitopt", "train", "plan.json", "--wire", "--any-speed"),
        *("--time-scale", "1e-3", "--rank", str(rank), "--world-size", str(size)),
        *("--master", f"127.0.0.1:{port}", "--partition", "own", "--data", data, "--rounds", "2"),
        *("--samples", "data", *more),
    ]
    environment = {
        **os.environ,
        "SPLITOPT_TOKEN": "8f3a61c09d2e4b7785ac16f0e29d34b7c1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _shards(plan, folder):
    """Write a file for each client and one to test with; return the clients' names."""
    names = [client.name for client in program_of(plan).clients]
    digits = load_data("digits")
    sizes = [20 + 3 * k for k in range(len(names))]
    parts = partition(digits.train_targets, sizes, "iid", seed=3)
    save_shards(folder, digits, names, parts)
    return names


def _move_tests(folder, name):
    """Put the data to test with into the file of a client; the others get zeros of the kind."""
    with np.load(folder / f"{name}.npz") as own, np.load(folder / "test.npz") as tests:
        arrays = {"x_train": own["x"], "y_train": own["y"], "classes": own["classes"]}
        np.savez(folder / f"{name}.npz", **arrays, x_test=tests["x"], y_test=tests["y"])
    save_kind(folder / "test.npz", load_data("digits"))
    with np.load(folder / "test.npz") as kind:
        assert not kind["x"].any()


def _alone(place, folder, rank, own):
    """Make a folder that has the data of one party and nothing else."""
    found = place / f"rank-{rank}"
    found.mkdir()
    (found / "own.npz").write_bytes((folder / f"{own}.npz").read_bytes())
    return found


def run_apart(plan, tmp_path, **more):
    """Train in one process, and by parties that each have one file; return both runs."""
    whole = tmp_path / "all"
    names = _shards(plan, whole)
    if "test_at" in more:
        _move_tests(whole, more["test_at"])
    given = {"partition": "own", "samples": "data", **more}
    here = splitopt.train(plan, data=str(whole), rounds=2, **given)
    parties = ("test", *roles_of(program_of(plan)).parties(program_of(plan)))
    prepared = []
    for rank, party in enumerate(parties):  # a node needs the shape of samples alone
        place = _alone(tmp_path, whole, rank, party if party in names else "test")
        prepared.append(prepare(TrainingJob(plan, data=str(place / "own.npz"), **given), rank))
    for rank, one in enumerate(prepared):
        has = [c.name for c in one.scheme.clients if not isinstance(c.batches, Elsewhere)]
        assert has == [party for party in parties[rank : rank + 1] if party in names]
    setting, errors = Setting(Token.new(), 1e-3, Deadline.default(any_speed=True)), []
    with listen(None, 0, setting.token) as listener:

        def run(rank):
            try:
                launch.follow(
                    prepared[rank], rank, "127.0.0.1", listener.port, setting, join_s=300.0
                )
            except Exception as error:  # told in the main thread
                errors.append(error)

        threads = [threading.Thread(target=run, args=(k,)) for k in range(1, len(parties))]
        for thread in threads:
            thread.start()
        there = launch._lead(prepared[0], Schedule(rounds=2), setting, listener, 300.0, None)
        for thread in threads:
            thread.join()
    assert errors == []
    return here, there


# Seven parties prepare one after the other, and two rounds are trained twice.
@pytest.mark.one_quick
@pytest.mark.parametrize(
    "name",
    [
        "few-splitfed",
        "vanilla-splitfed",
        "splitfed_v2:batch-splitfed",
        pytest.param("federated-splitfed", marks=pytest.mark.slow),
        pytest.param("digits-clusters", marks=pytest.mark.slow),
        "digits-pipeline",
        pytest.param("few-servers", marks=pytest.mark.slow),
    ],
)
def test_parties_with_their_own_files_learn_what_one_process_learns(plan_of, tmp_path, name):
    """Each party prepares from one file in a folder where there is no other; bits are the same."""
    here, there = run_apart(plan_of(name), tmp_path)
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[key]), key
    assert [(r.loss, r.test_loss, r.samples) for r in there.history] == [
        (r.loss, r.test_loss, r.samples) for r in here.history
    ]
    assert not there.dropped


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "few-splitfed",
        "splitfed_v2:batch-splitfed",
        "digits-clusters",
        "digits-pipeline",
        "few-servers",
    ],
)
def test_the_data_to_test_with_are_at_a_device(plan_of, tmp_path, name):
    """Rank 0 has zeros; its history has the numbers of one process that tests by the same data."""
    plan = plan_of(name)
    names = [client.name for client in program_of(plan).clients]
    plain, _ = run_apart(plan, tmp_path / "plain")
    here, there = run_apart(plan, tmp_path / "there", test_at=names[1])
    rows = [
        [(row.loss, row.test_loss, row.metrics, row.samples) for row in run.history]
        for run in (plain, here, there)
    ]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0][0][1] > 0
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[key]), key
    state = sum(value.nbytes for value in here.model.state_dict().values())
    assert there.sent_bytes["test"] == 2 * state


@pytest.mark.slow  # a process for each party
def test_processes_of_one_folder_test_at_a_device(plan_of, tmp_path):
    plan = plan_of("few-splitfed")
    names = _shards(plan, tmp_path / "all")
    _move_tests(tmp_path / "all", names[0])
    given = {"partition": "own", "samples": "data", "test_at": names[0], "rounds": 2}
    given |= {"data": str(tmp_path / "all"), "per_class": True}
    here = splitopt.train(plan, **given)
    there = launch.run_wire(plan, time_scale=1e-3, any_speed=True, **given)
    assert there.history.rows == here.history.rows
    assert there.history.rows[-1].classes


def test_who_cannot_test_is_refused(plan_of, tmp_path):
    plan = plan_of("few-splitfed")
    names = _shards(plan, tmp_path)
    own = {"data": str(tmp_path), "partition": "own", "samples": "data", "rounds": 1}
    for given, words in (
        ({**own, "test_at": "nobody"}, "test_at: is 'nobody', which is no device of the plan"),
        ({**own, "test_at": names[0]}, "it must hold x_train, y_train, x_test and y_test"),
        ({**own, "test_at": 3}, "test_at: is 3, it must be the name of a device"),
        ({"test_at": names[0]}, "it is for data that each device has of its own"),
        (
            {**own, "test_at": names[0], "options": Options(fed_server=True)},
            "test_at: does not go with fed_server",
        ),
    ):
        with pytest.raises(InputError, match=words):
            splitopt.train(plan, **given)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["few-splitfed", "digits-clusters", "federated-splitfed", "few-servers"]
)
def test_privacy_of_data_that_stay_home(plan_of, tmp_path, name):
    """Rank 0, which has no sample, counts what one process counts; devices find their own noise."""
    pytest.importorskip("opacus", reason="needs the extra 'privacy'")
    privacy = Privacy(1.0, target_epsilon=4.0, insecure_test_seed=5)
    here, there = run_apart(plan_of(name), tmp_path, options=Options(privacy=privacy))
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[key]), key
    assert [row.epsilon for row in there.history] == [row.epsilon for row in here.history]
    assert there.history.origin["privacy"] == here.history.origin["privacy"]
    assert all(3.9 < value <= 4.0 for value in there.history.rows[-1].epsilon.values())


@pytest.mark.slow  # processes
def test_ranks_of_the_command_line(plan_of, tmp_path):
    """Each rank is a command in a folder with its own file; weights are those of one process."""
    plan, whole = plan_of("few-splitfed"), tmp_path / "all"
    names = _shards(plan, whole)
    here = splitopt.train(plan, data=str(whole), partition="own", samples="data", rounds=2)
    port, ranks = _free_port(), []
    try:
        for rank, party in enumerate(("test", *names)):
            place = _alone(tmp_path, whole, rank, party)
            plan.save(place / "plan.json")
            more = [] if rank else ["--save-model", "m.safetensors"]
            ranks.append(_start(place, rank, 5, port, "own.npz", more))
        said = [one.communicate(timeout=600) for one in ranks]
        assert [one.returncode for one in ranks] == [0] * 5, said
    finally:
        for one in ranks:
            one.kill()
    there = load_file(tmp_path / "rank-0" / "m.safetensors")
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there[key]), key


@pytest.mark.slow  # processes
def test_a_shard_that_does_not_fit_is_refused_by_name(plan_of, tmp_path):
    """A rank with a class more than the model tells apart ends with code 2 and its name."""
    plan = plan_of("few-splitfed")
    names = [client.name for client in program_of(plan).clients]
    plan.save(tmp_path / "plan.json")
    digits = load_data("digits")
    save_shards(tmp_path, digits, names, list(torch.arange(160).split(40)))
    x, y = digits.train_inputs[:40].numpy(), digits.train_targets[:40].numpy()
    np.savez(tmp_path / "bad.npz", x=x[:, :, :7], y=y)
    port = _free_port()
    lead = _start(tmp_path, 0, 5, port, ".")
    bad = _start(tmp_path, 3, 5, port, "bad.npz")
    try:
        _, error = bad.communicate(timeout=400)
        assert bad.returncode == 2
        assert "data of slow" in error
        assert "1 x 7 x 8" in error
    finally:
        lead.kill()
        lead.communicate()
