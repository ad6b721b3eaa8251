"""What stands in a message is bounded, whatever the input holds."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from splitopt.cli.entry import run
from splitopt.errors import InputError, shown


@pytest.mark.parametrize("value", [7, 1.5, "name", [1, 2], {"a": None}, True, float("inf")])
def test_a_short_value_is_shown_as_python_writes_it(value):
    assert shown(value) == repr(value)


def test_a_table_is_shown_on_one_line():
    assert shown(np.eye(2, dtype=int)) == "array([[1, 0], [0, 1]])"
    assert shown("two  spaces\nand a line") == "'two  spaces\\nand a line'"


def test_a_value_that_multiplies_itself_is_shown_short():
    value = ["x" * 10] * 10
    for _ in range(12):  # 10**13 texts, were it written out
        value = [value] * 10
    assert len(shown(value)) <= 200


@pytest.mark.parametrize(
    "value", ["x" * 10**6, b"y" * 10**6, list(range(10**5))], ids=["text", "bytes", "list"]
)
def test_long_values_are_cut(value):
    assert len(shown(value)) <= 200


def test_a_number_of_thousands_of_digits_is_described():
    assert shown(10**4999) == "a whole number of about 5000 digits"


def test_a_message_keeps_its_beginning_and_its_end():
    message = str(InputError("the field: " + "x" * 10**6 + "; give a number"))
    assert len(message) <= 1000
    assert message.startswith("the field: ")
    assert message.endswith("; give a number")
    assert str(pickle.loads(pickle.dumps(InputError("short")))) == "short"


def test_a_message_does_not_steer_the_terminal(capsys):
    assert run(["plan", "x\x1b[2J\u202e.yaml"]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\\x1b[2J\\u202e.yaml" in said
