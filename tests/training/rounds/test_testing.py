"""Clients and classes in the rounds of a training, against plain PyTorch."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch.nn.functional import cross_entropy  # noqa: E402

import splitopt  # noqa: E402
from splitopt.cli.entry import run as run_command  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.report.training import training_to_html  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.dataset import DataSet  # noqa: E402
from splitopt.training.data.shards import save_shards  # noqa: E402
from splitopt.training.data.shares_to_test import share_out_test  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.preparing.setup import Draw  # noqa: E402
from splitopt.training.randomness import seed_of  # noqa: E402
from splitopt.training.rounds.testing import check_schedule  # noqa: E402
from splitopt.training.schedule import Schedule  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train


def loss_of(model, client):
    """Return the loss of a model on all samples of a client."""
    with torch.no_grad():
        return float(cross_entropy(model(client.batches.inputs), client.batches.targets))


def _data(train, test, classes):
    def inputs(labels):
        return torch.zeros(len(labels), 2)

    wanted = [torch.tensor(own) for own in (train, test)]
    return DataSet("d", inputs(train), wanted[0], inputs(test), wanted[1], classes)


def test_each_client_is_tested_on_the_classes_that_it_has():
    """Every sample of a class that is trained with is in one share, in proportion."""
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 6, 300), rng.integers(0, 7, 200)
    own = [torch.tensor(t) for t in (train[:60], train[60:200], train[200:][train[200:] < 2])]
    rows = share_out_test(_data(train, test, 7), own, seed=3)
    together = torch.cat(rows).tolist()
    assert len(set(together)) == len(together)
    assert set(together) == set(np.flatnonzero(test < 6))  # nobody trains with class 6
    have = np.array([[int((one == k).sum()) for k in range(6)] for one in own])
    there = np.array([[int((test[part] == k).sum()) for k in range(6)] for part in rows])
    exact = have / have.sum(axis=0) * np.bincount(test, minlength=7)[:6]
    assert (np.abs(there - exact) < 1 + 1e-9).all()
    assert (there[2, 2:] == 0).all()
    again = share_out_test(_data(train, test, 7), own, seed=3)
    assert all(torch.equal(one, other) for one, other in zip(rows, again, strict=True))


def test_equal_clients_have_equal_shares():
    """No client is short in class after class: 10 classes of 4 samples, 3 clients."""
    labels = np.arange(40) % 10
    own = [torch.arange(30) % 10] * 3
    sizes = [len(rows) for rows in share_out_test(_data(labels, labels, 10), own, seed=0)]
    assert sorted(sizes) == [13, 13, 14]


@pytest.mark.slow
def test_clients_and_classes_by_hand(plan_of):
    """Loss and accuracy on each share, and the recall of each class, from the model's outputs."""
    plan = plan_of("few-splitfed")
    run = splitopt.train(
        plan, rounds=2, seed=5, partition="dirichlet:0.3", per_client=True, per_class=True
    )
    row, data = run.history.rows[-1], load_data("digits", seed=5)
    own = [client.batches.targets for client in run.scheme.clients]
    shares = share_out_test(data, own, seed_of(5, Draw.TESTS))
    run.model.eval()
    with torch.no_grad():
        outputs = run.model(data.test_inputs)
    right = outputs.argmax(1) == data.test_targets
    tested = 0
    for client, rows in zip(run.scheme.clients, shares, strict=True):
        found = row.clients[client.name]
        assert found.test_samples == len(rows)
        if not len(rows):
            continue
        tested += 1
        loss = float(cross_entropy(outputs[rows], data.test_targets[rows]))
        assert found.test_loss == pytest.approx(loss, rel=1e-5)
        assert found.metrics["accuracy"] == pytest.approx(float(right[rows].double().mean()))
    spread = run.history.spread(row)
    assert spread.clients == tested > 1
    for k, recall in enumerate(row.classes["recall"]):
        assert recall == pytest.approx(float(right[data.test_targets == k].double().mean()))
    plain = splitopt.train(plan, rounds=2, seed=5, partition="dirichlet:0.3")
    assert [r.test_loss for r in plain.history] == [r.test_loss for r in run.history]
    assert [r.loss for r in plain.history] == [r.loss for r in run.history]
    assert not plain.history.rows[-1].classes


@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2", "vanilla", "federated"])
def test_the_loss_of_each_client_adds_up(make, name):
    """A batch of all samples: the first loss is that of the model before; sums are the round's."""
    cuts = () if name == "federated" else (3,)
    scheme = SCHEMES[name](
        make.cnn(), make.clients([8, 5, 6], cuts, batch=None), Options(order="given"), make.split
    )
    before = [loss_of(make.cnn(), client) for client in scheme.clients]
    tally = scheme.round(0)
    assert list(tally.clients) == ["d0", "d1", "d2"]
    found = [own.loss for own in tally.clients.values()]
    assert [own.samples for own in tally.clients.values()] == [8, 5, 6]
    assert sum(own.loss_sum for own in tally.clients.values()) == pytest.approx(tally.loss_sum)
    alone = before if name in ("splitfed_v1", "federated") else before[:1]  # others go on
    assert found[: len(alone)] == pytest.approx(alone, rel=1e-5)
    assert tally.groups == ()


