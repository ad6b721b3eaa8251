"""The rounds of a training as a table."""

from __future__ import annotations

import csv

import pytest

from splitopt import InputError
from splitopt.training.history import History, RoundRow


def row(number, accuracy=None, **more):
    return RoundRow(number, 1.0 / number, 8, accuracy=accuracy, clock_s=2.0 * number, **more)


HISTORY = History(
    (
        row(1, None, traffic_bytes={"smashed": 5, "label": 1}),
        row(2, 0.5, phases_s={"device forward": 1.5}, dropped=("far", "slow")),
        row(3, 0.75, phases_s={"waiting": 0.5}),
        row(4, 0.75),
    ),
    {"data_name": "digits"},
)


def test_what_it_says():
    """The best round is the first of the best; sums are by kind."""
    assert HISTORY.best.round == 3
    assert HISTORY.first_reaching(0.5).round == 2
    assert HISTORY.first_reaching(0.8) is None
    assert (HISTORY.clock_s, History().clock_s, History().best) == (8.0, 0.0, None)
    sums = HISTORY.traffic_bytes()
    unsent = {"gradient": 0, "model_down": 0, "model_up": 0, "statistics": 0}
    assert sums == {"smashed": 5, "label": 1, **unsent}
    assert len(HISTORY.with_row(row(5))) == len(HISTORY) + 1 == 5


def test_files(tmp_path):
    """JSON is read back as it was; CSV has a column for every phase, empty where unknown."""
    HISTORY.save(tmp_path / "h.json")
    assert History.load(tmp_path / "h.json") == HISTORY
    HISTORY.save(tmp_path / "h.csv")
    rows = list(csv.DictReader((tmp_path / "h.csv").read_text().splitlines()))
    assert [line["accuracy"] for line in rows] == ["", "0.5", "0.75", "0.75"]
    assert [line["device_forward_s"] for line in rows] == ["0.0", "1.5", "0.0", "0.0"]
    assert rows[1]["dropped"] == "far slow"
    assert float(rows[2]["loss"]) == 1 / 3


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("accuracy", "high", "accuracy: is 'high'"),
        ("round", 7, "round: is 7, it must be 1"),
        ("samples", 1.5, "samples: is 1.5"),
        ("traffic_bytes", {"smashed": True}, "traffic_bytes.smashed: is True"),
        ("loss", 10**400, "loss: is 1000.*must be a number"),
        ("loss", float("nan"), "loss: is nan; it must be a finite number"),
        ("dropped", ["a\x07"], r"dropped\[0\]: is .* control character"),
        ("dropped", [1], r"dropped\[0\]: is 1; it must be a text"),
    ],
)
def test_rows_that_are_none_are_refused(field, value, words):
    """With their place."""
    document = HISTORY.to_dict()
    document["rounds"][0][field] = value
    with pytest.raises(InputError, match=rf"^h: rounds\[0\]\.{words}"):
        History.from_dict(document, "h")


def test_texts_about_the_run_are_shown_and_so_clean():
    """Wherever they stand in what is said of it."""
    document = HISTORY.to_dict()
    document["origin"] = {"plan": {"scenario": ["a\x1b[2J"]}}
    with pytest.raises(InputError, match=r"origin: is .*control character"):
        History.from_dict(document, "h")
