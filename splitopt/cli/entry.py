"""Running the command line so that no mistake of a user ends in a traceback."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TextIO

import typer

from splitopt.cli.printing import discard, printing
from splitopt.errors import INTERRUPTED, SplitoptError, shown
from splitopt.storage.outputs import working_folder_is_gone


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one sentence on standard error."""
    with warnings.catch_warnings(), printing(), _notices():
        warnings.showwarning = _one_line_warning
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    try:
        from splitopt.cli.invocation import ARGUMENTS  # here, as Ctrl-C may come meanwhile

        given = sys.argv[1:] if arguments is None else arguments
        ARGUMENTS.set(tuple(given))
        code = _command()(_help_first(given), prog_name="splitopt", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # at the end of the interpreter nobody could say what went wrong
        return code if isinstance(code, int) else 0
    except SplitoptError as error:
        _say("error", str(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        _say("error", "interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: nothing is left to say to it
        return 1
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            _say("error", _usage(error))
            return int(error.exit_code)
        if os.environ.get("SPLITOPT_DEBUG"):
            raise
        _say("error", _sentence(error))
        return 1


def _help_first(arguments: list[str]) -> list[str]:
    """Request help alone where it is wanted, or a flag before it would take it as its value."""
    asked = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if not {"--help", "-h"} & set(asked):
        return arguments
    verbs = itertools.takewhile(lambda word: not word.startswith("-"), asked)
    return [*verbs, "--help"]


@cache
def _command() -> Any:
    """Return the whole command, which takes longer to make than some of its verbs run."""
    from splitopt.cli.app import app

    return typer.main.get_command(app)


def _sentence(error: Exception) -> str:
    """Return what went wrong; what a machine, a disk or a terminal lacks is no bug of splitopt."""
    if isinstance(error, OSError):
        return _system_says(error)
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
        return f"{error}: these links lead nowhere; name a file"  # Python 3.11 and 3.12
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
    gone = working_folder_is_gone()
    if gone is not None:
        return f"{gone}; change to another one"
    given = (error.filename, error.filename2)
    names = [os.fsdecode(name) for name in given if isinstance(name, (str, bytes, os.PathLike))]
    where = " and ".join(names) or "the system"
    return f"{where}: refused what the command needs ({error.strerror or error})"


def _usage(error: Any) -> str:
    """Return what is wrong with a command line, and which help there is: that of its verb."""
    said = error.format_message().rstrip(".")
    verb = getattr(getattr(error, "ctx", None), "command_path", "splitopt")
    return f"{said}{' ' if said.endswith('?') else '; '}'{verb} --help' shows the usage"


@contextmanager
def _notices() -> Iterator[None]:
    """Show on standard error that loops are being compiled, which takes some seconds once."""
    log, handler = logging.getLogger("splitopt.compiling"), _Notices()
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Notices(logging.Handler):
    """Writes records as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        _say("note", record.getMessage())


def _say(kind: str, message: str) -> None:
    # A list of mistakes has a line for each, begun by two spaces. No other break is one: what a
    # file calls its things must neither look like a message of ours nor steer the terminal.
    lines = [" ".join(line.split()) for line in message.split("\n  ")]
    tame = (
        "".join(char if char.isprintable() else repr(char)[1:-1] for char in line) for line in lines
    )
    if sys.stderr is None:  # closed; print would take standard output instead
        return
    try:
        print(f"splitopt: {kind}: " + "\n  ".join(tame), file=sys.stderr, flush=True)
    except OSError:  # there is nobody left to tell; the exit code still says it
        discard(sys.stderr)


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature is Python's
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    _say("warning", str(message))
