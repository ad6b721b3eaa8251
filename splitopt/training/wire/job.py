"""Training jobs as files: what a process of a run needs to prepare its part, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.documents.json_text import read_json
from splitopt.errors import InputError
from splitopt.models.adapters.choice import Adapters
from splitopt.plans import Plan
from splitopt.secure_sum.keys import need_cryptography
from splitopt.storage.writing import write_atomic
from splitopt.training.data.arrays import arrays_of, npz_bytes
from splitopt.training.data.sequences import of_list
from splitopt.training.data.shards import check_all, is_own
from splitopt.training.job import TrainingJob
from splitopt.training.kinds import SCHEME
from splitopt.training.options import Options
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.privacy_options import Privacy
from splitopt.training.schedule import Schedule
from splitopt.training.tasks import TASKS
from splitopt.training.wire.setting import OwnFiles

_FILES = "fed.json"
_PLAIN = (
    *("model", "partition", "samples", "seed", "match", "stages", "source", "task", "scheme"),
    "test_at",
)
"""Fields of a job that are plain data as they are."""


def check_job(job: TrainingJob, schedule: Schedule | None = None) -> None:
    """Check that a job can be trained by a process for each party.

    Raises
    ------
    InputError
        Clients are to be batched, there is to be NoPeek or something against forgetting, turns are
        to be tested, another scheme is asked for, or a device is named.
    """
    if schedule is not None and schedule.test_after == "turn":
        raise InputError.at(
            "test_after",
            "is turn, and on the wire the parts of a model are in one place after a round only; "
            "test after rounds, or train without --wire",
        )
    if job.options is not None and job.options.batched:
        raise InputError.at(
            "batched", "every device is a process of its own on the wire; train without"
        )
    if job.options is not None and job.options.aggregation_interval > 1:
        raise InputError.at(
            "aggregation_interval", "is for training in one process; train without --wire"
        )
    if job.options is not None and job.options.as_published:
        raise InputError.at(
            "as_published", "is for training in one process, as the script is; leave it out"
        )
    if job.options is not None and job.options.secure_aggregation:
        need_cryptography("secure_aggregation")
        if job.scheme is not None:
            raise InputError.at(
                "secure_aggregation",
                "is for splitopt's own schemes, whose averages are known to be sums; leave the "
                "scheme to the plan, or leave it out",
            )
    if job.options is not None:
        for name in ("nopeek", "remembering"):
            if getattr(job.options, name):
                raise InputError.at(name, "is for training in one process; train without --wire")
    other = job.scheme is not None and (isinstance(job.scheme, str) and job.scheme in SCHEME.own)
    for name, is_given in (("scheme", other), ("device", job.device != "cpu")):
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
    if not isinstance(job.scheme, str | None):
        raise InputError.at(
            "scheme", "is an object, but every process makes its own; name it as FILE.py:NAME"
        )
    if not all(isinstance(stage, str) for stage in job.stages or ()):
        raise InputError.at(
            "stages", "holds objects, but every process builds its own model; name submodules"
        )
    data: Any = job.data
    if is_own(data, job.partition):
        check_all(data)
    if isinstance(data, Mapping):
        data = {name: _own_file(folder, k, one) for k, (name, one) in enumerate(data.items())}
    elif not isinstance(data, str):
        data = str(_save_data(folder, prepared))
    elif Path(data).exists():
        data = str(Path(data).resolve())
    weights = job.initial_weights
    document = {
        "plan": job.plan.to_dict(),
        "data": data,
        "options": None if job.options is None else asdict(job.options),
        "adapters": None if job.adapters is None else job.adapters.to_dict(),
        "initial_weights": None if weights is None else str(Path(weights).resolve()),
        **{name: getattr(job, name) for name in _PLAIN},
    }
    path = folder / "job.json"
    write_atomic(path, json.dumps(document, allow_nan=False))
    return path


def save_files(files: OwnFiles, folder: Path) -> None:
    """Write beside a job what the fed server of its run keeps."""
    found = {
        "checkpoint": None if files.checkpoint is None else str(files.checkpoint.resolve()),
        "resume": files.resume,
        "model": None if files.model is None else str(files.model.resolve()),
    }
    write_atomic(folder / _FILES, json.dumps(found))


def load_files(job: str | Path) -> OwnFiles:
    """Read what `save_files` wrote beside a job; nothing is kept where it wrote nothing."""
    path = Path(job).parent / _FILES
    if not path.exists():
        return OwnFiles()
    found = read_json(path)
    places = {
        name: None if found[name] is None else Path(found[name]) for name in ("checkpoint", "model")
    }
    return OwnFiles(resume=found["resume"], **places)


def load_job(path: str | Path) -> TrainingJob:
    """Read a job that `save_job` wrote."""
    found = read_json(path)
    options, adapters = found["options"], found["adapters"]
    if options is not None and options["privacy"] is not None:
        options["privacy"] = Privacy(**options["privacy"])
    if options is not None and options["pixel_dp"] is not None:
        options["pixel_dp"] = PixelDP(**options["pixel_dp"])
    return TrainingJob(
        Plan.from_dict(found["plan"], found["source"]),
        data=found["data"],
        options=None if options is None else Options(**options),
        adapters=None if adapters is None else Adapters.from_dict(adapters),
        initial_weights=found["initial_weights"],
        **{name: found[name] for name in _PLAIN},
    )


def _own_file(folder: Path, number: int, source: Any) -> str:
    """Return the file of one party's data; they are written there where they are objects."""
    if isinstance(source, str | PathLike):
        return str(Path(source).resolve())
    if not isinstance(source, tuple | list) or len(source) not in (2, 4):
        raise InputError.at(
            "data", "of a device is an object that no file can hold; give its path, or (x, y)"
        )
    kinds = ("",) if len(source) == 2 else ("_train", "_test")
    arrays: dict[str, Any] = {}
    for kind, x, y in zip(kinds, source[::2], source[1::2], strict=True):
        if of_list(x, "data of a device") is not None:
            raise InputError.at(
                "data", "of a device has samples of unequal length; give an .npz file with lengths"
            )
        inputs = dict(x) if isinstance(x, Mapping) else {"": x}
        for name, one in inputs.items():
            arrays[f"x{kind}.{name}" if name else f"x{kind}"] = np.asarray(one)
        arrays[f"y{kind}"] = np.asarray(y)
    path = folder / f"data-{number}.npz"
    path.write_bytes(npz_bytes(arrays))
    return str(path)


def _save_data(folder: Path, prepared: Prepared) -> Path:
    """Write data that were given as objects where other processes find them."""
    data, path = prepared.data, folder / "data.npz"
    arrays = {
        **arrays_of("x_train", data.train_inputs),
        **arrays_of("y_train", data.train_targets),
        **arrays_of("x_test", data.test_inputs),
        **arrays_of("y_test", data.test_targets),
    }
    path.write_bytes(npz_bytes(arrays))
    return path
