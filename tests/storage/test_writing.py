"""Writing is all or nothing."""

from __future__ import annotations

import errno
import os
import re
import tempfile

import pytest

from splitopt.errors import InputError, WriteError
from splitopt.storage import outputs, writing


def test_write_is_atomic(tmp_path, monkeypatch):
    """A failure while writing leaves the old content and no other file behind."""
    target = tmp_path / "plan.json"
    writing.write_atomic(target, "old")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WriteError, match="No space left"):
        writing.write_atomic(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["plan.json"]


def test_what_cannot_be_replaced_is_written_into(tmp_path):
    """Devices and pipes stay what they are, and a link goes on pointing to its file."""
    target, link, pipe = (tmp_path / name for name in ("real.json", "link.json", "pipe"))
    link.symlink_to(target)
    writing.write_atomic(link, "text")
    assert link.is_symlink()
    assert target.read_text() == "text"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        writing.write_atomic(pipe, "text")
        assert os.read(reader, 9) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_unwritable_paths_are_refused_early(tmp_path):
    """A folder, or a path in a folder that does not exist, cannot be written."""
    with pytest.raises(InputError, match="it is a folder"):
        writing.check_writable(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        writing.check_writable(tmp_path / "no" / "plan.json")


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, WriteError, 1),
        (errno.EDQUOT, WriteError, 1),
        (errno.EIO, WriteError, 1),
        (errno.EFBIG, WriteError, 1),
        (errno.EACCES, InputError, 2),
        (errno.EROFS, InputError, 2),
        (errno.ENAMETOOLONG, InputError, 2),
    ],
)
def test_a_full_disk_is_no_mistake_of_the_users(tmp_path, monkeypatch, number, kind, code):
    """Before any work as well as after it; only what another name would mend is an `InputError`."""

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "mkstemp", fail)
    for write in (writing.check_writable, lambda path: writing.write_atomic(path, "text")):
        with pytest.raises(kind, match=re.escape(os.strerror(number))) as caught:
            write(tmp_path / "x.json")
        assert type(caught.value) is kind
        assert caught.value.exit_code == code


def test_names_that_lead_nowhere(tmp_path):
    """A circle of links stays as it is; too long a name and a file for a folder are refused."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "file").write_text("")
    for name, words in (
        ("a", "symbolic links"),
        ("x" * 300, "too long"),
        ("file/x", "Not a directory"),
        ("null\0byte", "null"),
    ):
        for write in (writing.check_writable, lambda path: writing.write_atomic(path, "text")):
            with pytest.raises(InputError, match=words):
                write(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "file"]


def test_a_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(InputError, match="the working folder is not there any more"):
        writing.check_writable("x.json")
    writing.write_atomic(tmp_path / "x.json", "text")


def test_a_pipe_without_a_reader_is_waited_for_only_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "READER_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WriteError, match=r"nobody has read from for 0.1 s"):
        writing.write_atomic(tmp_path / "pipe", "text")


def test_half_a_character_does_not_lose_the_rest(tmp_path):
    writing.write_atomic(tmp_path / "page.html", "a\ud800b")
    assert (tmp_path / "page.html").read_bytes() == b"a?b"
