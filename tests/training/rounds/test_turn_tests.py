"""Tests after every turn, against models that were trained turn by turn by hand."""

from __future__ import annotations

import csv
import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch.nn.functional import cross_entropy  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.cli.entry import run as run_command  # noqa: E402
from splitopt.report.training import training_to_html  # noqa: E402
from splitopt.training.history import History  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.remembering_options import Remembering  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train

SIZES = (8, 12, 5)
ALL = Remembering(ewc=0.1, ewc_samples=8, replay=4, oversample=True, turn_batches=3)


def step(parameters, loss):
    with torch.no_grad():
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p -= 0.1 * g


def seen(scheme):
    """Play a round, and return who had turns and the weights after each of them."""
    found = []

    def note(clients):
        weights = [p.detach().clone() for p in scheme.model.parameters()]
        found.append(([client.name for client in clients], weights))

    scheme.after_turn = note
    scheme.round(0)
    return found


def close(one, other):
    return all(
        torch.allclose(a, b, rtol=1e-10, atol=1e-13) for a, b in zip(one, other, strict=True)
    )


def test_the_model_after_turns_of_vanilla_is_that_of_an_unsplit_one(make):
    """Which trains on the batches of one device after the other."""
    clients = make.clients(SIZES, dtype=torch.float64)
    options = Options(learning_rate=0.1)
    turns = seen(SCHEMES["vanilla"](make.cnn(dtype=torch.float64), clients, options, make.split))
    assert [names for names, _ in turns] == [["d0"], ["d1"], ["d2"]]
    model = make.cnn(dtype=torch.float64)
    for client, (_, weights) in zip(make.clients(SIZES, dtype=torch.float64), turns, strict=True):
        for inputs, targets in client.batches.take(client.batches.per_epoch):
            step(list(model.parameters()), cross_entropy(model(inputs), targets))
        assert close(weights, model.parameters())


def test_the_model_after_turns_of_splitfed_v2_has_the_device_part_of_that_client(make):
    """It begins at the old one in every turn; the server's part goes on, and showing is free."""
    options = Options(learning_rate=0.1, order="given")

    def made():
        clients = make.clients(SIZES, dtype=torch.float64)
        return SCHEMES["splitfed_v2"](make.cnn(dtype=torch.float64), clients, options, make.split)

    scheme, plain = made(), made()
    turns = seen(scheme)
    plain.round(0)
    for a, b in zip(scheme.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(a, b)
    model = make.cnn(dtype=torch.float64)
    first = [p.detach().clone() for p in model[:3].parameters()]
    for client, (_, weights) in zip(make.clients(SIZES, dtype=torch.float64), turns, strict=True):
        with torch.no_grad():
            for p, value in zip(model[:3].parameters(), first, strict=True):
                p.copy_(value)
        for inputs, targets in client.batches.take(client.batches.per_epoch):
            step(list(model.parameters()), cross_entropy(model(inputs), targets))
        assert close(weights, model.parameters())


def test_clusters_and_owners_have_turns_too(make):
    """A turn of a cluster is one; so is that of an owner."""
    clustered = SCHEMES["clustered"](make.cnn(), make.clients(SIZES), Options(), make.split)
    clustered.cluster([[0, 2], [1]])
    assert [names for names, _ in seen(clustered)] == [["d0", "d2"], ["d1"]]
    owners = make.clients(SIZES, (3, 7))
    split_nn = SCHEMES["split_nn"](make.cnn(), owners, Options(), make.split)
    assert [names for names, _ in seen(split_nn)] == [["d0"], ["d1"], ["d2"]]


@pytest.fixture(scope="module")
def plan():
    """Return a plan of vanilla split learning, in four devices' turns."""
    document = splitopt.Scenario.load("digits-splitfed").to_dict()
    for device in document["devices"]:
        device["samples"] = 40
    return splitopt.plan(splitopt.Scenario.from_dict(document), scheme="vanilla")


def trained(plan, rounds=2, **more):
    more = {"options": Options(learning_rate=0.1), "partition": "dirichlet:0.3"} | more
    return splitopt.train(plan, rounds=rounds, test_after="turn", **more)


@pytest.mark.slow
def test_rows_of_a_training(plan, tmp_path):
    """The last turn of a round is its test; a callback sees each; files and pages have them."""
    told = []
    run = trained(
        plan, per_class=True, turn_callback=lambda row, number: told.append((number, row))
    )
    history = run.history
    assert list(history.turns) == told
    assert len(told) == 8
    for row in history:
        last = row.turns[-1]
        assert (last.accuracy, last.test_loss) == (row.accuracy, row.test_loss)
        assert last.by_class == row.classes["recall"]
        assert [turn.clients for turn in row.turns] == [(c.name,) for c in run.scheme.clients]
        for turn, client in zip(row.turns, run.scheme.clients, strict=True):
            assert list(turn.trained) == sorted(set(client.batches.targets.tolist()))
    assert run.scheme.after_turn is None
    plain = splitopt.train(
        plan, rounds=2, options=Options(learning_rate=0.1), partition="dirichlet:0.3"
    )
    assert [row.loss for row in plain.history] == [row.loss for row in history]
    assert not plain.history.turns
    assert "turns" not in plain.history.rows[0].to_dict()
    page = training_to_html({"": history})
    assert "Turn by turn" in page
    assert "Forgetting, points" in page


@pytest.mark.slow
def test_rounds_that_are_not_tested_have_no_tests_of_turns(plan):
    """As many tests as are asked for."""
    run = trained(plan, rounds=3, evaluate_every=2)
    assert [len(row.turns) for row in run.history] == [0, 4, 4]


@pytest.mark.slow
def test_it_goes_on_from_a_checkpoint(plan, tmp_path):
    """Bit by bit, with everything against forgetting."""
    options = Options(learning_rate=0.1, remembering=ALL)
    whole = trained(plan, 3, options=options)
    trained(plan, 1, options=options, checkpoint=tmp_path / "c")
    rest = trained(plan, 3, options=options, checkpoint=tmp_path / "c", resume=True)
    assert rest.history == whole.history
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, rest.model.state_dict()[name]), name
    other = Options(learning_rate=0.1, remembering=Remembering(replay=5))
    with pytest.raises(InputError, match=r"of another run: options\.remembering\."):
        trained(plan, 3, options=other, checkpoint=tmp_path / "c", resume=True)


