"""Running the command line so that no mistake of a user ends in a traceback."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import typer

from splitopt.errors import SplitoptError, UnitWarning

INTERRUPTED = 130


def run(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code; errors are one sentence on standard error."""
    with warnings.catch_warnings(), _notices():
        warnings.simplefilter("always", UnitWarning)
        warnings.showwarning = _one_line_warning
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
        except BrokenPipeError:
            # The reader of our output has gone: nothing is left to say to it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:
            if hasattr(error, "exit_code") and hasattr(error, "format_message"):
                hint = "; 'splitopt --help' shows the usage"
                _say("error", error.format_message().rstrip(".") + hint)
                return int(error.exit_code)
            if os.environ.get("SPLITOPT_DEBUG"):
                raise
            _say(
                "error",
                f"internal error ({type(error).__name__}: {error}); this is a bug in splitopt, "
                "SPLITOPT_DEBUG=1 shows where",
            )
            return 1


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
    line = " ".join(message.split())
    # What a file calls its things must not steer the terminal: no escapes, no reversed text.
    tame = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
    typer.echo(f"splitopt: {kind}: {tame}", err=True)


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature is Python's
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    _say("warning", str(message))
