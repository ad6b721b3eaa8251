"""Running the command line so that no mistake of a user ends in a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from typing import TextIO

import typer

from splitopt.errors import SplitoptError, UnitWarning, shown

INTERRUPTED = 130


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one sentence on standard error."""
    _print_all_characters()
    with warnings.catch_warnings():
        warnings.simplefilter("always", UnitWarning)
        warnings.showwarning = _one_line_warning
        code = _run(arguments)
        # Not left to the end of the interpreter, where nobody could say what went wrong.
        failed = _flush()
        if failed is None:
            return code
        if not isinstance(failed, BrokenPipeError):  # else its reader has gone, and needs no word
            _say("error", f"standard output: cannot be written ({failed.strerror or failed})")
        _discard(sys.stdout)
        return code or 1


def _run(arguments: list[str] | None) -> int:
    try:
        from splitopt.cli.app import app  # here, as Ctrl-C may come meanwhile
        from splitopt.cli.asked import ARGUMENTS

        ARGUMENTS.set(tuple(sys.argv[1:] if arguments is None else arguments))
        code = app(arguments, prog_name="splitopt", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SplitoptError as error:
        _say("error", str(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        _say("error", "interrupted")
        return INTERRUPTED
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            hint = "; 'splitopt --help' shows the usage"
            _say("error", error.format_message().rstrip(".") + hint)
            return int(error.exit_code)
        if isinstance(error, OSError) and _flush() is not None:
            return 1  # it is of standard output, which `run` says
        if os.environ.get("SPLITOPT_DEBUG"):
            raise
        _say("error", _sentence(error))
        return 1


def _sentence(error: Exception) -> str:
    """Say what went wrong; what a machine, a disk or a terminal lacks is no bug of splitopt."""
    if isinstance(error, OSError):
        return _system_says(error)
    if isinstance(error, MemoryError):
        detail = f" ({shown(str(error))})" if str(error) else ""
        return (
            f"there is not enough memory for this{detail}; ask for less, or take a larger machine"
        )
    if isinstance(error, RecursionError):
        return "something in the input is nested too deeply; use a flatter one"
    if isinstance(error, UnicodeEncodeError):
        return f"{shown(error.object)} cannot be written in {error.encoding}; use another name"
    return (
        f"internal error ({type(error).__name__}: {error}); this is a bug in splitopt, "
        "SPLITOPT_DEBUG=1 shows where"
    )


def _system_says(error: OSError) -> str:
    try:
        os.getcwd()
    except OSError as gone:
        return f"the working folder is not there any more ({gone.strerror}); change to another one"
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if _is_name(name)]
    where = " and ".join(names) or "the system"
    return f"{where}: refused what the command needs ({error.strerror or error})"


def _is_name(name: object) -> bool:
    return isinstance(name, (str, bytes, os.PathLike))


def _print_all_characters() -> None:
    """Let a console that cannot show a character show a question mark, rather than nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def _flush() -> OSError | None:
    """Write out what was printed; return what prevents it."""
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _discard(stream: TextIO) -> None:
    """Lead a broken stream to nowhere, so that the interpreter can end without a word on it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _say(kind: str, message: str) -> None:
    line = " ".join(message.split())
    # What a file calls its things must not steer the terminal: no escapes, no reversed text.
    tame = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
    try:
        typer.echo(f"splitopt: {kind}: {tame}", err=True)
    except OSError:  # there is nobody left to tell; the exit code still says it
        _discard(sys.stderr)


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature is Python's
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    _say("warning", str(message))
