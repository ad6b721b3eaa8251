"""What a process trains and tests with: all data, or what one party has of its own."""

from __future__ import annotations

from torch import Tensor

from splitopt.errors import InputError, shown
from splitopt.training.data import DataSet, load_data
from splitopt.training.data.shards import (
    OWN,
    TEST,
    Shard,
    is_own,
    read_own,
    read_shards,
    together,
)
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options
from splitopt.training.preparing.setup import check_count
from splitopt.training.program import Program
from splitopt.training.tasks import Task


def loaded(
    job: TrainingJob, program: Program, task: Task, rank: int | None
) -> tuple[DataSet, list[Tensor] | None, Shard | None]:
    """Load what a process trains and tests with.

    Parameters
    ----------
    job, program, task
        What is trained, by whom, and what for.
    rank
        Which party of several it is; None where one process is all of them.

    Returns
    -------
    The data; the rows of each client, where they have data of their own; and what this party has,
    where it is one of several and has its own alone.

    Raises
    ------
    InputError
        Something is missing or cannot be read, or tests are at a party that cannot have them.
    """
    check_test_at(job, program)
    if not is_own(job.data, job.partition):
        found = load_data(job.data, seed=job.seed, targets=task.targets, collate=task.collate)
        return found, None, None
    names = [client.name for client in program.clients]
    if rank is None:
        shards = read_shards(job.data, names, task.targets, task.collate, job.test_at)
        for name in names:
            check_count(program, name, len(shards[name].targets), job.samples)
        return *together(shards), None
    name = names[rank - 1] if 0 < rank <= len(names) else TEST
    has_tests = name == job.test_at
    own = read_own(job.data, name, names, task.targets, task.collate, has_tests=has_tests)
    if name != TEST:
        check_count(program, name, len(own.targets), job.samples)
    return own.data, None, own


def check_test_at(job: TrainingJob, program: Program) -> None:
    """Raise `InputError` where a party is named for the tests that cannot make them."""
    if job.test_at is None:
        return
    if not is_own(job.data, job.partition):
        raise InputError.at(
            "test_at",
            f"is {shown(job.test_at)}, and it is for data that each device has of its own (the "
            f"partition {OWN}); leave it out, since all parties have these data",
        )
    names = [client.name for client in program.clients]
    if job.test_at not in names:
        raise InputError.at(
            "test_at",
            f"is {shown(job.test_at)}, which is no device of the plan; it has {', '.join(names)}",
        )
    options = job.options or Options()
    for field, why in (
        ("fed_server", "the server part is tested there, on what the fed server makes of the data"),
        ("pixel_dp", "the server tests with noise, on data that it has"),
    ):
        if getattr(options, field):
            raise InputError.at(
                "test_at", f"does not go with {field}: {why}; leave one of them out"
            )
