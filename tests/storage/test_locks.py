"""A folder is one caller's at a time, and nobody's once that caller's process is gone."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from splitopt.errors import InputError, InUseError
from splitopt.storage import locks
from splitopt.storage.locks import NAME, Lock, LockWarning

HOLD = (
    "import sys; from splitopt.storage.locks import Lock; "
    "Lock(sys.argv[1]); print('held', flush=True); "
)


def holder(folder, then="sys.stdin.read()"):
    """Start a process that takes the lock of a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.replace("Lock(sys", "own = Lock(sys") + then, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_another_process_is_refused_by_name_until_the_first_is_killed(tmp_path):
    process = holder(tmp_path)
    try:
        with pytest.raises(InUseError) as caught:
            Lock(tmp_path)
        assert re.fullmatch(
            rf"{re.escape(str(tmp_path))}: is in use by process {process.pid} on "
            rf"{re.escape(socket.gethostname())} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC; "
            r"wait for its end, or name another place",
            str(caught.value),
        )
        assert caught.value.exit_code == 1
        assert not isinstance(caught.value, InputError)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert (tmp_path / NAME).exists()  # it could not tidy up
    with Lock(tmp_path) as lock:
        assert lock.is_held
    assert os.listdir(tmp_path) == []


def test_a_second_caller_in_one_process_is_refused(tmp_path):
    first = Lock(tmp_path)
    with pytest.raises(InUseError, match=f"process {os.getpid()} on"):
        Lock(tmp_path)
    first.release()
    first.release()
    with Lock(tmp_path):
        pass


def test_a_file_is_locked_beside_it_and_need_not_be_there(tmp_path):
    with Lock(tmp_path / "rows.jsonl"), Lock(tmp_path / "other.jsonl"):
        with pytest.raises(InUseError, match=r"rows.jsonl: is in use"):
            Lock(tmp_path / "rows.jsonl")
        assert sorted(os.listdir(tmp_path)) == [".other.jsonl.lock", ".rows.jsonl.lock"]
    assert os.listdir(tmp_path) == []


def test_a_child_does_not_keep_the_lock_beyond_its_parent(tmp_path):
    """A fork that outlives the one who held the lock holds nothing, and removes nothing."""
    then = """
import os, time
if not (child := os.fork()):
    own.release()
    time.sleep(60)
print(child, flush=True)
sys.stdin.read()
"""
    process = holder(tmp_path, then)
    child = int(process.stdout.readline())
    try:
        with pytest.raises(InUseError):
            Lock(tmp_path)
        process.kill()
        process.wait()
        until = time.monotonic() + 20  # of 60: the fork may not have run at all so far
        while True:
            try:
                Lock(tmp_path).release()
            except InUseError:
                assert time.monotonic() < until
                time.sleep(0.01)
            else:
                break
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_a_lock_that_is_gone_under_its_holder_is_made_anew(tmp_path):
    """Whoever waits with the old file in hand takes no lock that others do not see."""
    first = Lock(tmp_path)
    (tmp_path / NAME).unlink()
    second = Lock(tmp_path)
    first.release()
    assert (tmp_path / NAME).exists()
    with pytest.raises(InUseError):
        Lock(tmp_path)
    second.release()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        Lock(tmp_path)
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_file_system_without_locks_says_so(tmp_path, monkeypatch):
    def none(handle):
        raise locks.NoLocksError

    monkeypatch.setattr(locks, "try_lock", none)
    with pytest.warns(LockWarning, match="has no locks, so see that no other run writes there"):
        lock = Lock(tmp_path)
    assert not lock.is_held
    lock.release()
    assert os.listdir(tmp_path) == []
