"""The command line that runs, to propose it again with what it lacks."""

from __future__ import annotations

import shlex
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.plans import Plan

ARGUMENTS: ContextVar[tuple[str, ...]] = ContextVar("arguments", default=())
"""The arguments of the command that runs, the verb first."""


def expect_model(plan: Plan, model: str | None) -> None:
    """Raise `InputError` that proposes the whole command, if the plan's model is to be named.

    A plan remembers how its model was named when it was profiled. The user's code is run only if
    the user names it, so that it is proposed and not taken.
    """
    record = plan.profile.get("trace")
    known = record.get("model") if isinstance(record, dict) else None
    if model is not None or not isinstance(known, str) or ":" not in known:
        return
    command = again("--model", known)
    raise InputError.at(
        "--model",
        f"is missing: the plan is for {known}, which is your code and is run only if you name it; "
        f"the whole command is: {command}",
    )


def expect_data(checkpoint: Path | None, plan: Plan) -> None:
    """Raise `InputError` that proposes the whole command, if a run that goes on had named data."""
    arguments = ARGUMENTS.get()
    if checkpoint is None or any(item.partition("=")[0] == "--data" for item in arguments):
        return
    from splitopt.training.job import TrainingJob
    from splitopt.training.saving.checkpoint import sources_of

    usual = TrainingJob(plan).data
    known = sources_of(checkpoint).get("data", usual)
    if known != usual:
        raise InputError.at(
            "--data",
            f"is missing: the checkpoint in {checkpoint} was trained with {known}; the whole "
            f"command is: {again('--data', known)}",
        )


def again(*further: str) -> str:
    """Return the command that runs, with further arguments."""
    return shlex.join(["splitopt", *ARGUMENTS.get(), *further])
