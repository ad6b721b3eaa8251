"""The row and its file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from splitopt.bench.checking.settling import settle
from splitopt.bench.rows import Row, append_row, cut_torn_line, read_rows, write_rows
from splitopt.bench.running.jobs import Job
from splitopt.bench.running.recording import skipped_row
from splitopt.errors import InputError, WriteError


@pytest.fixture
def row(plan: object) -> Row:
    """One complete row."""
    job: Job = plan("equal_share")[0]  # type: ignore[operator]
    return skipped_row(job, "not today")


def test_rows_survive_the_file(row: Row, tmp_path: Path) -> None:
    """What is appended or written is read back equal."""
    path = tmp_path / "rows.jsonl"
    append_row(path, row)
    append_row(path, row)
    assert read_rows(path) == [row, row]
    write_rows(path, [row])
    assert read_rows(path) == [row]


@pytest.mark.parametrize("name", ["value", "peak_memory_mib", "git_revision", "status"])
def test_a_missing_field_is_an_error(row: Row, tmp_path: Path, name: str) -> None:
    """A row without one of its fields, or with one too many, is refused by its line."""
    path = tmp_path / "rows.jsonl"
    document = row.to_dict()
    del document[name]
    path.write_text(json.dumps(row.to_dict()) + "\n" + json.dumps(document) + "\n")
    with pytest.raises(InputError, match=f"rows.jsonl:2: {name}: this field is missing"):
        read_rows(path)
    path.write_text(json.dumps({**row.to_dict(), "mood": "good"}) + "\n")
    with pytest.raises(InputError, match="mood: this field is unknown"):
        read_rows(path)


def test_a_torn_last_line_is_left_out_and_cut(row: Row, tmp_path: Path) -> None:
    """A line without its end is not read, and is gone before anything is appended."""
    path = tmp_path / "rows.jsonl"
    append_row(path, row)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert read_rows(path) == [row]
    cut_torn_line(path)
    assert path.read_bytes() == whole
    path.write_bytes(whole[:10])
    cut_torn_line(path)
    assert path.read_bytes() == b""


def test_a_broken_line_in_the_middle_is_an_error(row: Row, tmp_path: Path) -> None:
    """Only the last line may be torn; elsewhere the file is not what it claims to be."""
    path = tmp_path / "rows.jsonl"
    line = json.dumps(row.to_dict())
    path.write_text(line[:40] + "\n" + line + "\n")
    with pytest.raises(InputError, match=r"rows.jsonl:1: is not JSON"):
        read_rows(path)


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_full_disk_leaves_the_file_as_it_was(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Also where half of the row fits: no part of it stays."""
    path, write = tmp_path / "rows.jsonl", os.write
    append_row(path, row)
    before = path.read_bytes()

    def full(handle: int, *arguments: Any) -> int:
        if call == "write":
            return write(handle, arguments[0][:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(WriteError, match=r"rows\.jsonl: cannot be written") as caught:
        append_row(path, row)
    monkeypatch.undo()
    assert caught.value.exit_code == 1
    assert path.read_bytes() == before


def test_settling_twice_changes_nothing(row: Row) -> None:
    """Settling sorts by key, is idempotent and does not depend on the order."""
    import dataclasses

    good = dataclasses.replace(row, status="ok", outcome="feasible", value=10.0, message=None)
    better = dataclasses.replace(good, solver="b", value=8.0)
    liar = dataclasses.replace(good, solver="c", bound=9.0)
    careful = dataclasses.replace(good, solver="d", bound=8.0 * (1 + 1e-10))
    once = settle([careful, liar, better, good], {})
    assert once == settle([good, better, liar, careful], {}) == settle(once, {})
    assert [(item.solver, item.status) for item in once] == [
        ("b", "ok"),
        ("c", "lied"),
        ("d", "ok"),
        ("equal_share", "ok"),
    ]
    assert {item.best_known for item in once} == {8.0}
    assert [item.gap_to_best_known for item in once] == [0.0, 0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"machine": "x"}, "machine: is 'x'; it must be an object"),
        ({"machine": {"cores": []}}, r"machine.cores: is \[\]"),
        ({"problem": []}, r"problem: is \[\]; it must be a text"),
        ({"objective": None}, "objective: is None; it must be a text"),
        ({"value": {}}, "value: is {}; it must be a number"),
        ({"options": ""}, "options: is ''; it must be an object"),
        ({"time_limit_s": "x"}, "time_limit_s: is 'x'; it must be a number"),
        ({"total_s": -1.0}, "total_s: is -1.0; it must be 0 or more"),
        ({"instance": None, "solver": True}, r"instance: is None.*\n.*solver: is True"),
        ({"trace": [[0.0, 1.0]]}, "trace"),
        ({"value": 10**400}, "value: is 1000.*; it must be a number"),
        ({"solver": "a\x1b[2J"}, "solver: is .* take out the control character"),
    ],
)
def test_a_field_of_another_type_is_refused(row: Row, change: dict[str, Any], words: str) -> None:
    """A report is made of rows that are rows."""
    with pytest.raises(InputError, match=words):
        Row.from_dict({**row.to_dict(), **change})
