"""Running one case in this process, and saying what is wrong with what came."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from benchmarks.fuzz.calls import CALLS
from benchmarks.fuzz.cases import Case
from benchmarks.fuzz.mutate.trees import MARK
from benchmarks.fuzz.mutate.values import CANARY
from benchmarks.fuzz.targets import ARGUMENTS, CALL, FILE, OUT
from splitopt.errors import MOST_OF_A_MESSAGE, SplitoptError

MEMORY_MIB = 2048
CPU_S = 20.0
FAILS = "the fuzzer itself fails"
_SAY = "splitopt: error: "
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves the cursor of a terminal, or turns text around."""
_PAGES = (".html", ".svg")
_SHOWN = 300


@dataclass(frozen=True)
class Verdict:
    """What came of a case.

    Parameters
    ----------
    code
        The exit code; of a call 0, or that of its error.
    bad
        What is wrong, the same for cases of one kind; None if nothing is.
    detail
        The message or the end of a traceback.
    command
        What was run.
    cpu_s, memory_mib
        What it took; the memory is the most that was resident.
    """

    code: int | None
    bad: str | None
    detail: str
    command: str
    cpu_s: float = 0.0
    memory_mib: float = 0.0


def command_of(case: Case, file: Path, folder: Path) -> tuple[str, ...]:
    """Return the arguments with the spoiled file in its place."""
    inside = str(file.relative_to(folder))
    if case.use == (ARGUMENTS,):
        try:
            given = json.loads(file.read_bytes())
        except ValueError:
            given = []
        return tuple(str(text).removeprefix(MARK) for text in given)
    return tuple(inside if text == FILE else text for text in case.use)


def judge(case: Case, file: Path, folder: Path) -> Verdict:
    """Run a case whose files lie in a folder, and look at everything that it did."""
    command = command_of(case, file, folder)
    before = _contents(folder)
    (folder / "tmp").mkdir()
    _forget_peak()
    started = time.process_time()
    printed, said = io.StringIO(), io.StringIO()
    trouble: BaseException | None = None
    code: int | None = None
    with _inside(folder), redirect_stdout(printed), redirect_stderr(said):
        try:
            code = _run(command, file)
        except BaseException as error:  # whatever it is: that is what is looked for
            trouble = error
    cpu_s = time.process_time() - started
    memory = peak_mib()
    bad, detail = _wrong(trouble, code, printed.getvalue(), said.getvalue())
    bad = bad or _wrong_files(folder, before, command, code)
    if bad is None and memory > MEMORY_MIB:
        bad, detail = "memory", f"{memory:.0f} MiB"
    if bad is None and cpu_s > CPU_S:
        bad, detail = "time", f"{cpu_s:.1f} s of CPU"
    return Verdict(code, bad, detail[-2000:], " ".join(command), cpu_s, memory)


def _run(command: tuple[str, ...], file: Path) -> int:
    if command and command[0] == CALL:
        try:
            CALLS[command[1]](file)
        except SplitoptError as error:
            print(f"{_SAY}{error}", file=sys.stderr)
            return error.exit_code
        return 0
    from splitopt.cli.entry import run

    return run(list(command))


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in the folder, with temporary files in it, and errors that are raised."""
    kept, place = os.getcwd(), tempfile.tempdir
    os.chdir(folder)
    tempfile.tempdir = str(folder / "tmp")
    os.environ["SPLITOPT_DEBUG"] = "1"
    try:
        yield
    finally:
        os.chdir(kept)
        tempfile.tempdir = place


def _wrong(
    trouble: BaseException | None, code: int | None, printed: str, said: str
) -> tuple[str | None, str]:
    """Name what is wrong with an ending and with what was said."""
    if trouble is not None:
        return f"{type(trouble).__name__} at {_place(trouble)}", _tail(trouble)
    shown = said[-_SHOWN:]
    if "Traceback (most recent call last)" in said + printed:
        return "a traceback is printed", shown
    if code not in (0, 1, 2):
        return f"exit code {code}", shown
    if code and not said.strip() and not printed.strip():
        return f"exit code {code} without a word", ""
    for line in said.splitlines():
        if line.startswith(_SAY) and len(line) - len(_SAY) > MOST_OF_A_MESSAGE:
            return "a message over 1,000 characters", f"{len(line)}: {line[:_SHOWN]}"
    if found := _STEERING.search(printed + said):
        text = printed + said
        around = text[max(0, found.start() - 60) : found.end() + 60]
        return "control characters are printed", ascii(around)
    return None, shown


def _wrong_files(
    folder: Path, before: dict[str, str], command: tuple[str, ...], code: int | None
) -> str | None:
    """Name what is wrong with the files that are there now."""
    after = _contents(folder)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if any(name.split("/")[-1] == CANARY for name in changed):
        return "the document's content was run"
    if any(".splitopt-" in name for name in changed):
        return "temporary files are left"
    if code == 2 and changed:
        return f"files change with exit code 2: {_kind(changed[0])}"
    declared = [text for text in command if text.startswith(OUT)]
    declared += [text for text in command[1:] if text in ("checkpoint", "saa")]
    if command[:1] == (CALL,):
        declared.append(OUT)
    for name in changed:
        if not any(name == text or name.startswith(text.rstrip("/") + "/") for text in declared):
            return f"a file that was not asked for: {_kind(name)}"
    for name in changed:
        if name.endswith(_PAGES) and _is_steering(folder / name):
            return "control characters are in a page"
    return None


def _is_steering(file: Path) -> bool:
    text = file.read_text(encoding="utf-8", errors="replace")
    return re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", text) is not None


def _kind(name: str) -> str:
    """Return a file's name without what differs from case to case."""
    return re.sub(r"[0-9a-f]{8,}|\d+", "#", name)[:80]


def _contents(folder: Path) -> dict[str, str]:
    """Return the digests of all files below a folder, what lies behind links left out."""
    found: dict[str, str] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if not path.is_symlink() and path.is_file():
                key = str(path.relative_to(folder))
                found[key] = sha256(path.read_bytes()).hexdigest()
    return found


def _place(error: BaseException) -> str:
    """Return where in splitopt an error came up: file, line and function."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/splitopt/" in frame.filename] or list(frames)
    if not own:
        return "nowhere"
    last = own[-1]
    name = last.filename.rpartition("/splitopt/")[2]
    return f"splitopt/{name}:{last.lineno} ({last.name})"


def _tail(error: BaseException) -> str:
    lines = traceback.format_exception_only(type(error), error)
    return "".join(lines)[:_SHOWN].strip()


def _forget_peak() -> None:
    """Reset the kernel's record of the most memory that was resident."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # then the peak is that of all cases before, which is only ever too much


def peak_mib() -> float:
    """Return the most that was resident since it was last forgotten, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
