"""The section ``data``: what the fleet trains on, and how it is shared out among the devices."""

from __future__ import annotations

import re
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


class TrainingData(Part):
    """What the fleet trains on, unless whoever trains says something else.

    ``source`` is what ``splitopt train --data`` takes, ``partition`` what ``--partition`` takes,
    and ``task`` the name of what is trained for. Paths are those of where the command runs.
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
