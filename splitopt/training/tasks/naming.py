"""The task that somebody gives: one that is known by name, an object, or the user's own code."""

from __future__ import annotations

from typing import Any

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.profiles.tracing.source import open_named
from splitopt.training.tasks.known import TASKS
from splitopt.training.tasks.task import Task


def task_of(given: Task | str) -> Task:
    """Return the task that is given as such, by name, or as ``FILE.py:NAME`` or ``MODULE:NAME``.

    In the user's code the name is that of a `Task`, or of a loss: a function of outputs and targets
    that returns the mean loss of a batch. That code is run.

    Raises
    ------
    InputError
        There is no such task.
    """
    if isinstance(given, Task):
        return given
    if not isinstance(given, str):
        raise InputError.at(
            "task", f"is of type {type(given).__name__}; give a Task, or the name of one"
        )
    if given in TASKS:
        return TASKS[given]
    if ":" not in given:
        raise InputError.at(
            "task",
            f"is {shown(given)}, it must be {', '.join(TASKS)}, or your own as FILE.py:NAME"
            f"{did_you_mean(given, TASKS)}",
        )
    found: Any = open_named(given)
    return found if isinstance(found, Task) else Task(given.rpartition(":")[2], found)
