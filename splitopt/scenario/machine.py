"""What the parts of a scenario are made of: strict records, names, and machines that compute."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from splitopt.errors import InputError
from splitopt.profiles.machine_model import MachineModel
from splitopt.scenario.machine_model import StatedModel
from splitopt.scenario.quantity import Size, Speed

Name = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Count = Annotated[StrictInt, Field(ge=1, le=10**9)]


class Part(BaseModel):
    """A part of a scenario: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Machine(Part):
    """Something that computes: at a speed, as a measured machine, or as a machine model says."""

    name: Name
    compute: Speed | None = None
    machine: Name | None = None
    machine_model: StatedModel | None = None
    memory: Size | None = None

    @model_validator(mode="after")
    def _has_one_speed(self) -> Self:
        stated = [self.compute, self.machine, self.machine_model]
        if sum(one is not None for one in stated) != 1:
            raise InputError(
                "needs exactly one of 'compute' (a speed), 'machine' (a measured one) and "
                "'machine_model' (a fitted one)"
            )
        return self

    @property
    def speed(self) -> float | str | MachineModel:
        """Its speed in FLOP/s, the name of the measured machine that it is, or its model."""
        if self.machine is not None:
            return self.machine
        if self.machine_model is not None:
            return self.machine_model
        assert self.compute is not None  # the validator saw to it
        return self.compute