def test_what_a_callback_raises_is_its_callers(plan):
    """Whatever it is; the model is that of the last whole round."""

    def fail(row, number):
        if number == 2:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match=r"^mine$"):
        trained(plan, turn_callback=fail)
    with pytest.raises(InputError, match="turn_callback: is called after tests of turns"):
        splitopt.train(plan, rounds=1, turn_callback=fail)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"scheme": "splitfed_v1"}, "test_after: is turn, and under splitfed_v1 no device"),
        ({"scheme": "federated"}, "test_after: is turn, and under federated no device"),
        (
            {"scheme": "splitfed_v2", "options": Options(server_order="batch")},
            "test_after: is turn, and under splitfed_v2",
        ),
        (
            {"scheme": "splitfed_v2", "options": Options(as_published=True)},
            "as_published: does not go together with tests after turns",
        ),
    ],
)
def test_where_there_are_no_turns_it_is_refused(plan, more, words):
    """By the name of the scheme or the option."""
    with pytest.raises(InputError, match=words):
        trained(plan, 1, **more)


@pytest.mark.slow
def test_on_the_command_line(plan, tmp_path, monkeypatch, capsys):
    """Flags, the table of turns, and what is refused."""
    monkeypatch.chdir(tmp_path)
    plan.save("plan.json")
    words = ["train", "plan.json", "--rounds", "1", "--partition", "random"]
    more = ["--test-after", "turn", "--turns-csv", "t.csv", "--plot", "p.svg", "--json"]
    asked = ["--replay", "3", "--ewc", "0.1", "--oversample", "--turn-batches", "1"]
    assert run_command([*words, *more, *asked]) == 0
    document = json.loads(capsys.readouterr().out)
    history = History.from_dict(document["history"])
    assert history.origin["remembering"]["replay"] == 3
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert len(rows) == len(history.turns) > 4
    assert "recall[class 9]" in rows[0]
    for flags, refused in (
        (["--turns-csv", "t.csv"], "--turns-csv: needs --test-after turn"),
        (["--test-after", "batch"], "test_after: is 'batch'"),
        (["--test-after", "turn", "--wire"], "test_after: is turn, and on the wire"),
        (["--replay", "3", "--wire"], "remembering: is for training in one process"),
        (["--ewc-decay", "0.5"], "--ewc-decay: needs --ewc"),
        (["--replay", "3", "--scheme", "splitfed_v1"], "replay: is for vanilla"),
    ):
        assert run_command([*words, *flags]) == 2, flags
        assert refused in capsys.readouterr().err


@pytest.mark.slow
def test_the_clock_has_what_it_takes(plan):
    """Seconds by hand: 4 Mbit/s down; up 4 Mbit/s, and 200 kbit/s for one of the four devices."""
    row = splitopt.train(plan, rounds=1).history.rows[0]
    usual = row.round_s
    bits = 8 * row.traffic_bytes["model_down"] / 4  # of the device part
    handing_on = bits * (4 / 4e6 + 3 / 4e6 + 1 / 200e3)

    def seconds(number=1, **given):
        options = Options(remembering=Remembering(**given))
        return splitopt.train(plan, rounds=number, options=options).history.rows[-1].round_s

    assert seconds(oversample=True) == usual
    assert seconds(turn_batches=99) == pytest.approx(usual, rel=1e-12)
    assert seconds(replay=0) == pytest.approx(usual, rel=1e-12)
    # 40 samples in batches of 16 are 3 turns
    assert seconds(turn_batches=1) == pytest.approx(usual + 2 * handing_on, rel=1e-9)
    # the server trains on as many samples again, but for the first turn of all
    served = row.phases_s["server"]
    assert seconds(2, replay=1000) == pytest.approx(usual + served, rel=1e-9)
    assert seconds(1, replay=1000) == pytest.approx(usual + served * 3 / 4, rel=1e-9)
    # 10 of 40 samples go through once more, and a Fisher diagonal with every part
    passes = (usual - handing_on) / 4
    online = seconds(2, ewc=0.0, ewc_form="online", ewc_samples=10)
    assert online == pytest.approx(usual + passes + handing_on, rel=1e-9)
    both = seconds(2, ewc=0.0, ewc_samples=10)
    assert both == pytest.approx(usual + passes + 2 * handing_on, rel=1e-9)
