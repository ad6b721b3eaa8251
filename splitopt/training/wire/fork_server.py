"""A process that has loaded PyTorch and is forked for each rank of runs on one machine.

Loading PyTorch and what trains with it takes seconds of processor time in each process. So one
process loads them and forks itself, as `multiprocessing.forkserver` does. That one is not used: it
runs the caller's main module again in each process, which fails for a script without a guard.

It is asked over a socket. A message is a JSON object with two open files: one is told how the
process fares (its number, then its exit code), one becomes its standard error. The server ends, and
the kernel ends what it has forked, when the other end of the socket is closed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import warnings
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 1 << 17
"""Of one message, environment included: Linux allows a packet of 208 KiB by default."""
PARENT = "parent"
"""Stands among the arguments for the number of the process that starts the new one."""
_TICK_S = 1.0
"""So often it is seen whether the process that asks still is there."""


@dataclass(frozen=True)
class Request:
    """What a forked process is to be: `python -m module *arguments` in other words."""

    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    path: tuple[str, ...]
    """Where modules are searched for."""
    folder: str
    loaded: tuple[str, ...] = ()
    """Modules to load before the fork, if they can be."""

    def encode(self) -> bytes:
        """Return the message that asks for it."""
        return json.dumps(vars(self)).encode()

    @classmethod
    def decode(cls, message: bytes) -> Request:
        """Read the message that asks for it."""
        found = json.loads(message)
        for name in ("arguments", "path", "loaded"):
            found[name] = tuple(found[name])
        return cls(**found)


def main() -> None:
    """Serve until the asker is gone; in a forked process, run what was asked for."""
    asker = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks
    own = os.getpid()
    request = _serve(asker, os.getppid())
    if request is not None:
        _become(request, own)


def _serve(asker: socket.socket, parent: int) -> Request | None:
    """Fork for each request; return the request in the process that is forked, else None."""
    reports: dict[int, int] = {}
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # it only has to wake up `select`
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    while os.getppid() == parent:
        waited: list[Any] = [asker, woken]
        ready, _, _ = select.select(waited, [], [], _TICK_S)
        if woken in ready:
            os.read(woken, 4096)
        _report_ended(reports)
        if asker not in ready:
            continue
        message, files, _, _ = socket.recv_fds(asker, MOST_BYTES, 2)
        if not message:
            return None
        request = Request.decode(message)
        _load(request)
        report, errors = files
        if (pid := _fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asker.close()
            for file in (woken, waker, report, *reports.values()):
                os.close(file)
            _take_streams(errors)
            return request
        os.close(errors)
        reports[pid] = report
        _send(report, pid)
    return None


def _fork() -> int:
    """Fork; nothing runs here beside the main thread but what handles forks itself.

    Python 3.12 warns of every other thread, such as that of the allocator which pyarrow brings.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _report_ended(reports: dict[int, int]) -> None:
    """Report how processes have ended to who waits for them."""
    for pid in list(reports):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            report = reports.pop(pid)
            _send(report, os.waitstatus_to_exitcode(status))
            os.close(report)


def _send(report: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(report, b"%d\n" % number)


def _load(request: Request) -> None:
    """Load modules; one that cannot be is left to the process, which says why by itself."""
    sys.path[:] = request.path
    wanted = [name for name in request.loaded if name not in sys.modules]
    for name in wanted:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if wanted:
        gc.collect()
        gc.freeze()  # a collection in a forked process would write to each page that they share


def _take_streams(errors: int) -> None:
    """Have nothing on standard input and output, and the given file for errors."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(errors, 2)
    os.close(nothing)
    os.close(errors)


def _become(request: Request, parent: int) -> Any:
    """Run a module as the main one, in a session of its own."""
    os.setsid()
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    importlib.invalidate_caches()  # folders of the path may hold more than they did
    given = (str(parent) if one == PARENT else one for one in request.arguments)
    sys.argv = [request.module, *given]
    return runpy.run_module(request.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
