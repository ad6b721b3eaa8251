"""Running one job in its own process and watching its time and memory from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitopt.bench.rows import Status
from splitopt.bench.running.machine import MIB
from splitopt.storage.temporary import temporary_folder

TICK_S = 0.02
_CHILDREN_EVERY = 10
_MAX_OUTPUT_BYTES = 64 * 2**20
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "PJRT_NPROC",
    "NPROC",
)


@dataclass(frozen=True)
class Limits:
    """What a run may take before it is stopped from outside.

    Parameters
    ----------
    grace_s
        Beyond the time limit that the solver is told, for the end of its last step.
    startup_s
        For starting Python, loading the instance and the warm-up.
    memory_mib
        Resident memory of the process and its children.
    """

    grace_s: float = 5.0
    startup_s: float = 120.0
    memory_mib: float = 4096.0


@dataclass(frozen=True)
class RawRun:
    """What came back from a run, unchecked. ``status`` is ``"ok"`` if there is a result."""

    status: Status
    message: str | None
    wall_s: float
    warmup_s: float | None
    peak_memory_mib: float | None
    result: Mapping[str, Any] | None


@dataclass
class Supervisor:
    """Runs jobs, any number at once, and can stop them all."""

    limits: Limits = field(default_factory=Limits)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _live: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, job: Mapping[str, Any]) -> RawRun | None:
        """Run a job; None if it was stopped by `stop`."""
        with temporary_folder() as folder:
            out, err = folder / "out", folder / "err"
            with out.open("wb") as stdout, err.open("wb") as stderr:
                begin = time.perf_counter()
                with self._lock:
                    if self._stopped.is_set():
                        return None
                    process = _start(job, stdout.fileno(), stderr.fileno())
                    self._live.add(process.pid)
            try:
                assert process.stdin is not None
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(dict(job)).encode() + b"\n")
                    process.stdin.flush()
                watch = _Watch(process, out, err, self.limits, float(job["time_limit_s"]))
                stopped_for = watch.wait()
            finally:
                _kill(process)
                with self._lock:
                    self._live.discard(process.pid)
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()  # type: ignore[union-attr]
            if self._stopped.is_set():
                return None
            wall = time.perf_counter() - begin
            return _read_run(process.returncode, _events(out), _tail(err), stopped_for, watch, wall)

    def stop(self) -> None:
        """Kill all that run and start no more."""
        with self._lock:
            self._stopped.set()
            for pid in self._live:
                _kill_group(pid)


def supervise(job: Mapping[str, Any]) -> RawRun | None:
    """Run one job under the limits that it names: for engines with processes of their own."""
    return Supervisor(Limits(**job["limits"]))(job)


def thread_environment(threads: int) -> dict[str, str]:
    """Environment in which numerical libraries use this many threads."""
    environment = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        environment["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return environment


def _start(job: Mapping[str, Any], stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "splitopt.bench.running.worker"],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **thread_environment(job["threads"]), "PYTHONHASHSEED": "0"},
        start_new_session=True,
    )


class _Watch:
    """The watch over one process: waits for its end or for a limit."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        out: Path,
        err: Path,
        limits: Limits,
        time_limit_s: float,
    ):
        import psutil  # type: ignore[import-untyped]

        self._process, self._out, self._err = process, out, err
        self._limits, self._time_limit_s = limits, time_limit_s
        self._errors = psutil.Error
        self._family: list[Any] = []
        with contextlib.suppress(psutil.Error):
            self._family = [psutil.Process(process.pid)]
        self.peak_mib = 0.0

    def wait(self) -> tuple[Status, str] | None:
        """Wait; return the status and message of the limit that was broken, None if none was."""
        begin = time.perf_counter()
        ready_at: float | None = None
        ticks = 0
        while True:
            try:
                self._process.wait(TICK_S)
                return None
            except subprocess.TimeoutExpired:
                ticks += 1
            now = time.perf_counter()
            if ready_at is None and self._out.stat().st_size > 0:
                ready_at = now
            broken = self._check_memory(ticks) or self._check_time(now - begin, ready_at, now)
            if broken is None and ticks % _CHILDREN_EVERY == 0:
                broken = self._check_output()
            if broken is not None:
                return broken

    def _check_time(
        self, elapsed: float, ready_at: float | None, now: float
    ) -> tuple[Status, str] | None:
        limits = self._limits
        if ready_at is None:
            if elapsed <= limits.startup_s:
                return None
            return "timeout", f"was not ready after {limits.startup_s:g} s and was stopped"
        allowed = self._time_limit_s + limits.grace_s
        if now - ready_at <= allowed:
            return None
        return "timeout", (
            f"did not stop by itself: still running {limits.grace_s:g} s after its time limit of "
            f"{self._time_limit_s:g} s"
        )

    def _check_memory(self, ticks: int) -> tuple[Status, str] | None:
        used = 0
        if ticks % _CHILDREN_EVERY == 0 and self._family:
            with contextlib.suppress(self._errors):
                parent = self._family[0]
                self._family = [parent, *parent.children(recursive=True)]
        for member in self._family:
            with contextlib.suppress(self._errors):
                used += member.memory_info().rss
        self.peak_mib = max(self.peak_mib, used / MIB)
        if used / MIB <= self._limits.memory_mib:
            return None
        return "memory", (
            f"used {used / MIB:,.0f} MiB of memory, more than its limit of "
            f"{self._limits.memory_mib:,.0f} MiB"
        )

    def _check_output(self) -> tuple[Status, str] | None:
        if self._err.stat().st_size <= _MAX_OUTPUT_BYTES:
            return None
        return "crashed", f"printed more than {_MAX_OUTPUT_BYTES / MIB:.0f} MiB and was stopped"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started, whether it has ended by itself or not."""
    import psutil

    started: list[Any] = []
    with contextlib.suppress(psutil.Error):
        started = psutil.Process(process.pid).children(recursive=True)
    _kill_group(process.pid)
    for child in started:
        with contextlib.suppress(psutil.Error):
            child.kill()
    if process.poll() is None:
        process.kill()
        process.wait()


def _kill_group(pid: int) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    else:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)  # on Windows this ends the process


def _events(out: Path) -> dict[str, dict[str, Any]]:
    """Read the complete events of a run by their names."""
    lines = out.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            event = json.loads(line)
            found[event["event"]] = event
        except (ValueError, TypeError, KeyError):
            found["failed"] = {"message": "wrote something else than events to its output"}
    return found


def _tail(err: Path, most: int = 4096) -> str:
    """Return the last line that was printed."""
    with err.open("rb") as stream:
        stream.seek(max(0, err.stat().st_size - most))
        lines = stream.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else ""


def _read_run(
    returncode: int,
    events: Mapping[str, Mapping[str, Any]],
    tail: str,
    stopped_for: tuple[Status, str] | None,
    watch: _Watch,
    wall_s: float,
) -> RawRun:
    """Read how a run went from what it left behind."""
    status: Status = "crashed"
    message: str | None
    result = None
    peaks = [watch.peak_mib]
    delivered = "result" in events and (stopped_for is None or stopped_for[0] == "timeout")
    if delivered:  # what hangs only while it ends has answered all the same
        status, message = "ok", None
        result = events["result"]["result"]
        peaks.append(events["result"]["peak_memory_mib"] or 0.0)
    elif stopped_for is not None:
        status, message = stopped_for
    elif "skipped" in events:
        status, message = "skipped", events["skipped"]["message"]
    elif "failed" in events:
        message = events["failed"]["message"]
    else:
        message = f"ended with {_describe(returncode)} and without a result"
        message += f"; its last line was: {tail}" if tail else ""
    warmup = events.get("ready", {}).get("warmup_s")
    return RawRun(status, message, wall_s, warmup, max(peaks) or None, result)


def _describe(returncode: int) -> str:
    """Name an exit code, or the signal that ended the process."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
