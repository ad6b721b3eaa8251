"""What a killed process leaves is removed by the next one; what a living one has is not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from splitopt.storage import temporary
from splitopt.storage.temporary import sweep, temporary_file, temporary_folder

BOTH = """
import sys
from pathlib import Path
from splitopt.storage.temporary import temporary_file, temporary_folder
place = Path(sys.argv[1])
with temporary_file(place) as file, temporary_folder(place) as folder:
    (folder / "content").write_text("text")
    print("made", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _as_a_new_process(monkeypatch):
    monkeypatch.setattr(temporary, "_SWEPT", set())


def holder(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", BOTH, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"made\n"
    return process


def test_only_what_belongs_to_nobody_is_swept(tmp_path, monkeypatch):
    """Of a living and a killed process, and of names that are somebody else's."""
    others = {".splitopt-notes", ".splitopt-abcdefgh", "splitopt-abcdefgh.tmp.txt", "result.tmp"}
    for name in others:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".splitopt-abcd0123.tmp").symlink_to(tmp_path / "result.tmp")
    others.add(".splitopt-abcd0123.tmp")  # a link is none of ours
    living, killed = holder(tmp_path), holder(tmp_path)
    try:
        assert len(os.listdir(tmp_path)) == len(others) + 4
        killed.kill()
        killed.communicate()
        sweep(tmp_path)
        left = set(os.listdir(tmp_path)) - others
        assert len(left) == 2
        assert any((tmp_path / name / "content").exists() for name in left)
        temporary._SWEPT.clear()
        sweep(tmp_path)
        assert set(os.listdir(tmp_path)) - others == left
    finally:
        living.communicate(b"")
    assert set(os.listdir(tmp_path)) == others


def test_a_writer_meets_what_was_left(tmp_path):
    """Writing any file beside it, or making any folder, is enough."""
    for use in (temporary_file, temporary_folder):
        killed = holder(tmp_path)
        killed.kill()
        killed.communicate()
        temporary._SWEPT.clear()
        assert len(os.listdir(tmp_path)) == 2
        with use(tmp_path):
            assert len(os.listdir(tmp_path)) == 1
        assert os.listdir(tmp_path) == []


def test_a_sweeper_that_is_faster_than_the_lock_does_no_harm(tmp_path, monkeypatch):
    """The file was taken for an orphan before its maker could lock it: there is another one."""
    lock, taken = temporary.try_lock, []

    def late(handle):
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()
        return lock(handle)

    monkeypatch.setattr(temporary, "try_lock", late)
    with temporary_file(tmp_path) as made:
        made.stream.write(b"text")
        made.become(tmp_path / "target", 0o600)
    assert len(taken) == 1
    assert os.listdir(tmp_path) == ["target"]
    assert (tmp_path / "target").read_bytes() == b"text"


def test_another_users_things_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / ".splitopt-abcd0123.tmp").write_text("of user 4")
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1)
    sweep(tmp_path)
    assert os.listdir(tmp_path) == [".splitopt-abcd0123.tmp"]
