"""Sheets of workbooks, written by another package; spoiled ones are refused."""

from __future__ import annotations

import zipfile

import pytest

from splitopt.documents import sheets
from splitopt.documents.sheets import sheet_rows
from splitopt.errors import InputError

xlsxwriter = pytest.importorskip("xlsxwriter", reason="needs the extra 'xlsx'")


@pytest.fixture
def book(tmp_path):
    """Return a workbook with two sheets."""
    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(str(path)) as written:
        first, second = written.add_worksheet("VM"), written.add_worksheet("d & 1")
        for row, cells in enumerate(([1.5, 2, 1e-9], [0, 0, 0])):
            first.write_row(row, 0, cells)
        first.write(3, 27, 7)
        second.write_row(0, 0, ["text", True, 3])
    return path


def changed(path, name, change):
    """Write a workbook anew, with one of its files changed or left out."""
    with zipfile.ZipFile(path) as book:
        content = {item: book.read(item) for item in book.namelist()}
    content[name] = change(content[name])
    with zipfile.ZipFile(path, "w") as book:
        for item, value in content.items():
            if value is not None:
                book.writestr(item, value)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_rows_are_those_that_were_written(book):
    """To the bit, by name of the sheet; an empty row is left out, texts are no numbers."""
    rows = sheet_rows(book, "VM")
    assert [row.line for row in rows] == [1, 2, 4]
    assert [float(cell) for cell in rows[0].cells] == [1.5, 2, 1e-9]
    assert rows[2].cells == [""] * 27 + ["7"]
    assert sheet_rows(book, "d & 1")[0].cells == ["no number", "no number", "3"]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (SHEET, lambda text: text[:200], "is not a whole .xlsx file"),
        (SHEET, lambda _: None, "is not a whole .xlsx file"),
        (SHEET, lambda text: text.decode().encode("utf-16"), "is not a whole .xlsx file"),
        (SHEET, lambda text: text.replace(b'r="A1"', b'r="1"'), "a cell stands at '1', which is"),
        (SHEET, lambda text: text.replace(b"<sheetData>", b'<!DOCTYPE a [<!ENTITY b "c">]>'),
         "declares a document type"),
        ("xl/_rels/workbook.xml.rels", lambda text: text.replace(b"rId1", b"rId9"),
         "is not a whole .xlsx file"),
        ("xl/workbook.xml", lambda text: text.replace(b'"VM"', b'"laptop"'),
         "has no sheet 'VM'; it has 'laptop', 'd & 1'"),
    ],
)  # fmt: skip
def test_a_spoiled_workbook_is_refused(book, name, change, words):
    with pytest.raises(InputError, match=words):
        sheet_rows(changed(book, name, change), "VM")


def test_what_is_too_large_or_no_workbook_is_refused(book, monkeypatch, tmp_path):
    monkeypatch.setattr(sheets, "MOST_CELLS", 30)
    with pytest.raises(InputError, match="has numbers far to the right"):
        sheet_rows(book, "VM")
    monkeypatch.setattr(sheets, "MOST_CELLS", 5)
    with pytest.raises(InputError, match="has more than the 5 cells"):
        sheet_rows(book, "VM")
    monkeypatch.setattr(sheets, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="is larger than the 100 B that are read"):
        sheet_rows(book, "VM")
    (tmp_path / "no.xlsx").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=r"is not a whole \.xlsx file"):
        sheet_rows(tmp_path / "no.xlsx", "VM")
    with pytest.raises(InputError, match="no such file"):
        sheet_rows(tmp_path / "gone.xlsx", "VM")


def test_times_of_a_machine_are_read_from_its_sheet(book, tmp_path):
    """As from a CSV file with the same numbers."""
    from splitopt.profiles import read
    from splitopt.profiles.table.machine_times import COLUMNS

    (tmp_path / "layers.csv").write_text(
        "layer,forward_flop,backward_flop,output_bytes,parameter_bytes\na,1,2,4,8\nb,1,2,4,8\n"
    )
    profile = read(tmp_path / "layers.csv")
    (tmp_path / "net__VM.csv").write_text("1.5,2,1e-9\n0,0,0\n")
    expected = read(tmp_path / "net__VM.csv", profile, batch=4).machines["VM"]
    with xlsxwriter.Workbook(str(book)) as written:
        sheet = written.add_worksheet("VM")
        sheet.write_row(0, 0, [1.5, 2, 1e-9])
        sheet.write_row(1, 0, [0, 0, 0])
        written.add_worksheet("memory").write_row(0, 0, [1, 2])
    found = read(book, profile, batch=4, machine="VM").machines["VM"]
    for column in COLUMNS:
        assert getattr(found, column).tolist() == getattr(expected, column).tolist()
    assert found.measured.tolist() == [True, False]
    with pytest.raises(InputError, match="has a sheet for each machine; name one"):
        read(book, profile, batch=4)
    with pytest.raises(InputError, match="line 1 is '1,2'; give three numbers"):
        read(book, profile, batch=4, machine="memory")
    with pytest.raises(InputError, match="has no sheet 'd1'; it has 'VM', 'memory'"):
        read(book, profile, batch=4, machine="d1")
