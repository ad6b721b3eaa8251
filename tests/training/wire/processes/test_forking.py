"""Processes that are forked from one that has loaded modules: what they have, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from splitopt.training.wire.fork_server import MOST_BYTES, PARENT, Request
from splitopt.training.wire.forked import Forked, ForkServer, can_fork
from splitopt.training.wire.processes import Processes
from splitopt.training.wire.transport.tokens import Token

pytestmark = pytest.mark.skipif(not can_fork(), reason="processes are not forked here")

WHO = """
import json, os, signal, sys, time
from pathlib import Path
from splitopt.training.wire.processes import die_with
die_with(os.getppid())
place, *words = sys.argv[1:]
if "sleep" in words:
    Path(place).write_text(str(os.getpid()))
    time.sleep(600)
status = Path("/proc/self/status").read_text()
facts = {
    "words": words, "name": __name__, "folder": os.getcwd(), "told": os.environ.get("TOLD"),
    "loaded": "colorsys" in sys.modules, "parent": os.getppid(), "session": os.getsid(0),
    "pid": os.getpid(), "threads": int(status.split("Threads:")[1].split()[0]),
    "child": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
}
Path(place).write_text(json.dumps(facts))
print("nothing reads this")
print("last words", file=sys.stderr)
sys.exit(7)
"""


@pytest.fixture(scope="module")
def server():
    found = ForkServer()
    yield found
    found.close()


@pytest.fixture
def ask(server, tmp_path):
    """Fork a process that runs the program above."""
    (tmp_path / "who_it_is.py").write_text(WHO)

    def start(*words: str, loaded: tuple[str, ...] = (), module: str = "who_it_is") -> Forked:
        request = Request(
            module,
            (str(tmp_path / "facts"), *words),
            {**os.environ, "TOLD": "by its starter"},
            (str(tmp_path), *(path for path in sys.path if path)),
            str(tmp_path),
            loaded,
        )
        with (tmp_path / "errors").open("wb") as errors:
            return server.fork(request, errors)

    return start


def until(there) -> None:
    """Wait for what surely comes."""
    end = time.monotonic() + 120
    while not there() and time.monotonic() < end:
        time.sleep(0.01)


def test_it_is_what_was_asked_for(ask, tmp_path):
    process = ask(PARENT, "two words", loaded=("colorsys", "no_such_module"))
    assert process.wait(120) == process.poll() == process.returncode == 7
    facts = json.loads((tmp_path / "facts").read_text())
    assert facts.pop("words") == [str(facts.pop("parent")), "two words"]
    assert facts == {
        "name": "__main__",
        "folder": str(tmp_path),
        "told": "by its starter",
        "loaded": True,
        "session": process.pid,
        "pid": process.pid,
        "threads": 1,
        "child": True,
    }
    assert (tmp_path / "errors").read_text() == "last words\n"


def test_errors_of_the_program_are_its_own(ask, server, tmp_path):
    """A program that is not there ends its process, not the server."""
    lost = ask(module="not_there_at_all")
    assert lost.wait(120) == 1
    assert "No module named not_there_at_all" in (tmp_path / "errors").read_text()
    parent = server._process.pid
    assert ask().wait(120) == 7
    assert json.loads((tmp_path / "facts").read_text())["parent"] == parent


def test_signals_and_limits_of_time(ask, tmp_path):
    process = ask("sleep")
    until((tmp_path / "facts").exists)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(signal.SIGSTOP)
    assert process.poll() is None
    process.kill()  # ends one that is stopped, too
    assert process.wait(120) == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)  # nobody is there, and nothing is done


def test_a_server_that_was_killed_takes_its_processes_along_and_is_started_again(
    ask, server, tmp_path
):
    process = ask("sleep")
    until((tmp_path / "facts").exists)
    os.kill(server._process.pid, signal.SIGKILL)
    assert process.wait(120) == -signal.SIGKILL
    until(lambda: not _runs(process.pid))
    assert not _runs(process.pid)
    assert ask().wait(120) == 7


def test_nothing_is_left_of_a_starter_that_was_killed(tmp_path):
    """Neither the server nor what it forked outlives the one that asked."""
    (tmp_path / "who_it_is.py").write_text(WHO)
    place = tmp_path / "facts"
    program = f"""
        import os, signal, sys, time
        from pathlib import Path
        from splitopt.training.wire.fork_server import Request
        from splitopt.training.wire.forked import SERVER
        path = ({str(tmp_path)!r}, *(one for one in sys.path if one))
        request = Request("who_it_is", ({str(place)!r}, "sleep"), dict(os.environ), path, "/")
        with open({str(tmp_path / "errors")!r}, "wb") as errors:
            process = SERVER.fork(request, errors)
        while not Path({str(place)!r}).exists():
            time.sleep(.01)
        Path({str(tmp_path / "server")!r}).write_text(str(SERVER._process.pid))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    pids = [int((tmp_path / name).read_text()) for name in ("facts", "server")]
    until(lambda: not any(map(_runs, pids)))
    assert not any(map(_runs, pids))


@pytest.mark.slow
def test_where_no_process_can_be_forked_one_is_started(tmp_path, monkeypatch):
    """An environment that is too long for a message: by another way to the same last words."""
    monkeypatch.setenv("MUCH", "m" * (MOST_BYTES - 100))
    with Processes(tmp_path / "job.json", ["far"], 1, Token.new(), 5.0) as group:
        assert isinstance(group.started[0], subprocess.Popen)
        assert group.started[0].wait(120) == 2
        assert "no such file" in group.last_words(1)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
