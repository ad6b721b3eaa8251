"""A folder is written whole or not at all, and nothing but an export is ever replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from splitopt.errors import InputError, WriteError
from splitopt.export import folder as exported
from splitopt.export.folder import check_folder, write_folder
from splitopt.storage import temporary

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


FORCE = """
import os, sys
from splitopt.export import folder
target, in_two_steps = sys.argv[1], sys.argv[2] == "two"
number = 0
for _ in sys.stdin:
    if child := os.fork():
        print(child, flush=True)
        os.waitpid(child, 0)
        print("is dead", flush=True)
        continue
    if in_two_steps:
        folder.exchange = lambda *_: False
    while True:
        number += 1
        names = ("parts.json", "parts.py", "model.py")
        folder.write_folder(target, {name: b"%d" % number * 9999 for name in names}, force=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["one", "two"])
def test_an_export_that_is_killed_leaves_a_whole_folder(tmp_path, steps):
    """At every instant where two folders can be exchanged; else once the next export begins."""
    if steps == "one" and sys.platform not in ("linux", "darwin"):
        pytest.skip("there is no call that exchanges two folders")
    target = tmp_path / "out"
    write_folder(target, {**FILES, "model.py": b""})
    process = subprocess.Popen(
        [sys.executable, "-c", FORCE, str(target), steps],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    for moment in np.random.default_rng(2).uniform(0.001, 0.06, 15):
        process.stdin.write(b"next\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        process.stdout.readline()  # a signal takes a moment: until then it goes on writing
        if steps == "two":
            check_folder(target, force=True)
        found = contents(target)
        assert sorted(found) == ["model.py", "parts.json", "parts.py"]
        assert len(set(found.values())) == 1 or found == {**FILES, "model.py": b""}
    process.communicate()
    temporary._SWEPT.clear()
    write_folder(target, FILES, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_that_was_killed_while_the_earlier_one_went_is_swept(tmp_path, monkeypatch):
    """Also where the manifest had gone first; a folder that no export wrote is left alone."""
    folder, old = tmp_path / "out", tmp_path / ".out.splitopt-old"
    monkeypatch.setattr(exported, "exchange", lambda *_: False)
    write_folder(folder, FILES)
    old.mkdir()
    (old / "parts.py").write_text("")
    write_folder(folder, {**FILES, "model.py": b"new"}, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    old.mkdir()
    (old / "mine.txt").write_text("mine")
    check_folder(folder, force=True)
    assert (old / "mine.txt").exists()


def test_an_export_that_stopped_half_way_is_put_back(tmp_path, monkeypatch):
    """Without a call that exchanges, the earlier folder is aside for a moment: it is not lost."""
    folder = tmp_path / "out"
    write_folder(folder, FILES)
    os.rename(folder, tmp_path / ".out.splitopt-old")
    with pytest.raises(InputError, match="is not empty"):
        check_folder(folder, force=False)
    assert contents(folder) == FILES
    monkeypatch.setattr(exported, "exchange", lambda *_: False)
    write_folder(folder, {**FILES, "model.py": b"new"}, force=True)
    assert contents(folder)["model.py"] == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_removal_left_is_removed(tmp_path, monkeypatch):
    """The manifest of the earlier export may be gone already; what no export wrote stays."""
    monkeypatch.setattr(exported, "exchange", lambda *_: False)
    folder, old = tmp_path / "out", tmp_path / ".out.splitopt-old"
    write_folder(folder, FILES)
    old.mkdir()
    (old / "parts.py").write_text("")
    write_folder(folder, {**FILES, "model.py": b"new"}, force=True)
    assert contents(folder)["model.py"] == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    old.mkdir()
    (old / "notes.txt").write_text("mine")
    check_folder(folder, force=True)
    assert contents(old) == {"notes.txt": b"mine"}
