"""The section of a scenario with types of machines that train one model in replicated stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from splitopt.errors import InputError, shown
from splitopt.scenario.accelerators import MOST_ACCELERATORS, Few
from splitopt.scenario.machine import Count, Machine, Part
from splitopt.scenario.names import clashes
from splitopt.scenario.nodes import expanded_names
from splitopt.scenario.quantity import Factor, Rate, Size, Truth

MOST_TYPES = 50
"""Types of machines, at most."""


class MachineType(Machine):
    """``count`` alike machines that are named NAME-1 to NAME-count.

    ``rate`` is that of the machine's one interface. ``slowdown`` multiplies the seconds of a
    measured machine or of a machine model. Of ``memory``, ``reserve`` is kept free for buffers and
    libraries.
    """

    count: Few = 1
    slowdown: Factor | None = None
    rate: Rate
    reserve: Size | None = None

    HINTS: ClassVar[Mapping[str, str]] = {
        "bandwidth": "state it as 'rate'",
        "link": "state it as 'rate'",
        "speed": "state it as 'compute'",
    }

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.slowdown is not None and self.compute is not None:
            raise InputError(
                "'slowdown' is for a measured machine; state a lower 'compute' instead"
            )
        if self.reserve is not None and self.memory is None:
            raise InputError("'reserve' is kept free of 'memory', which is not stated; add it")
        return self

    def names(self) -> list[str]:
        """Name of every single machine of the type."""
        return expanded_names(self.name, self.count)


class Replication(Part):
    """Types of machines that share a model in stages, some with several machines, and how.

    ``batch_size`` are the samples of a micro-batch, ``micro_batches`` how many of them are in a
    round, between two steps of the optimizer. ``schedule`` is the order of their passes: ``1f1b``
    (one forward, one backward), ``gpipe`` (all forward passes first) or ``pipedream`` (as 1f1b,
    with weights that are updated all the time). ``recompute`` says whether a stage computes its
    activations again in the backward pass: ``never``, ``always``, or ``choose`` stage by stage.
    ``optimizer`` says what is kept for each weight, and ``shard_optimizer`` that the machines of a
    stage divide it. ``duplex`` and ``overlap`` say what an interface does at a time, and whether
    beside computing. ``max_replicas`` is the most machines of a stage, and with
    ``use_all_machines`` none stays idle.
    """

    types: Annotated[tuple[MachineType, ...], Field(min_length=1, max_length=MOST_TYPES)]
    batch_size: Count = 1
    micro_batches: Count = 32
    schedule: Literal["1f1b", "gpipe", "pipedream"] = "1f1b"
    recompute: Literal["never", "always", "choose"] = "never"
    optimizer: Literal["sgd", "momentum", "adam"] = "momentum"
    shard_optimizer: Truth = False
    duplex: Literal["full", "half"] = "full"
    overlap: Truth = False
    max_replicas: Count | None = None
    use_all_machines: Truth = False

    HINTS: ClassVar[Mapping[str, str]] = {
        "count": "state it of each of the 'types'",
        "compute": "state it of each of the 'types'",
        "memory": "state it of each of the 'types'",
        "reserve": "state it of each of the 'types'",
        "rate": "state it of each of the 'types'",
        "devices": "state them as 'types', each with a 'count'",
        "machines": "state them as 'types', each with a 'count'",
        "use_all_devices": "it is 'use_all_machines'",
        "use_all_nodes": "it is 'use_all_machines'",
    }

    @model_validator(mode="after")
    def _types_go_together(self) -> Self:
        total = sum(one.count for one in self.types)
        if total > MOST_ACCELERATORS:
            raise InputError.at(
                "types",
                f"have {total:,} machines in all, a scenario has at most {MOST_ACCELERATORS:,}; "
                "state fewer",
            )
        for index, name in clashes((one.name, one.count) for one in self.types):
            raise InputError.at(
                f"types[{index}]", f"the name {shown(name)} stands twice; names must differ"
            )
        limited = [one.memory is not None for one in self.types]
        if any(limited) and not all(limited):
            raise InputError.at(
                f"types[{limited.index(False)}]",
                "has no 'memory' and other types have; state it of all of them or of none",
            )
        return self

    @property
    def is_limited(self) -> bool:
        """Whether memory is limited."""
        return self.types[0].memory is not None

    def names(self) -> list[list[str]]:
        """Name of every single machine, by type."""
        return [one.names() for one in self.types]
