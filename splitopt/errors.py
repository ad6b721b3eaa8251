"""Every error that splitopt raises on purpose, and the exit code it means on the command line."""

from __future__ import annotations

import reprlib
from typing import Any

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it: 128 and the number of SIGINT."""
MOST_OF_A_VALUE = 200
"""Characters of one value that a message shows."""
MOST_OF_A_MESSAGE = 1000
"""Characters of a message; whoever needs more of the input has the input."""


def shown(value: Any, most: int = MOST_OF_A_VALUE) -> str:
    """Return how a value is shown in a message: its ``repr``, at most `most` characters long.

    What holds itself a million times over costs no more than what is shown of it. It is one line,
    of tables as well.
    """
    lines = _Shown(most).repr(value).splitlines()
    return _cut(" ".join(map(str.strip, lines)), most)


class SplitoptError(Exception):
    """Base of all errors that splitopt raises on purpose; long messages lose their middle."""

    exit_code = 1

    def __init__(self, message: str = "", *rest: Any):
        super().__init__(_cut(str(message), MOST_OF_A_MESSAGE), *rest)


class InputError(SplitoptError, ValueError):
    """An input cannot be read as what it claims to be: syntax, type, shape, unit, NaN, sign.

    The message is one sentence that names the field, the value and the mend.
    """

    exit_code = 2

    @classmethod
    def at(cls, field: str, problem: str) -> InputError:
        """Build the error for one field of a document, such as ``devices[0].compute``."""
        return cls(f"{field}: {problem}" if field else problem)


class CapabilityError(SplitoptError):
    """A solver cannot answer this question; the message names the solvers that can."""


class InfeasibleError(SplitoptError):
    """A well-formed problem has no answer; the message says what would have to change."""


class WriteError(SplitoptError):
    """Something could not be written although it was well named: the disk is full or broken."""


class InUseError(SplitoptError):
    """Another run writes into the same folder; the message says which one."""


class WorkerError(SplitoptError):
    """Workers of an engine died again and again on the same work."""


class SolveError(SplitoptError):
    """Raised by ``solve(..., on_failure="raise")`` without a feasible answer.

    ``result`` is the `splitopt.Result` that says what happened.
    """

    def __init__(self, message: str, result: Any):
        super().__init__(message)
        self.result = result


class TrainingError(SplitoptError):
    """Training cannot go on: the message names the client and the round.

    ``history`` has the rounds before, a `splitopt.training.history.History`; None inside a round.
    """

    history: Any = None


class _Shown(reprlib.Repr):
    """The short ``repr`` of Python's library, with room for one value."""

    def __init__(self, most: int):
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 8
        self.maxstring = self.maxother = self.maxlong = most

    def repr_int(self, value: int, level: int) -> str:  # noqa: ARG002 - the library's signature
        """Return the digits, or how many there are: Python refuses to write out thousands."""
        if value.bit_length() < 3000:
            return repr(value)
        return f"a whole number of about {value.bit_length() * 30103 // 100000 + 1} digits"


def _cut(text: str, most: int) -> str:
    """Return a text of at most `most` characters: its beginning and its end."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 5]} ... {text[-end:]}"
