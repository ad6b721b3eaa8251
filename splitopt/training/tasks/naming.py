"""The task that somebody gives: one that is known by name, an object, or the user's own code."""

from __future__ import annotations

from typing import Any

from splitopt.errors import InputError
from splitopt.plugins import check_call
from splitopt.training.kinds import TASK
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
    try:
        found: Task = TASK.read(TASK.find(given))
    except InputError as error:
        raise type(error).at("task", str(error)) from None
    return found


def read(value: Any, name: str, place: str) -> Task:
    """Return a task, made of a loss where that is what was found; `InputError` for anything else.

    A task that is given as an object is its maker's business; one that is found is looked at.
    """
    task = value if isinstance(value, Task) else Task(name, value)
    metrics = task.metrics.items()
    for function, what, usage, arguments in (
        (task.loss, "its loss", "loss(OUTPUTS, TARGETS)", (0, 0)),
        *((own.sums, f"sums of {n}", "sums(OUTPUTS, TARGETS)", (0, 0)) for n, own in metrics),
        *((own.value, f"value of {n}", "value(SUMS)", (0,)) for n, own in metrics),
        *(
            (count, f"{n} of each class", "count(OUTPUTS, TARGETS)", (0, 0))
            for n, count in task.class_metrics.items()
        ),
        *(
            [(task.collate, "its collate", "collate(INPUTS, TARGETS, LENGTH)", (0, 0, 0))]
            if task.collate is not None
            else []
        ),
    ):
        what = f"{place}: {what} cannot be called"
        check_call(function, what, f"it is called as {usage}", *arguments)
    return task


def defines(value: Any) -> bool:
    """Whether an object of a file is meant as a task of its own."""
    return isinstance(value, Task) and all(value is not own for own in TASKS.values())
