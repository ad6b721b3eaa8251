"""Forgetting and backward transfer against matrices that were worked out on paper."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from splitopt import InputError
from splitopt.training.by_turn import TurnRow
from splitopt.training.forgetting import backward_transfer, class_table, forgetting, measured
from splitopt.training.history import History, RoundRow

# Three tasks, one after the other; rows are turns.
TASKS = np.array([[0.9, 0.1, 0.0], [0.5, 0.8, 0.2], [0.3, 0.6, 0.7]])


def test_a_sequence_of_tasks():
    """F_3 = ((0.9 - 0.3) + (0.8 - 0.6)) / 2 = 0.4 and BWT = ((0.3-0.9) + (0.6-0.8)) / 2 = -0.4."""
    assert forgetting(TASKS) == pytest.approx(0.4)
    assert forgetting(TASKS, turn=1) == pytest.approx(0.4)  # 0.9 - 0.5
    assert forgetting(TASKS, turn=0) is backward_transfer(TASKS, turn=0) is None
    assert backward_transfer(TASKS) == pytest.approx(-0.4)


def test_the_best_time_may_be_between():
    """Task 0 is best after turn 1 (0.95): F = ((0.95 - 0.4) + (0.8 - 0.9)) / 2, BWT another."""
    table = [[0.9, 0.1, 0.0], [0.95, 0.8, 0.2], [0.4, 0.9, 0.7]]
    assert forgetting(table) == pytest.approx((0.55 - 0.1) / 2)
    assert backward_transfer(table) == pytest.approx((-0.5 + 0.1) / 2)


def test_devices_that_come_again():
    """Two devices with classes {0, 1} and {1, 2}, a class that nobody has, one without tests."""
    nan = np.nan
    trained = [(0, 1), (1, 2), (0, 1), (1, 2)]
    table = [
        [0.8, 0.6, 0.0, 0.1, nan],
        [0.2, 0.9, 0.7, 0.3, nan],
        [0.9, 0.5, 0.1, 0.0, nan],
        [0.1, 0.8, 0.6, 0.2, nan],
    ]
    # best before: 0.9, 0.9, 0.7; last trained: class 0 in turn 2, class 1 in turn 2, 2 in turn 1
    assert forgetting(table, trained) == pytest.approx((0.8 + 0.1 + 0.1) / 3)
    assert backward_transfer(table, trained) == pytest.approx((-0.8 + 0.3 - 0.1) / 3)
    assert forgetting(table, trained, 1) == pytest.approx(((0.8 - 0.2) + (0.6 - 0.9)) / 2)
    assert forgetting(table, [(4,)] * 4) is backward_transfer(table, [(4,)] * 4) is None


def test_nothing_is_forgotten_where_accuracy_only_rises():
    """F is at most 0 and BWT at least 0 then; both are 0 where nothing changes."""
    rng = np.random.default_rng(0)
    rising = np.sort(rng.random((6, 4)), axis=0)
    trained = [(0, 1, 2, 3)] * 6
    assert forgetting(rising, trained) < 0 < backward_transfer(rising, trained)
    still = np.repeat(rising[:1], 6, axis=0)
    assert forgetting(still, trained) == backward_transfer(still, trained) == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (([0.1, 0.2],), r"table: has shape \(2,\)"),
        (("abc",), "table: must be numbers"),
        (([[float("inf")]],), "table: has shape"),
        (([[0.1]], [(0,), (0,)]), "trained: has 2 turns, the table 1"),
        (([[0.1]], [(1,)]), r"trained\[0\]: has 1, which is no class"),
        (([[0.1]], [(0,)], 1), "turn: is 1, it must be from -1 to 0"),
        (([[0.1]], [(0,)], 0.5), "turn: is 0.5"),
    ],
)
def test_what_does_not_fit_is_refused(given, words):
    """With the name of what is wrong."""
    with pytest.raises(InputError, match=words):
        forgetting(*given)


def turn(name, accuracy, by_class, trained):
    return TurnRow((name,), 1.0, accuracy, {"accuracy": accuracy}, by_class, trained)


HISTORY = History(
    (
        RoundRow(
            1, 1.0, 8, turns=(turn("a", 0.5, (0.9, 0.1), (0,)), turn("b", 0.6, (0.4, 0.8), (1,)))
        ),
        RoundRow(2, 1.0, 8),
        RoundRow(3, 1.0, 8, turns=(turn("a", 0.4, (0.8, None), (0,)),)),
    )
)


def test_of_a_history(tmp_path):
    """Turns of all rounds are one sequence; files keep them."""
    table, trained = class_table(HISTORY)
    assert np.array_equal(table, [[0.9, 0.1], [0.4, 0.8], [0.8, np.nan]], equal_nan=True)
    assert trained == [(0,), (1,), (0,)]
    found = measured(HISTORY)
    assert (found.turns, found.highest, found.last) == (3, 0.6, 0.4)
    assert found.forgetting == pytest.approx(0.9 - 0.8)
    assert found.mean_forgetting == pytest.approx(((0.9 - 0.4) + (0.9 - 0.8)) / 2)
    assert found.backward_transfer == pytest.approx(0.8 - 0.9)
    HISTORY.save(tmp_path / "h.json")
    assert History.load(tmp_path / "h.json") == HISTORY
    rows = list(csv.DictReader(HISTORY.turns_csv().splitlines()))
    assert [(row["turn"], row["round"], row["clients"]) for row in rows] == [
        ("1", "1", "a"),
        ("2", "1", "b"),
        ("3", "3", "a"),
    ]
    assert [row["recall[class 1]"] for row in rows] == ["0.1", "0.8", ""]
    assert measured(History()) is None
    with pytest.raises(InputError, match="history: has no tests by class after turns"):
        class_table(History())


def test_files_that_are_changed_are_refused():
    """With the place of the value."""
    document = HISTORY.to_dict()
    document["rounds"][0]["turns"][1]["trained"] = [-1]
    with pytest.raises(InputError, match=r"h: rounds\[0\]\.turns\[1\]\.trained\[0\]: is -1"):
        History.from_dict(document, "h")
