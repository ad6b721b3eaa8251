"""A folder is written whole or not at all, and nothing but an export is ever replaced."""

from __future__ import annotations

import os

import pytest

from splitopt.errors import InputError, WriteError
from splitopt.export.folder import check_folder, write_folder

FILES = {"parts.json": b"{}", "parts.py": b"x = 1\n"}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_written_into_a_new_and_an_empty_folder(tmp_path):
    for name in ("new", "empty"):
        folder = tmp_path / name
        if name == "empty":
            folder.mkdir()
        write_folder(folder, FILES)
        assert contents(folder) == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new"]


def test_an_earlier_export_is_replaced_when_forced(tmp_path):
    folder = tmp_path / "out"
    write_folder(folder, {**FILES, "model.py": b""})
    (folder / "__pycache__").mkdir()
    with pytest.raises(InputError, match="is not empty; choose another folder, or --force"):
        write_folder(folder, FILES)
    write_folder(folder, FILES, force=True)
    assert contents(folder) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_foreign_files_are_never_removed(tmp_path):
    """--force on a folder that is none of ours, or that has something of the user's in it."""
    folder = tmp_path / "out"
    write_folder(folder, FILES)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes.txt', which no export wrote"):
        write_folder(folder, FILES, force=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("mine")
    with pytest.raises(InputError, match="is no export"):
        write_folder(tmp_path / "other", FILES, force=True)
    assert (folder / "notes.txt").read_text() == "mine"


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name, words in (
        ("file", "it is not a folder"),
        ("link", "it is not a folder"),
        ("no/such/out", "does not exist"),
        ("file/out", "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            check_folder(tmp_path / name, force=True)


def test_a_failure_leaves_the_old_export(tmp_path, monkeypatch):
    """The disk is full when the second file is written."""
    folder = tmp_path / "out"
    write_folder(folder, FILES)
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left on device"):
        write_folder(folder, {"parts.json": b"[]", "parts.py": b"x = 2\n"}, force=True)
    assert contents(folder) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
