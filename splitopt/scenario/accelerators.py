"""The section of a scenario with alike accelerators and CPUs, which run a graph of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from splitopt.errors import InputError
from splitopt.scenario.machine import Count, Machine, Name
from splitopt.scenario.names import clashes
from splitopt.scenario.nodes import expanded_names
from splitopt.scenario.quantity import WHOLE, Factor, Rate

MOST_ACCELERATORS = 1_000
"""Accelerators, and CPUs, at most; as the problem has it."""
Few = Annotated[int, Field(ge=1, le=MOST_ACCELERATORS), WHOLE]


class Processor(Machine):
    """Some alike CPUs beside accelerators; ``slowdown`` is as for an accelerator.

    They have all the memory that is needed, and what they read and write lies in it already.
    """

    name: Name = "cpu"
    count: Few = 1
    slowdown: Factor | None = None

    HINTS: ClassVar[Mapping[str, str]] = {
        "rate": "a CPU has the host's memory, so that nothing is sent to it; leave it out"
    }

    @model_validator(mode="after")
    def _has_the_hosts_memory(self) -> Self:
        if self.memory is not None:
            raise InputError("'memory' is that of the host, which is not limited; leave it out")
        return self

    def names(self) -> list[str]:
        """Name of every single CPU."""
        return expanded_names(self.name, self.count)


class Accelerators(Machine):
    """``count`` alike accelerators that are named NAME-1 to NAME-count, and what they train.

    ``rate`` is how fast an accelerator writes to the host, or reads from it. ``slowdown``
    multiplies the seconds of a measured machine or of a machine model. ``cpu`` are CPUs that run
    layers as well. ``batch_size`` are the samples of a micro-batch, ``micro_batches`` how many of
    them are in a round, between two steps of the optimizer. Of ``memory``, an accelerator holds its
    layers' parameters as ``held`` says (see the page on profiles), and what is saved for the
    backward pass of as many micro-batches as are ``in_flight``: by default twice as many as there
    are machines, less one, which is what the first of them holds in a full pipeline.
    """

    name: Name = "accelerator"
    count: Few
    slowdown: Factor | None = None
    rate: Rate
    cpu: Processor | None = None
    batch_size: Count = 1
    micro_batches: Count = 32
    in_flight: Count | None = None
    held: Literal["outputs", "saved", "gradients", "momentum", "adam"] = "momentum"

    HINTS: ClassVar[Mapping[str, str]] = {
        "link": "state it as 'rate'",
        "links": "state it as 'rate'",
        "cpus": "state them as 'cpu', with a 'count'",
        "speed": "state it as 'compute'",
    }

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if self.cpu is not None and list(
            clashes([(self.name, self.count), (self.cpu.name, self.cpu.count)])
        ):
            raise InputError("the accelerators and 'cpu' have a name in common; rename one of them")
        return self

    @property
    def most_in_flight(self) -> int:
        """Micro-batches whose saved tensors an accelerator must have room for."""
        if self.in_flight is not None:
            return self.in_flight
        machines = self.count + (0 if self.cpu is None else self.cpu.count)
        return min(2 * machines - 1, self.micro_batches)

    def names(self) -> list[str]:
        """Name of every single accelerator, and of every CPU behind them."""
        own = expanded_names(self.name, self.count)
        return own if self.cpu is None else [*own, *self.cpu.names()]
