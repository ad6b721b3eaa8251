"""Running the command line so that no mistake of a user ends in a traceback."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, TextIO

import typer

from splitopt.errors import SplitoptError

INTERRUPTED = 130


def run(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code; errors are one sentence on standard error."""
    with warnings.catch_warnings():
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
                _say("error", _usage(error))
                return int(error.exit_code)
            if os.environ.get("SPLITOPT_DEBUG"):
                raise
            _say(
                "error",
                f"internal error ({type(error).__name__}: {error}); this is a bug in splitopt, "
                "SPLITOPT_DEBUG=1 shows where",
            )
            return 1


def _usage(error: Any) -> str:
    """Say what is wrong with a command line, and which help there is: that of its verb."""
    said = error.format_message().rstrip(".")
    verb = getattr(getattr(error, "ctx", None), "command_path", "splitopt")
    return f"{said}{' ' if said.endswith('?') else '; '}'{verb} --help' shows the usage"


def _say(kind: str, message: str) -> None:
    # A list of mistakes has a line for each, begun by two spaces. No other break is one: what a
    # file calls its things must neither look like a message of ours nor steer the terminal.
    lines = [" ".join(line.split()) for line in message.split("\n  ")]
    tame = (
        "".join(char if char.isprintable() else repr(char)[1:-1] for char in line) for line in lines
    )
    typer.echo(f"splitopt: {kind}: " + "\n  ".join(tame), err=True)


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature is Python's
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    _say("warning", str(message))
