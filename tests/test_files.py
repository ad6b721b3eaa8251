"""Reading refuses what is not what it claims to be; writing is all or nothing."""

from __future__ import annotations

import errno
import os
import re
import tempfile

import pytest

from splitopt import files, outputs
from splitopt.errors import InputError, WriteError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "beyond all floating-point numbers"),
        ('{"a": 1' + "0" * 400 + "}", "beyond all floating-point numbers"),
        ('{"a": -1' + "0" * 309 + "}", "beyond all floating-point numbers"),
        ('{"a": [1e999]}', "1e999' is beyond"),
        ('{"a": -1e309}', "-1e309' is beyond"),
    ],
)
def test_json_is_strict(text, words):
    """Broken, ambiguous or unbounded JSON is refused in one sentence."""
    with pytest.raises(InputError, match=words):
        files.parse_json(text, "file.json")


def test_json_reads_all_numbers_that_floats_reach():
    """Whole numbers stay exact, up to the largest float."""
    text = f"[{10**308}, 1e308, 2.5, -{2**70}, 1e-999]"
    assert files.parse_json(text, "file.json") == [10**308, 1e308, 2.5, -(2**70), 0.0]


def test_a_repeated_key_is_found_quickly():
    """The message does not compare every key with every other."""
    keys = ", ".join(f'"{index}": 1' for index in [*range(20_000), 19_999])
    with pytest.raises(InputError, match="19999' stands twice"):
        files.parse_json(f"{{{keys}}}", "file.json")


def test_missing_and_unreadable_files(tmp_path):
    """A path that cannot be read says why."""
    with pytest.raises(InputError, match="no such file"):
        files.read_text(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a folder"):
        files.read_text(tmp_path)
    (tmp_path / "binary").write_bytes(b"a\nb\xff")
    with pytest.raises(InputError, match=r"not UTF-8 text \(byte 0xff in line 2\)"):
        files.read_text(tmp_path / "binary")


def test_write_is_atomic(tmp_path, monkeypatch):
    """A failure while writing leaves the old content and no other file behind."""
    target = tmp_path / "plan.json"
    files.write_atomic(target, "old")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WriteError, match="No space left"):
        files.write_atomic(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["plan.json"]


def test_what_cannot_be_replaced_is_written_into(tmp_path):
    """Devices and pipes stay what they are, and a link goes on pointing to its file."""
    target, link, pipe = (tmp_path / name for name in ("real.json", "link.json", "pipe"))
    link.symlink_to(target)
    files.write_atomic(link, "text")
    assert link.is_symlink()
    assert target.read_text() == "text"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.write_atomic(pipe, "text")
        assert os.read(reader, 9) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_unwritable_paths_are_refused_early(tmp_path):
    """A folder, or a path in a folder that does not exist, cannot be written."""
    with pytest.raises(InputError, match="it is a folder"):
        files.check_writable(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        files.check_writable(tmp_path / "no" / "plan.json")


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
    for write in (files.check_writable, lambda path: files.write_atomic(path, "text")):
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
        for write in (files.check_writable, lambda path: files.write_atomic(path, "text")):
            with pytest.raises(InputError, match=words):
                write(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "file"]


def test_a_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(InputError, match="the working folder is not there any more"):
        files.check_writable("x.json")
    files.write_atomic(tmp_path / "x.json", "text")


def test_a_pipe_without_a_reader_is_waited_for_only_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "READER_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WriteError, match=r"nobody has read from for 0.1 s"):
        files.write_atomic(tmp_path / "pipe", "text")


def test_half_a_character_does_not_lose_the_rest(tmp_path):
    files.write_atomic(tmp_path / "page.html", "a\ud800b")
    assert (tmp_path / "page.html").read_bytes() == b"a?b"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "must be an object"),
        ({"format": "other", "version": 1}, "format is 'other'"),
        ({"format": "mine", "version": 2}, "version is 2"),
        ({"format": "mine", "version": True}, "version is True"),
        ({"format": "mine"}, "version is None"),
    ],
)
def test_format_and_version_are_checked(document, words):
    """A document of another format or version is refused."""
    with pytest.raises(InputError, match=words):
        files.expect_format(document, "file", "mine", 1)
