"""What the parts of a scenario are made of: strict records, names, and machines that compute."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from splitopt.errors import InputError
from splitopt.scenario.quantity import Size, Speed

Name = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Count = Annotated[StrictInt, Field(ge=1, le=10**9)]


class Part(BaseModel):
    """A part of a scenario: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Machine(Part):
    """Something that computes: at a speed, or as a machine that the model was measured on."""

    name: Name
    compute: Speed | None = None
    machine: Name | None = None
    memory: Size | None = None

    @model_validator(mode="after")
    def _has_one_speed(self) -> Self:
        if (self.compute is None) == (self.machine is None):
            raise InputError("needs either 'compute' (a speed) or 'machine' (a measured one)")
        return self

    @property
    def speed(self) -> float | str:
        """Its speed in FLOP/s, or the name of the measured machine that it is."""
        if self.machine is not None:
            return self.machine
        assert self.compute is not None  # the validator saw to it
        return self.compute
