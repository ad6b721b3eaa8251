"""The section ``data``: what the fleet trains on, and how it is shared out among the devices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, model_validator

from splitopt.errors import InputError, shown
from splitopt.scenario.machine import Name, Part

PARTITIONS = "iid, classes:K, dirichlet:ALPHA, blocks:B, random or file:PATH.json"
"""The forms of a partition of one data set among devices."""
_NUMBER = r"[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?"
_PARTITION = re.compile(rf"iid|random|own|(classes|blocks):[1-9][0-9]*|dirichlet:{_NUMBER}|file:.+")


def _read_partition(value: str) -> str:
    """Check the form of a partition; what it says of data and devices is checked with these."""
    if not _PARTITION.fullmatch(value):
        raise InputError(
            f"is {shown(value)}; it must be {PARTITIONS}, or own where each device has data of "
            "its own"
        )
    return value


def _read_task(value: str) -> str:
    """Reject a task in a file: what runs code is named by whoever runs it."""
    if ":" in value or value.endswith(".py"):
        raise InputError(
            f"is {shown(value)}, which is your code and is run only if you name it; leave it out, "
            f"and give --task {shown(value)}, or task= in Python"
        )
    return value


NAMED = ("digits", "mnist", "fashion-mnist", "cifar10", "celeba", "text")
"""Sources that are names, whatever folders there are."""
_PREFIXED = re.compile(r"([a-z][a-z0-9-]+):(.+)", re.DOTALL)
"""``NAME:FOLDER``, ``text:FILE`` or ``file:PATH``."""


def with_data_paths_read(document: Any, folder: Path) -> Any:
    """Return a scenario's document with paths in `data` as seen from where commands run.

    They are relative to the scenario, which is in `folder`, as all other paths in it are. Names
    such as ``digits`` and absolute paths stay as they are.
    """
    section = document.get("data") if isinstance(document, Mapping) else None
    if isinstance(section, str):
        return {**document, "data": _from_folder(section, folder)}
    if not isinstance(section, Mapping):
        return document
    found = dict(section)
    if isinstance(found.get("source"), str):
        found["source"] = _from_folder(found["source"], folder)
    partition = found.get("partition")
    if isinstance(partition, str) and partition.startswith("file:"):
        found["partition"] = _from_folder(partition, folder)
    return {**document, "data": found}


def _from_folder(source: str, folder: Path) -> str:
    if prefixed := _PREFIXED.fullmatch(source):
        name, path = prefixed.groups()
        path, *tokens = path.split(":") if name == "text" else [path]
        is_word = name == "text" and (path == "python" or not path or path.isdigit())
        return ":".join([name, path if is_word else _joined(path, folder), *tokens])
    is_path = source.endswith(".npz") or "/" in source or (folder / source).is_dir()
    is_path = is_path and source not in NAMED
    return _joined(source, folder) if is_path else source


def _joined(path: str, folder: Path) -> str:
    """Return a path as it is written where the scenario lies in the folder of commands."""
    return path if folder == Path() or Path(path).is_absolute() else (folder / path).as_posix()


class TrainingData(Part):
    """What the fleet trains on, unless whoever trains says something else.

    ``source`` is what ``splitopt train --data`` takes, ``partition`` what ``--partition`` takes,
    and ``task`` the name of what is trained for. Paths in a scenario are relative to its file; in a
    plan they are those of the folder in which it was made, see `with_data_paths_read`.
    ``data: digits`` is short for ``data: {source: digits}``.
    """

    source: Name
    partition: Annotated[Name, AfterValidator(_read_partition)] | None = None
    task: Annotated[Name, AfterValidator(_read_task)] | None = None

    HINTS: ClassVar[dict[str, str]] = {
        "name": "write 'source'",
        "samples": "it is a field of each device, and an option of 'splitopt train', --samples",
    }

    @model_validator(mode="before")
    @classmethod
    def _read_source(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value