def test_the_loss_of_each_client_of_a_cluster(make):
    """The mean over a cluster is that over its clients; the first cluster is at the old model."""
    clients = make.clients([8, 5, 6], (3,), batch=None)
    scheme = SCHEMES["clustered"](make.cnn(), clients, Options(local_steps=1), make.split)
    scheme.cluster([[2, 0], [1]])
    tally = scheme.round(0)
    assert tally.groups == (("d2", "d0"),)
    for name in ("d2", "d0"):
        own = next(client for client in clients if client.name == name)
        wanted = loss_of(make.cnn(), own)
        assert tally.clients[name].loss == pytest.approx(wanted, rel=1e-5)
    total = sum(own.loss_sum for own in tally.clients.values())
    assert total == pytest.approx(tally.loss_sum, rel=1e-6)


def test_a_client_that_diverges_is_seen(make):
    """One whose inputs are a hundred times as large has by far the largest loss."""
    clients = make.clients([8, 8, 8], (3,))
    clients[1].batches.inputs *= 100
    scheme = SCHEMES["splitfed_v1"](make.cnn(), clients, Options(learning_rate=1e-4), make.split)
    losses = {name: own.loss for name, own in scheme.round(0).clients.items()}
    assert losses["d1"] > 5 * max(losses["d0"], losses["d2"])


def test_clients_that_train_side_by_side_have_the_losses_of_one_by_one(make):
    found = []
    for batched in (False, True):
        scheme = SCHEMES["federated"](
            make.cnn(), make.clients([8, 8, 8], ()), Options(batched=batched), make.split
        )
        found.append([own.loss for own in scheme.round(0).clients.values()])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.slow
def test_the_command_line(plan_of, tmp_path, monkeypatch, capsys):
    """Terminal, page and files have clients, groups and classes; the terminal in a line each."""
    monkeypatch.chdir(tmp_path)
    plan_of("digits-clusters").save("p.json")
    train = ["train", "p.json", "--rounds", "1"]
    more = ["--per-client", "--per-class", "--csv", "r.csv", "--plot", "r.html"]
    assert run_command([*train, *more]) == 0
    printed = capsys.readouterr().out
    assert "Accuracy % over clients, round 1: mean" in printed
    assert "coefficient of variation" in printed
    assert "Recall % of classes, round 1" in printed
    assert "Training loss of clients, round 1" in printed
    assert "Last loss" not in printed
    page = (tmp_path / "r.html").read_text()
    for heading in ("Clients", "Groups", "Classes"):
        assert f"<h2>{heading}</h2>" in page
    assert "recall[class 9]" in (tmp_path / "r.csv").read_text().splitlines()[0]
    assert run_command([*train, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["history"]["rounds"][0]
    assert len(row["groups"]) > 1
    assert all(own["test_loss"] is None for own in row["clients"].values())


def test_many_clients_are_drawn_as_lowest_median_and_highest():
    from splitopt.training.by_client import ClientRow
    from splitopt.training.history import History, RoundRow

    clients = {f"c{k}": ClientRow(float(k), 1) for k in range(12)}
    page = training_to_html({"": History((RoundRow(1, 1.0, 12, clients=clients),))})
    assert "Over 12 clients" in page
    assert "median" in page


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"per_class": 1}, "per_class: is 1, it must be True or False"),
        ({"per_class": True}, "per_class: needs metrics of classes, and regression has none"),
    ],
)
def test_what_cannot_be_tested(plan_of, given, words):
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(200, 1, 8, 8)), rng.normal(size=(200, 10)))
    with pytest.raises(InputError, match=words):
        splitopt.train(plan_of("few-splitfed"), data=data, task="regression", **given)


def test_clients_whose_data_stay_with_them_are_not_tested_elsewhere(plan_of, tmp_path):
    """Rank 0 does not know what they have."""
    plan = plan_of("few-splitfed")
    names = [device["name"] for device in plan.prediction["devices"]]
    digits = load_data("digits")
    parts = [torch.arange(40 * k, 40 * (k + 1)) for k in range(len(names))]
    save_shards(tmp_path, digits, names, parts)
    job = TrainingJob(plan, data=str(tmp_path), partition="own")
    check_schedule(prepare(job), Schedule(per_client=True))
    with pytest.raises(InputError, match="per_client: needs the data of all clients here"):
        check_schedule(prepare(job, 0), Schedule(per_client=True))


@pytest.mark.slow  # a process for each party
def test_over_connections_they_are_those_of_one_process(plan_of):
    from splitopt.training.wire.launch import run_wire

    for name in ("few-splitfed", "digits-clusters"):
        given = {"rounds": 1, "seed": 5, "per_client": True, "per_class": True}
        alone = splitopt.train(plan_of(name), **given)
        wire = run_wire(plan_of(name), any_speed=True, time_scale=1e-3, **given)
        assert wire.history == alone.history
        assert all(own.test_samples for own in wire.history.rows[0].clients.values())
