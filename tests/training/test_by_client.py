"""What a round says of clients, by hand, and the files that keep it."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

from splitopt import InputError
from splitopt.report.clients import client_tables
from splitopt.training.by_client import ClientRow, group_loss, spread_of
from splitopt.training.history import History, RoundRow

ROWS = {
    name: ClientRow(loss, samples, loss / 2, 3, {"accuracy": value})
    for name, loss, samples, value in (("a", 2.0, 10, 0.1), ("b", 1.0, 30, 0.2), ("c", 4.0, 5, 0.6))
}


def test_the_spread_by_hand():
    """Mean 0.3; squares 0.04 + 0.01 + 0.09 over 3, the root over the mean."""
    found = spread_of(ROWS, "accuracy")
    assert found.clients == 3
    assert found.mean == pytest.approx(0.3)
    assert found.variation == pytest.approx(math.sqrt(0.14 / 3) / 0.3)
    assert (found.lowest, found.highest) == (("a", 0.1), ("c", 0.6))
    assert spread_of(ROWS, "loss").highest == ("c", 4.0)
    assert spread_of(ROWS, "f1") is None
    assert spread_of({"a": ClientRow(0.0, 1)}, "loss").variation is None


def test_the_loss_of_a_group_by_hand():
    """10 samples of 2 and 30 of 1 have the mean 50 / 40."""
    assert group_loss(ROWS, ["a", "b"]) == pytest.approx(1.25)
    assert group_loss(ROWS, ["nobody"]) is None


HISTORY = History(
    (
        RoundRow(1, 1.5, 45, clients={"a": ClientRow(2.0, 10), "c": ClientRow(4.0, 5)}),
        RoundRow(
            2, 1.4, 45, 0.7, 0.3, metrics={"accuracy": 0.3}, clients=ROWS,
            groups=(("a", "b"), ("c",)), classes={"recall": (0.5, None), "f1": (0.25, 0.0)},
        ),
    ),
)  # fmt: skip


def test_files(tmp_path):
    """JSON is read back as it was; CSV has a column for each client's and class's values."""
    HISTORY.save(tmp_path / "h.json")
    assert History.load(tmp_path / "h.json") == HISTORY
    HISTORY.save(tmp_path / "h.csv")
    lines = list(csv.DictReader((tmp_path / "h.csv").read_text().splitlines()))
    assert [line["loss[b]"] for line in lines] == ["", "1.0"]
    assert lines[1]["accuracy[c]"] == "0.6"
    assert lines[1]["test_loss[c]"] == "2.0"
    assert lines[1]["f1[class 1]"] == "0.0"
    assert "recall[class 1]" not in lines[1]
    assert HISTORY.spread(HISTORY.rows[1]) == spread_of(ROWS, "accuracy")


def test_rows_without_clients_have_the_fields_of_before():
    """Files and columns: those who read neither clients nor classes see nothing new."""
    plain = History((RoundRow(1, 0.5, 8, clients={"a": ClientRow(0.5, 8)}),))
    assert "[" not in plain.to_csv()
    document = History((RoundRow(1, 0.5, 8),)).to_dict()
    assert not {"clients", "groups", "classes"} & set(document["rounds"][0])
    assert History.from_dict(json.loads(json.dumps(document))).rows[0].clients == {}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("clients", {"a": {"loss": "high"}}, "clients.a.loss: is 'high'"),
        ("clients", {"a": {"samples": -1}}, "clients.a.samples: is -1"),
        ("clients", {"a": {"lost": 1}}, "clients.a.lost"),
        ("groups", [["a", 1]], r"groups\[0\]\[1\]: is 1; it must be a text"),
        ("classes", {"recall": [float("nan")]}, r"classes.recall\[0\]: is nan"),
    ],
)
def test_what_is_none_is_refused(field, value, words):
    document = HISTORY.to_dict()
    document["rounds"][0][field] = value
    with pytest.raises(InputError, match=rf"^h: rounds\[0\]\.{words}"):
        History.from_dict(document, "h")


def test_losses_that_no_float_can_square_have_a_spread():
    rows = {"a": ClientRow(1e300, 4), "b": ClientRow(3e300, 4)}
    found = spread_of(rows, "loss")
    assert (found.mean, found.variation) == pytest.approx((2e300, 0.5))
    assert group_loss(rows, rows) == pytest.approx(2e300)
    most = {"a": ClientRow(1.7e308, 1), "b": ClientRow(1.7e308, 1)}
    assert spread_of(most, "loss").mean == pytest.approx(1.7e308)


def test_how_far_clients_are_apart_by_round():
    """Against numpy's standard deviation; rounds without a test, or of one client, have none."""

    def row(number, values, tested=True):
        clients = {
            name: ClientRow(
                loss=value + 1,
                samples=4,
                test_samples=2 * tested,
                metrics={"accuracy": value} if tested else {},
            )
            for name, value in values.items()
        }
        accuracy = 0.5 if tested else None
        metrics = {"accuracy": 0.5} if tested else {}
        return RoundRow(number, 1.0, 8, accuracy=accuracy, metrics=metrics, clients=clients)

    first, second = {"a": 0.5, "b": 0.75, "c": 0.25}, {"a": 0.5, "b": 0.5}
    history = History((row(1, first), row(2, second, tested=False), row(3, {"a": 0.5})))
    known = np.array(list(first.values()))
    assert history.variations() == {1: pytest.approx(known.std() / known.mean())}
    losses = history.variations("loss")
    assert losses == {1: pytest.approx(known.std() / (known + 1).mean()), 2: 0.0}
    rows = list(csv.DictReader(io.StringIO(history.to_csv())))
    assert float(rows[0]["variation[accuracy]"]) == pytest.approx(known.std() / known.mean())
    assert [row["variation[accuracy]"] for row in rows[1:]] == ["", ""]
    assert [row["variation[loss]"] == "" for row in rows] == [False, False, True]
    (apart,) = [table for table in client_tables(history) if table.heading == "Clients apart"]
    assert [entry["round"] for entry in apart.rows] == ["1"]
    assert apart.rows[0]["highest"] == "75.00 (b)"
