"""Reading numbers from a sheet of an ``.xlsx`` workbook: values as they were saved, no formulas.

Nothing is unpacked before its size is known, and no XML with a document type is read, so that
nothing in a workbook can stand for more than it holds.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from splitopt.documents.csv_tables import Row
from splitopt.documents.reading import opened
from splitopt.errors import InputError, shown

MOST_BYTES = 2**26
"""Of a file in the workbook."""
MOST_CELLS = 10**6
_BOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})$")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    ElementTree.ParseError,
    EOFError,
    OSError,
    RuntimeError,  # encrypted
    NotImplementedError,  # another way of packing
    KeyError,
    ValueError,
)


def sheet_rows(path: str | Path, sheet: str) -> list[Row]:
    """Return the rows of a sheet with their numbers in the sheet; empty ones are left out.

    A cell that holds a text, a truth value or an error is given as a text that is no number.

    Raises
    ------
    InputError
        It is no whole workbook, has no such sheet, is larger than what is read, or has a cell that
        stands nowhere.
    """
    source = str(path)
    try:
        with opened(path) as stream, zipfile.ZipFile(stream) as book:
            sheets = dict(_sheets(book, source))
            if sheet not in sheets:
                raise InputError(
                    f"{source}: has no sheet {shown(sheet)}; it has "
                    f"{', '.join(map(shown, sheets)) or 'none'}"
                )
            return _rows(_xml(book, sheets[sheet], source), f"{source}, {shown(sheet)}")
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"{source}: is not a whole .xlsx file ({shown(str(error))})") from None


def _xml(book: zipfile.ZipFile, name: str, source: str) -> ElementTree.Element:
    """Return the root of a file in the workbook."""
    if book.getinfo(name).file_size > MOST_BYTES:
        raise InputError(f"{source}: {name} is larger than the {MOST_BYTES:,} B that are read")
    content = book.read(name).decode("utf-8")
    if "<!" in content.replace("<!--", ""):
        raise InputError(f"{source}: {name} declares a document type, which no workbook does")
    return ElementTree.fromstring(content)


def _sheets(book: zipfile.ZipFile, source: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each sheet, and of the file that holds it."""
    targets = {
        item.get("Id", ""): item.get("Target", "") for item in _xml(book, _RELATIONS, source)
    }
    for item in _all(_xml(book, _BOOK, source), "sheet"):
        relation = next((value for key, value in item.items() if key.endswith("}id")), "")
        target = targets[relation]
        yield item.get("name", ""), target[1:] if target.startswith("/") else f"xl/{target}"


def _rows(root: ElementTree.Element, source: str) -> list[Row]:
    found: dict[int, dict[int, str]] = {}
    for number, cell in enumerate(_all(root, "c")):
        if number >= MOST_CELLS:
            raise InputError(f"{source}: has more than the {MOST_CELLS:,} cells that are read")
        place = _PLACE.match(cell.get("r", ""))
        if place is None:
            raise InputError(f"{source}: a cell stands at {shown(cell.get('r'))}, which is nowhere")
        text = _text(cell)
        if text:
            found.setdefault(int(place[2]), {})[_column(place[1])] = text
    if sum(max(cells) + 1 for cells in found.values()) > MOST_CELLS:
        raise InputError(f"{source}: has numbers far to the right; move them to the first columns")
    return [
        Row(line, [cells.get(place, "") for place in range(max(cells) + 1)])
        for line, cells in sorted(found.items())
    ]


def _text(cell: ElementTree.Element) -> str:
    """Return what a cell holds, as a CSV file would have it."""
    value = next(_all(cell, "v"), None)
    if cell.get("t", "n") != "n":
        return "no number"
    return "" if value is None or value.text is None else value.text.strip()


def _column(letters: str) -> int:
    """Return the number of a column from its letters: A is 0, Z is 25, AA is 26."""
    found = 0
    for letter in letters:
        found = 26 * found + ord(letter) - ord("A") + 1
    return found - 1


def _all(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Yield the elements of a name, whatever its namespace."""
    return (item for item in element.iter() if item.tag.rpartition("}")[2] == name)
