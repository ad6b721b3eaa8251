"""Worker processes under watch: what takes too long or too much is ended, and the rest goes on."""

from __future__ import annotations

import base64
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.fuzz.cases import Case
from benchmarks.fuzz.judge import CPU_S, FAILS, MEMORY_MIB, Verdict

_ROOT = Path(__file__).resolve().parents[2]
_PERIOD_S = 0.05
_STALLED_S = 90.0
"""Seconds of the wall clock after which a case that uses no CPU waits for what never comes."""
_START_S = 300.0


@dataclass
class Worker:
    """A process that runs one case after another, and is started anew after it was ended.

    Parameters
    ----------
    corpus, folder
        The valid documents, and a folder for those of a case.
    setup
        A script that is run in the process first.
    cpu_s, memory_mib
        What a case may take.
    """

    corpus: Path
    folder: Path
    setup: Path | None = None
    cpu_s: float = CPU_S
    memory_mib: float = MEMORY_MIB
    _process: Any = None
    _lines: queue.Queue[str] = field(default_factory=queue.Queue)

    def run(
        self, case: Case, content: bytes | None = None, want_content: bool = False
    ) -> tuple[Verdict, bytes | None]:
        """Run a case and return what came of it, and the spoiled document if it is wanted."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        encoded = None if content is None else base64.b64encode(content).decode()
        job = {"case": case.to_dict(), "content": encoded, "want_content": want_content}
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            return Verdict(None, "the process ended", "before the case", "", 0.0, 0.0), None
        line, why = self._watched()
        if why is not None:
            return Verdict(None, why[0], why[1], " ".join(case.use), 0.0, 0.0), None
        answer = json.loads(line)
        if answer["bad"] == FAILS:
            self.stop()
            raise RuntimeError(f"case {case.number}: {FAILS}: {answer['detail']}")
        found = answer.pop("content", None)
        return Verdict(**answer), None if found is None else base64.b64decode(found)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def _start(self) -> None:
        arguments = [sys.executable, "-m", "benchmarks.fuzz.worker", self.corpus, self.folder]
        if self.setup is not None:
            arguments.append(self.setup)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        known = {**os.environ, **threads, "PYTHONPATH": str(_ROOT), "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            [str(item) for item in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=known, cwd=self.folder,
        )  # fmt: skip
        self._lines = queue.Queue()
        threading.Thread(
            target=_read, args=(self._process.stdout, self._lines), daemon=True
        ).start()
        if self._lines.get(timeout=_START_S) != "ready\n":
            self.stop()
            raise RuntimeError("a worker of the fuzzer does not start")

    def _watched(self) -> tuple[str, tuple[str, str] | None]:
        """Wait for the answer; return why the case had to be ended, if so."""
        process = psutil.Process(self._process.pid)
        begin, wall = _cpu(process), time.monotonic()
        while True:
            try:
                line = self._lines.get(timeout=_PERIOD_S)
            except queue.Empty:
                line = None
            if line == "":
                code = self._process.wait()
                self.stop()
                return "", ("the process ended", f"code {code}")
            if line is not None:
                return line, None
            try:
                used, held = _cpu(process) - begin, process.memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                continue  # its last word is yet to be read
            why = None
            if held > self.memory_mib:
                why = ("memory", f"{held:.0f} MiB, ended")
            elif used > self.cpu_s:
                why = ("time", f"{used:.0f} s of CPU, ended")
            elif time.monotonic() - wall > _STALLED_S + 10 * used:
                why = ("waits for ever", f"{used:.1f} s of CPU in {_STALLED_S:.0f} s, ended")
            if why is not None:
                self.stop()
                return "", why


def _read(stream: Any, lines: queue.Queue[str]) -> None:
    try:
        for line in stream:
            lines.put(line)
    except ValueError:  # closed meanwhile
        pass
    lines.put("")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def run_all(
    workers: list[Worker],
    cases: Iterable[Case],
    tell: Callable[[Case, Verdict, bytes | None], None],
) -> None:
    """Run cases with all workers at once and tell each verdict, in the order in which they come.

    `tell` is called by one thread at a time.
    """
    waiting = iter(cases)
    lock = threading.Lock()

    def work(worker: Worker) -> None:
        while True:
            with lock:
                case = next(waiting, None)
            if case is None:
                return
            verdict, content = worker.run(case, want_content=True)
            with lock:
                tell(case, verdict, content)

    with ThreadPoolExecutor(len(workers)) as pool:
        for done in [pool.submit(work, worker) for worker in workers]:
            done.result()  # which raises what a worker raised
