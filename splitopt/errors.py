"""Every error that splitopt raises on purpose, and the exit code it means on the command line."""

from __future__ import annotations

from typing import Any


class SplitoptError(Exception):
    """Base of all errors that splitopt raises on purpose."""

    exit_code = 1


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


class UnitWarning(UserWarning):
    """A unit was read as written but is probably not what was meant, such as ``mbit``."""
