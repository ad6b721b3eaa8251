"""Training jobs as files: what a process of a run needs to prepare its part, as plain data."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import read_text
from splitopt.errors import InputError
from splitopt.plans import Plan
from splitopt.storage.writing import write_atomic
from splitopt.training.data.arrays import arrays_of
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.tasks import TASKS

_PLAIN = ("model", "partition", "samples", "seed", "match", "stages", "source", "task")
"""Fields of a job that are plain data as they are."""


def check_job(job: TrainingJob) -> None:
    """Check that a job can be trained by a process for each party.

    Raises
    ------
    InputError
        Clients are to be batched, another scheme is asked for, or a device is named.
    """
    if job.options is not None and job.options.batched:
        raise InputError.at(
            "batched", "every device is a process of its own on the wire; train without"
        )
    for name, is_given in (("scheme", job.scheme is not None), ("device", job.device != "cpu")):
        if is_given:
            raise InputError.at(name, "is for training in one process; leave it out")


def save_job(job: TrainingJob, folder: Path, prepared: Prepared) -> Path:
    """Write a job into a folder, for other processes on this machine.

    Raises
    ------
    InputError
        The model or one of its stages is an object, which other processes cannot build.
    """
    if job.model is not None and not isinstance(job.model, str):
        raise InputError.at(
            "model",
            "is an object, but every process builds its own; name it as MODULE:FACTORY or "
            "FILE.py:FACTORY",
        )
    if not isinstance(job.task, str):
        if TASKS.get(job.task.name) is not job.task:
            raise InputError.at(
                "task", "is an object, but every process makes its own; name it as FILE.py:NAME"
            )
        job = replace(job, task=job.task.name)
    if not all(isinstance(stage, str) for stage in job.stages or ()):
        raise InputError.at(
            "stages", "holds objects, but every process builds its own model; name submodules"
        )
    data = job.data
    if not isinstance(data, str):
        data = str(_save_data(folder, prepared))
    elif Path(data).exists():
        data = str(Path(data).resolve())
    document = {
        "plan": job.plan.to_dict(),
        "data": data,
        "options": None if job.options is None else asdict(job.options),
        **{name: getattr(job, name) for name in _PLAIN},
    }
    path = folder / "job.json"
    write_atomic(path, json.dumps(document, allow_nan=False))
    return path


def load_job(path: str | Path) -> TrainingJob:
    """Read a job that `save_job` wrote."""
    found = parse_json(read_text(path), str(path))
    options = found["options"]
    return TrainingJob(
        Plan.from_dict(found["plan"], found["source"]),
        data=found["data"],
        options=None if options is None else Options(**options),
        **{name: found[name] for name in _PLAIN},
    )


def _save_data(folder: Path, prepared: Prepared) -> Path:
    """Write data that were given as objects where other processes find them."""
    import numpy as np

    data, path = prepared.data, folder / "data.npz"
    arrays: dict[str, Any] = {
        **arrays_of("x_train", data.train_inputs),
        **arrays_of("y_train", data.train_targets),
        **arrays_of("x_test", data.test_inputs),
        **arrays_of("y_test", data.test_targets),
    }
    with path.open("wb") as stream:
        np.savez(stream, **arrays)
    return path
