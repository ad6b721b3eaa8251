"""Clients with data of their own: what is learned, what is told of it, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.cli.entry import run as run_command  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.partition import partition, save_partition  # noqa: E402
from splitopt.training.data.shards import Elsewhere, is_own, read_own, read_shards, save_shards  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.tasks.targets import LABELS  # noqa: E402
from splitopt.training.wire.told import Told  # noqa: E402

pytestmark = pytest.mark.train
IMAGES, LABEL = np.zeros((40, 1, 8, 8)), np.zeros(40)
NAMES = ("fast-1", "fast-2", "slow", "far")
SIZES = (40, 40, 40, 40)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", seed=0)


@pytest.fixture(scope="module")
def parts(digits):
    """Return rows of which no client has all classes."""
    return partition(digits.train_targets, SIZES, "classes:3", seed=1)


@pytest.fixture(scope="module")
def folder(digits, parts, tmp_path_factory):
    place = tmp_path_factory.mktemp("shards")
    save_shards(place, digits, NAMES, parts)
    return place


@pytest.fixture
def plan(plan_of):
    return plan_of("few-splitfed")


@pytest.mark.slow
def test_own_data_are_the_same_rows_of_a_whole(plan, digits, parts, folder, tmp_path):
    """A folder, a dict of files, of arrays, and a partition file of all data teach the same."""
    save_partition(tmp_path / "rows.json", parts)
    rows = [(digits.train_inputs[own], digits.train_targets[own]) for own in parts]
    runs = [
        splitopt.train(plan, data=digits, partition=f"file:{tmp_path / 'rows.json'}", rounds=1),
        splitopt.train(plan, data=str(folder), partition="own", rounds=1),
        splitopt.train(plan, data={n: folder / f"{n}.npz" for n in (*NAMES, "test")}, rounds=1),
        splitopt.train(
            plan,
            data=dict(zip(NAMES, rows, strict=True))
            | {"test": (digits.test_inputs, digits.test_targets)},
            rounds=1,
        ),
    ]  # fmt: skip
    first, *others = runs
    for run in others:
        assert run.history.rows == first.history.rows
        for key, value in first.model.state_dict().items():
            assert torch.equal(value, run.model.state_dict()[key])
    assert runs[1].history.origin["partition"] == "own"


def test_shares_count_by_their_samples(plan, digits, tmp_path):
    """With other sizes than planned, the average is weighted by what there is."""
    rows = list(torch.arange(100).split([10, 20, 30, 40]))
    save_shards(tmp_path, digits, NAMES, rows)
    given = {"data": str(tmp_path), "partition": "own", "rounds": 1}
    with pytest.raises(InputError, match="data of fast-1: has 10 samples where the plan has 40"):
        splitopt.train(plan, **given)
    run = splitopt.train(plan, **given, samples="data")
    assert [run.scheme.weight(client) for client in run.scheme.clients] == [10, 20, 30, 40]
    assert run.history.rows[0].samples == 100 * run.scheme.options.local_epochs


def test_a_party_has_its_own_alone(plan, folder, parts, tmp_path):
    """With a folder of its own file a party prepares what all parties prepare alike."""
    for name in ("test", *NAMES):
        place = tmp_path / name
        place.mkdir()
        (place / f"{name}.npz").write_bytes((folder / f"{name}.npz").read_bytes())
    jobs = {
        name: TrainingJob(plan, data=str(tmp_path / name), partition="own")
        for name in ("test", *NAMES)
    }
    found = {name: prepare(job, rank) for rank, (name, job) in enumerate(jobs.items())}
    assert len({str(sorted(p.identity.items())) for p in found.values()}) == 1
    assert not {"data", "clients"} & found["test"].identity.keys()
    whole = prepare(TrainingJob(plan, data=str(folder), partition="own"))
    for index, name in enumerate(NAMES):
        clients = found[name].scheme.clients
        for client, own in zip(clients, whole.scheme.clients, strict=True):
            assert isinstance(client.batches, Elsewhere) == (client.name != name)
            assert client.samples == own.samples == 40
            assert client.batches.sizes(7) == own.batches.sizes(7) == (16, 16, 8, 16, 16, 8, 16)
        assert clients[index].batches.inputs.equal(whole.scheme.clients[index].batches.inputs)
    with pytest.raises(InputError, match=r"far\.npz: there is no such file"):
        prepare(jobs["slow"], 4)


def test_rank_0_is_told_numbers_and_holds_them_against_the_model(plan, folder):
    """What does not fit is refused by name; what fits becomes the number of samples."""
    lead = prepare(TrainingJob(plan, data=str(folder), partition="own", samples="data"), 0)
    told = Told(lead)
    words = read_own(str(folder), "slow", NAMES, LABELS).told()
    assert words == {
        "samples": 40, "classes": 10, "inputs": [["", [1, 8, 8], "float32"]],
        "targets": ["", [], "int64"],
    }  # fmt: skip
    for change, why in (
        ({"inputs": [["", [1, 7, 8], "float32"]]}, "its samples are 1 x 7 x 8 float32, and those"),
        ({"inputs": [["a", [1, 8, 8], "float32"]]}, "its samples are a 1 x 8 x 8 float32"),
        ({"targets": ["", [2], "int64"]}, "its targets are 2 int64, and those of test one int64"),
        ({"inputs": 3}, "its samples are 3"),
        ({"classes": 11}, "the model gives .10,. for a sample, but it has 11 classes"),
        ({"classes": None}, "it has None classes"),
        ({"classes": 2**40}, "classes"),
        ({"samples": 0}, "it has 0 samples"),
        ({"samples": "many"}, "samples"),
    ):
        assert re.search(why, told(3, words | change)), (why, told(3, words | change))
    for rank, samples in enumerate((10, 20, 30, 40), start=1):
        assert told(rank, words | {"samples": samples}) is None
    assert "not what it was" in told(2, words | {"samples": 21})
    ready = told.prepared()
    assert [client.samples for client in ready.scheme.clients] == [10, 20, 30, 40]
    assert ready.identity["clients"][3] == ["far", 40]
    batches = ready.scheme.clients[0].batches
    assert batches.can_have(torch.tensor([0, 9]))
    assert not batches.can_have(torch.tensor([10]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slow": None}, r"has no data of slow; give data\['slow'\]"),
        ({"test": None}, "has no data to test with"),
        ({"other": "x.npz"}, "has 'other', which is no device of the plan; it has fast-1"),
        ({"slow": (IMAGES[:, :, :7], LABEL)}, "data of slow: its samples are 1 x 7 x 8"),
        ({"slow": (IMAGES, LABEL - 1)}, "data of slow, y_train: a label is below 0"),
        ({"slow": (IMAGES, LABEL + 12)}, "13 classes"),
        ({"slow": np.zeros(3)}, r"data of slow: must be the path of an \.npz file"),
        ({"slow": "s.txt"}, "is not an .npz file"),
        ({"slow": "missing.npz"}, "missing.npz"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(plan, folder, change, words):
    data = {name: str(folder / f"{name}.npz") for name in (*NAMES, "test")} | change
    data = {name: source for name, source in data.items() if source is not None}
    with pytest.raises(InputError, match=words):
        splitopt.train(plan, data=data, rounds=1)


@pytest.mark.parametrize("classes", [np.zeros(2), np.float64(3), np.int64(0), np.int64(2**40)])
def test_a_number_of_classes_that_is_none(tmp_path, classes):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.arange(3), classes=classes)
    with pytest.raises(InputError, match=r"a\.npz, classes: must be one whole number"):
        read_own(str(tmp_path), "a", ("a", "b"), LABELS)


def test_names_that_are_none(digits, tmp_path):
    with pytest.raises(InputError, match="a device is called test"):
        read_shards({}, ("test", "b"), LABELS)
    with pytest.raises(InputError, match="is no name of a file"):
        save_shards(tmp_path, digits, ("a/b",), [torch.arange(3)])
    with pytest.raises(InputError, match="a dict has data for each client by itself"):
        is_own({}, "classes:3")


def test_the_command_line(plan, folder, tmp_path, capsys):
    plan.save(tmp_path / "p.json")
    train = ["train", str(tmp_path / "p.json"), "--partition", "own", "--rounds", "1", "--data"]
    assert run_command([*train, str(folder)]) == 0
    assert "Partition: own" in capsys.readouterr().out
    for more in ([], ["--wire"]):
        assert run_command([*train, str(folder / "slow.npz"), *more]) == 2
        assert "must be a folder with a file NAME.npz for each device" in capsys.readouterr().err
