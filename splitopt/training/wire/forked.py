"""Processes that are forked from one that has loaded PyTorch, as their starter sees them."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import BinaryIO

from splitopt.training.wire.fork_server import MOST_BYTES, Request

_MODULE = "splitopt.training.wire.fork_server"
_CLOSE_S = 5.0
"""For so long the server may take to end."""


class Forked:
    """A process of the fork server, with the methods of `subprocess.Popen` that its starter needs.

    Parameters
    ----------
    report
        Where the server writes the number of the process, and its exit code when it has ended.

    Raises
    ------
    OSError
        The server ended before it forked.
    """

    def __init__(self, report: int) -> None:
        self._report, self._told = report, b""
        self.returncode: int | None = None
        while b"\n" not in self._told:
            if not (more := os.read(report, 64)):
                os.close(report)
                raise OSError("the process that is forked has ended")
            self._told += more
        first, _, self._told = self._told.partition(b"\n")
        self.pid = int(first)

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code (minus the signal that ended it).

        Raises
        ------
        subprocess.TimeoutExpired
            It has not ended within the seconds given.
        """
        deadline_s = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            if not select.select([self._report], [], [], left_s)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            more = os.read(self._report, 64)
            self._told += more
            if self._told.endswith(b"\n"):
                self._end(int(self._told))
            elif not more:  # the server is gone, and the kernel has ended what it forked
                self._end(-signal.SIGKILL)
        return self.returncode

    def _end(self, code: int) -> None:
        self.returncode = code
        os.close(self._report)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that is forked; it is started when the first one is asked for.

    It stays until this process ends, so that the next run starts at once. Forks of this process
    start one of their own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def fork(self, request: Request, errors: BinaryIO) -> Forked:
        """Start a process whose standard error is the given file.

        Raises
        ------
        OSError
            The request is too long for a message, or the server cannot be started.
        """
        message = request.encode()
        if len(message) > MOST_BYTES:
            raise OSError("the environment is too long for a message")
        with self._lock:
            try:
                return self._ask(message, errors)
            except OSError:  # such as one that was killed: once more with another
                self._close()
                return self._ask(message, errors)

    def close(self) -> None:
        """End the server, and with it all that it has forked."""
        with self._lock:
            self._close()

    def _ask(self, message: bytes, errors: BinaryIO) -> Forked:
        asked = self._ensure()
        heard, report = os.pipe()
        try:
            socket.send_fds(asked, [message], [report, errors.fileno()])
        except BaseException:
            os.close(heard)
            raise
        finally:
            os.close(report)
        return Forked(heard)

    def _ensure(self) -> socket.socket:
        """Return the socket of a server that runs and is of this process."""
        if self._owner != os.getpid():
            self._socket = self._process = None  # those of the process that was forked
        if self._process is not None and self._process.poll() is not None:
            self._close()
        if self._socket is None:
            own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with other:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "splitopt.training.wire.fork_server",
                        str(other.fileno()),
                    ],
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                        "OMP_NUM_THREADS": "1",
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[other.fileno()],
                    start_new_session=True,
                )
            self._socket, self._owner = own, os.getpid()
        return self._socket

    def _close(self) -> None:
        if self._owner != os.getpid():
            return
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            try:
                self._process.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._socket = self._process = None


SERVER = ForkServer()
"""The one of this process."""

atexit.register(SERVER.close)


def can_fork() -> bool:
    """Return whether processes are forked here: on Linux, where loaded libraries allow it."""
    return sys.platform == "linux"
