"""A fed server among real processes: the same bits, killed, resumed, and files of each party."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from safetensors.torch import load_file  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.errors import TrainingError  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.partition import partition  # noqa: E402
from splitopt.training.data.shards import save_shards  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.saving import checkpoint  # noqa: E402
from splitopt.training.validation.measuring import measured_of  # noqa: E402
from splitopt.training.validation.planned_bytes import planned_bytes  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402
from splitopt.training.wire.ranks import Rank  # noqa: E402
from splitopt.training.wire.setting import Setting  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train

OPTIONS = Options(momentum=0.9, optimizer_state="keep", fed_server=True)
FAST = {"time_scale": 1e-3, "any_speed": True}


@pytest.fixture(scope="module")
def plans():
    """Plans of two devices: of both versions with a common cut, and in clusters."""
    found = {}
    for name, scenario, given in (
        ("splitfed", "digits-splitfed", {"scheme": "splitfed_v1"}),
        ("in turn", "digits-splitfed", {"scheme": "splitfed_v2", "server_order": "batch"}),
        ("clusters", "digits-clusters", {}),
    ):
        document = Scenario.load(scenario).to_dict()
        near, far = document["devices"][0], document["devices"][-1]
        document["devices"] = [
            near | {"samples": 48, "count": 1},
            far | {"samples": 96, "count": 1},
        ]
        document["training"] = {"epochs": 1, "rounds": 3}
        if name == "clusters":
            document["clusters"] = {"size": 2, "cut": "pool1"}
        found[name] = splitopt.plan(Scenario.from_dict(document), **given)
    return found


def assert_parts_make(folder, model):
    """Both files together are the model, and each has its own part alone."""
    server, client = (load_file(folder / name) for name in ("server.st", "client.st"))
    assert not server.keys() & client.keys()
    assert client
    together = server | client
    assert together.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(together[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("version", ["splitfed", "in turn"])
def test_processes_learn_what_one_process_learns(plans, tmp_path, started, version):
    """Weights, history, bytes by party, the tasks of the plan; no checkpoint has both parts."""
    plan, files = plans[version], {"fed_model": tmp_path / "client.st"}
    run = launch.run_wire(
        plan, options=OPTIONS, rounds=2, checkpoint=tmp_path / "kept", **FAST, **files
    )
    wanted = splitopt.train(plan, options=OPTIONS, rounds=2)
    assert run.history == wanted.history
    run.save_model(tmp_path / "server.st")
    assert run.fed_model == str(tmp_path / "client.st")
    assert_parts_make(tmp_path, wanted.model)
    planned = planned_bytes(run.program)
    assert run.received_bytes["server"]["smashed"] == 2 * planned["smashed"]
    assert run.received_bytes["server"].get("model", 0) == 0
    assert run.received_bytes["fed"]["model"] == 2 * planned["model_up"]
    assert run.received_bytes["fed"].keys().isdisjoint({"smashed", "labels", "gradient"})
    assert run.sent_bytes["model"] == 2 * (planned["model_up"] + planned["model_down"])
    rows = {row.kind: (row.predicted, row.measured) for row in measured_of(run).traffic}
    assert rows["server_received_smashed"] == (2 * planned["smashed"],) * 2
    assert rows["fed_received_model"] == (2 * planned["model_up"],) * 2
    assert rows["model"][0] == rows["model"][1]
    tasks = {(t.resource, t.phase, t.owner, t.batch) for t in run.timelines[1]}
    predicted = run.program.replay_of(1).timeline
    assert tasks == {(t.resource, t.phase, t.owner, t.batch) for t in predicted}
    client = load_file(tmp_path / "client.st")
    for folder, own in (("kept", set()), ("kept/fed/even", set(client))):
        state = checkpoint.load(tmp_path / folder).state
        whole = wanted.model.state_dict()
        there = {name for name in whole if state[f"model.{name}"].numel()}
        assert there == (own or set(whole) - set(client))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["splitfed", "in turn"])
def test_a_killed_fed_server_ends_the_run_which_goes_on_from_both_checkpoints(
    plans, tmp_path, started, version
):
    """What both runs learn is what an uninterrupted one learns."""
    plan, files = plans[version], {"fed_model": tmp_path / "client.st"}
    given = {"options": OPTIONS, "rounds": 3, "checkpoint": tmp_path / "kept", **FAST, **files}

    def kill(row, rounds):
        if row.round == 2:
            started[0].started[-1].send_signal(signal.SIGKILL)
            started[0].started[-1].wait()

    with pytest.raises(
        TrainingError, match=r"round 3: the fed server is gone .* start the run again"
    ):
        launch.run_wire(plan, callback=kill, **given)
    run = launch.run_wire(plan, resume=True, **given)
    run.save_model(tmp_path / "server.st")
    wanted = splitopt.train(plan, options=OPTIONS, rounds=3)
    assert run.history == wanted.history
    assert_parts_make(tmp_path, wanted.model)


@pytest.mark.slow
def test_devices_with_noise_of_their_own(plans, tmp_path, started):
    """With secrets from a test seed they learn what one process learns, at the same epsilon."""
    pytest.importorskip("opacus", reason="needs the extra 'privacy'")
    privacy = Privacy(clip_norm=1.0, target_epsilon=6.0, insecure_test_seed=4)
    plan, options = plans["in turn"], replace(OPTIONS, privacy=privacy)
    files = {"fed_model": tmp_path / "client.st"}
    run = launch.run_wire(plan, options=options, rounds=2, **FAST, **files)
    wanted = splitopt.train(plan, options=options, rounds=2)
    assert run.history == wanted.history
    assert 0 < max(run.history.rows[-1].epsilon.values()) <= 6.0
    run.save_model(tmp_path / "server.st")
    assert_parts_make(tmp_path, wanted.model)


@pytest.mark.slow
def test_parties_with_data_of_their_own(plans, tmp_path, started):
    """The fed server is told how many samples each device has, and has the data to test with."""
    plan, digits = plans["splitfed"], load_data("digits")
    names = [client.name for client in program_of(plan).clients]
    parts = partition(digits.train_targets, [20, 33], "iid", seed=3)
    save_shards(tmp_path / "own", digits, names, parts)
    given = {"data": str(tmp_path / "own"), "partition": "own", "samples": "data", "rounds": 2}
    run = launch.run_wire(plan, options=OPTIONS, **given, **FAST, fed_model=tmp_path / "client.st")
    wanted = splitopt.train(plan, options=OPTIONS, **given)
    run.save_model(tmp_path / "server.st")
    assert [row.accuracy for row in run.history] == [row.accuracy for row in wanted.history]
    assert_parts_make(tmp_path, wanted.model)


@pytest.mark.parametrize(
    ("name", "options", "given", "words"),
    [
        ("clusters", OPTIONS, {}, "fed_server: is for splitfed_v1 and splitfed_v2"),
        ("splitfed", OPTIONS, {"checkpoint_every": 2}, "checkpoint_every: does not go together"),
        ("splitfed", replace(OPTIONS, fed_server=False), {"fed_model": "x"}, "fed_model: is for"),
        ("splitfed", OPTIONS, {"fed_model": "/no/where/x"}, "/no/where"),
    ],
)
def test_what_does_not_go_together(plans, tmp_path, started, name, options, given, words):
    """One sentence, before any process is started."""
    with pytest.raises(InputError, match=words):
        launch.run_wire(plans[name], options=options, checkpoint=tmp_path / "c", **given)
    assert started == []


def test_a_checkpoint_of_the_fed_server_is_not_replaced(plans, tmp_path, started):
    """Before any process is started."""
    place = tmp_path / "c" / "fed" / "even"
    place.mkdir(parents=True)
    (place / checkpoint.FILE).write_text("{}")
    with pytest.raises(InputError, match="holds a checkpoint already"):
        launch.run_wire(plans["splitfed"], options=OPTIONS, checkpoint=tmp_path / "c")
    assert started == []


@pytest.mark.parametrize(
    ("rank", "size", "port", "words"),
    [
        (0, 3, 0, "needs 4 processes: rank 0 to lead, and one each for .*, fed"),
        (1, 4, 7, "--listen-port: is for the fed server, the last rank"),
    ],
)
def test_ranks_of_a_run_with_a_fed_server(plans, rank, size, port, words):
    """It is the last one."""
    job = TrainingJob(plans["splitfed"], options=OPTIONS)
    with pytest.raises(InputError, match=words):
        launch.run_rank(job, Rank(rank, size, "127.0.0.1", 1), Setting(Token.new(), port=port))


def test_a_device_that_is_called_as_the_fed_server(plans):
    """Certificates and messages could not tell them apart."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["devices"] = [
        document["devices"][0] | {"name": "fed", "count": 1},
        document["devices"][-1],
    ]
    plan = splitopt.plan(Scenario.from_dict(document), scheme="splitfed_v1")
    with pytest.raises(InputError, match="a device is called fed, as the fed server is"):
        launch.run_wire(plan, options=OPTIONS)
