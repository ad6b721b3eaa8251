"""Whatever a path leads to ends as text, as bytes, or as one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from splitopt.documents import reading
from splitopt.errors import InputError


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_is_read_with_and_without_a_byte_order_mark(tmp_path, mark):
    """The mark is no part of the text, and line ends of all systems are newlines."""
    (tmp_path / "f").write_bytes(mark + "größe\r\nb\rc\n".encode())
    assert reading.read_text(tmp_path / "f") == "größe\nb\nc\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("a,b\n".encode("utf-32"), "is UTF-32 text; save it as UTF-8"),
        ("a,b\n".encode("utf-16-be"), "a NUL character in line 1"),
        ("a\nü".encode("latin-1"), "byte 0xfc in line 2"),
        (b"a\n\n\0", "a NUL character in line 3"),
    ],
)
def test_other_encodings_are_named(tmp_path, content, words):
    """What is not UTF-8 says what it is, or where it stops being text."""
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(InputError, match=words):
        reading.read_text(tmp_path / "f")


def test_a_large_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """A file with a size is asked for it; nothing of it is read."""
    with open(tmp_path / "f", "wb") as stream:
        stream.truncate(2**40)
    monkeypatch.setattr(os, "read", None)
    with pytest.raises(InputError, match="is larger than 256 MiB"):
        reading.read_text(tmp_path / "f")


def test_what_is_at_the_limit_is_read(tmp_path):
    """The limit is the largest size that is read."""
    (tmp_path / "f").write_bytes(b"12345")
    assert reading.read_bytes(tmp_path / "f", 5) == b"12345"
    with pytest.raises(InputError, match="is larger than 4 bytes"):
        reading.read_bytes(tmp_path / "f", 4)


def test_an_endless_device_ends_at_the_limit():
    """A device without a size is read up to the limit."""
    with pytest.raises(InputError, match="/dev/zero: is larger than 3 MiB"):
        reading.read_bytes("/dev/zero", 3 * 2**20)


def test_special_paths_are_one_sentence(tmp_path, monkeypatch):
    """Loops, folders, NUL characters and names that are too long say why they cannot be read."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, words in (
        (loop, "symbolic links"),
        (tmp_path, "is a folder"),
        ("a\0b", "NUL character"),
        ("x" * 5000, "name too long"),
        (tmp_path / "none" / "f", "no such file"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            reading.read_bytes(path)
        assert len(str(caught.value)) <= 1000
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InputError, match="f: there is no such file"):
        reading.read_bytes("f")


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path, monkeypatch):
    """After some patience the pipe is refused."""
    monkeypatch.setattr(reading, "PATIENCE_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe into which nothing writes"):
        reading.read_text(tmp_path / "pipe")


def test_a_pipe_is_read_to_its_end(tmp_path):
    """A writer that comes later, and writes in parts, is waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = (
        "import sys, time; time.sleep(0.1); f = open(sys.argv[1], 'w'); time.sleep(0.1)\n"
        "f.write('a' * 100000); f.flush(); time.sleep(0.1); f.write('end')"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(pipe)]):
        text = reading.read_text(pipe)
    assert text == "a" * 100_000 + "end"


def test_a_slow_writer_is_waited_for_beyond_the_patience(tmp_path, monkeypatch):
    """Patience is for a writer to come, not for what it has to say."""
    monkeypatch.setattr(reading, "PATIENCE_S", 0.2)
    near, far = os.pipe()

    def write():
        with os.fdopen(far, "wb") as stream:
            event.wait()
            stream.write(b"late")

    event = threading.Event()
    threading.Timer(0.5, event.set).start()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert reading.read_bytes(f"/dev/fd/{near}") == b"late"
    finally:
        writer.join()
        os.close(near)


def test_a_file_of_nearly_that_name_is_proposed(tmp_path, monkeypatch):
    """Of another suffix, or with a letter wrong; not any file that is there."""
    monkeypatch.chdir(tmp_path)
    for name in ("fleet.yaml", "plans.json", "zzz"):
        (tmp_path / name).write_text("x")
    for given, near in (("fleet.yml", "fleet.yaml"), ("plan.json", "plans.json")):
        with pytest.raises(
            InputError, match=f"{given}: there is no such file; did you mean '{near}'"
        ):
            reading.read_text(given)
    with pytest.raises(InputError, match=r"other\.csv: there is no such file$"):
        reading.read_text("other.csv")
    with pytest.raises(InputError, match=r"no such file$"):
        reading.read_text("none/fleet.yml")
