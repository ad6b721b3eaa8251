"""The other processes of a run on one machine: started together, gone with the one that leads.

On Linux they are forked from one that has loaded PyTorch already, see `forked`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from splitopt.errors import SplitoptError
from splitopt.training.wire.fork_server import PARENT, Request
from splitopt.training.wire.forked import SERVER, Forked, can_fork
from splitopt.training.wire.transport.namespaces import Namespaces
from splitopt.training.wire.transport.tokens import TOKEN_VARIABLE, Token

GRACE_S = 5.0
"""For so long processes may take to end by themselves."""
LOADED = (
    "splitopt.training.preparing.prepare",
    "splitopt.training.wire.launch",
    "torch._dynamo",  # by the first step of an optimizer
    "pint",
)
"""What each rank of a training loads."""
_ALSO_LOADED = ("sklearn.datasets",)
"""Loaded before ranks are forked where the one that leads has loaded it: for its data."""
_PR_SET_PDEATHSIG = 1


class ProcessError(SplitoptError):
    """A process ended before the run began."""


class Processes:
    """One process for each rank from 1 on, in sessions of their own.

    Ctrl-C at the terminal reaches the one that leads only, which then ends the others. They end
    by themselves when it is gone: their connections break and, on Linux, the kernel ends them.

    Parameters
    ----------
    job
        File of the job.
    names
        Of the ranks.
    port
        Where rank 0 listens, on the loopback interface or in the namespace of rank 0.
    token
        That all share; it is in the environment, which only this user can read.
    join_s
        For how long they try to join.
    places
        Namespaces of all ranks, 0 included; the loopback interface for all of them if None.
    module
        What each of them runs, with the job, its rank, the port, `join_s` and the number of its
        parent as arguments.
    loaded
        What it loads, so that it can be loaded once for all.
    """

    def __init__(
        self,
        job: Path,
        names: Sequence[str],
        port: int,
        token: Token,
        join_s: float,
        places: Namespaces | None = None,
        module: str = "splitopt.training.wire",
        loaded: Sequence[str] = LOADED,
    ) -> None:
        self.names, self._logs = tuple(names), []
        self.started: list[subprocess.Popen[bytes] | Forked] = []
        own = (str(job), str(port), str(join_s))
        try:
            for rank in range(1, len(names) + 1):
                log = job.parent / f"rank-{rank}.log"
                self._logs.append(log)
                request = Request(
                    module,
                    (own[0], str(rank), *own[1:], PARENT, *_place(places, rank)),
                    {**os.environ, TOKEN_VARIABLE: token.secret, "OMP_NUM_THREADS": "1"},
                    tuple(path for path in sys.path if path),
                    os.getcwd(),
                    (*loaded, *(one for one in _ALSO_LOADED if one in sys.modules)),
                )
                with log.open("wb") as stream:
                    self.started.append(_start(request, stream))
        except BaseException:
            self.kill()
            raise

    def check(self) -> None:
        """Check that all still run.

        Raises
        ------
        ProcessError
            One has ended; the message has its last words.
        """
        for rank, process in enumerate(self.started, start=1):
            if process.poll() is not None:
                raise ProcessError(
                    f"the process of {self.names[rank - 1]} (rank {rank}) ended with code "
                    f"{process.returncode} before the run began: {self.last_words(rank)}"
                )

    def last_words(self, rank: int) -> str:
        """Return the last line that a process has written to its standard error."""
        lines = self._logs[rank - 1].read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("splitopt: error: ") if lines else "it said nothing"

    def exit_reports(self) -> list[str]:
        """Report of each process that has ended with an error how it ended."""
        return [
            f"the process of {self.names[rank - 1]} (rank {rank}) ended with code "
            f"{process.returncode}: {self.last_words(rank)}"
            for rank, process in enumerate(self.started, start=1)
            if process.poll() not in (None, 0)
        ]

    def wait(self, timeout_s: float = GRACE_S) -> None:
        """Wait for them to end by themselves."""
        deadline_s = time.monotonic() + timeout_s
        for process in self.started:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:  # such as one that is stopped
                continue

    def kill(self) -> None:
        """End those that are left, stopped ones included."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
        for process in self.started:
            process.wait()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.wait()
        self.kill()


def _start(request: Request, errors: BinaryIO) -> subprocess.Popen[bytes] | Forked:
    """Start a process, forked where that can be done."""
    if can_fork():
        with suppress(OSError):
            return SERVER.fork(request, errors)
    parent = str(os.getpid())
    given = (parent if one == PARENT else one for one in request.arguments)
    return subprocess.Popen(
        [sys.executable, "-m", request.module, *given],
        env={**request.environment, "PYTHONPATH": os.pathsep.join(request.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )


def _place(places: Namespaces | None, rank: int) -> tuple[str, ...]:
    """Return where rank 0 is, and address and namespace of a rank, for its command line."""
    if places is None:
        return ()
    return places.address(0), places.address(rank), str(places.path(rank))


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent is gone, where the kernel can."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)
