"""CSV files of all spreadsheets are read alike."""

from __future__ import annotations

import pytest

from splitopt.documents.csv_tables import number, read_table, rows_of, table_of
from splitopt.errors import InputError


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_and_marks_make_no_difference(tmp_path, sign, encoding):
    """What spreadsheets of different countries write is one table."""
    path = tmp_path / "t.csv"
    lines = ["name,size", '"a;b	c", 1', ",", "d , 2.5", ""]
    text = "\r\n".join(lines).replace(",", sign)
    path.write_bytes(text.encode(encoding))
    table = read_table(path)
    assert table.columns == ("name", "size")
    assert [row.cells for row in table.rows] == [["a;b\tc", "1"], ["d", "2.5"]]
    assert [row.line for row in table.rows] == [2, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: has no header"),
        ("a,,b\n1,2,3\n", "line 1: has no header; name each column"),
        ("a,b\n", "has a header but no rows"),
        ("a,b,a\n1,2,3\n", "line 1: the column 'a' stands twice"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cells, the header has 2"),
        ("a,b\n1,5,2,5\n", "line 2 has 4 cells, the header has 2; write decimal points"),
        ('a,b\n1,"2\n', "line 2: is not CSV"),
        ("a,b\n1," + "2" * 200_000 + "\n", "line 2: is not CSV .field larger"),
        ("a" * 200_000 + ",b\n1,2\n", "line 1: is not CSV .field larger"),
    ],
)
def test_a_broken_table_names_its_line(text, words):
    """Nothing is guessed."""
    with pytest.raises(InputError, match=words):
        table_of(text, "t.csv")


def test_a_missing_column_says_what_was_found():
    """A separator that is not known shows itself."""
    table = table_of("a|b\n1|2\n", "t.csv")
    with pytest.raises(InputError, match=r"no column 'a', found are 'a\|b'; separate the cells"):
        list(table.cells("a"))


def test_columns_may_be_demanded():
    """In any order."""
    assert table_of("b,a\n1,2\n", "t.csv", ("a", "b")).columns == ("b", "a")
    with pytest.raises(InputError, match="must start with the columns a,b"):
        table_of("a,c\n1,2\n", "t.csv", ("a", "b"))


def test_rows_without_header_may_have_decimal_commas_between_semicolons():
    """The semicolon decides, not what stands more often."""
    assert rows_of("1,5;2,5\n", "t.csv")[0].cells == ["1,5", "2,5"]


@pytest.mark.parametrize(
    ("cell", "value"), [("1", 1), (" -2.5e3 ", -2500), (".5", 0.5), ("1e-999", 0), ("+3.", 3)]
)
def test_numbers_are_read(cell, value):
    """Plain decimal notation."""
    assert number(cell, "t.csv: line 1: x") == value


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("", "is empty; give a number"),
        ("  ", "is empty; give a number"),
        ("1,5", "decimal comma, write '1.5'"),
        ("1_000", "must be a finite number"),
        ("0x10", "must be a finite number"),
        ("\uff11", "must be a finite number"),
        ("nan", "must be a finite number"),
        ("-inf", "must be a finite number"),
        ("1e999", "beyond all floating-point numbers"),
        ("1" + "0" * 400, "beyond all floating-point numbers"),
        ("-1", "must be a finite number >= 0"),
        ("x" * 10_000, "must be a finite number"),
    ],
)
def test_what_is_no_number_says_why(cell, words):
    """With its place, and in few characters."""
    with pytest.raises(InputError, match=words) as caught:
        number(cell, "t.csv: line 1: x", 0)
    assert str(caught.value).startswith("t.csv: line 1: x: is ")
    assert len(str(caught.value)) < 400
