"""The pydantic type of a physical quantity: text with a unit in files, an SI number in Python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from splitopt import units
from splitopt.errors import InputError


@dataclass(frozen=True)
class Quantity:
    """Marks a float field as a quantity of one kind, a key of `splitopt.units.KINDS`.

    It is above 0, or at least 0 where ``zero`` says that nothing is a sensible amount of it.
    """

    kind: str
    zero: bool = False

    def read(self, value: Any, info: ValidationInfo) -> float:
        """Turn a text with a unit into an SI number; in a file, a bare number is refused."""
        from_file = bool(info.context and info.context.get("from_file"))
        if isinstance(value, int | float) and not isinstance(value, bool) and not from_file:
            number = float(value)
        else:
            number = units.parse(value, self.kind)
        if not math.isfinite(number) or number < 0 or (number == 0 and not self.zero):
            least = "0 or more" if self.zero else "above 0"
            raise InputError(f"{value!r} is not possible for a {self.kind}, it must be {least}")
        return number

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: units.render(value, self.kind), when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        example = units.KINDS[self.kind].example
        return {
            "type": "string",
            "pattern": r"^\s*\+?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*[A-Za-zµ].*$",
            "description": f"A {self.kind} as a number with a unit, such as {example!r}.",
            "examples": [example],
        }


Rate = Annotated[float, Quantity("rate")]
Size = Annotated[float, Quantity("size")]
Speed = Annotated[float, Quantity("compute speed")]
Time = Annotated[float, Quantity("time")]
Delay = Annotated[float, Quantity("time", zero=True)]
Power = Annotated[float, Quantity("power")]
Bandwidth = Annotated[float, Quantity("bandwidth")]
NoiseDensity = Annotated[float, Quantity("noise density")]
PowerGain = Annotated[float, Field(gt=0, allow_inf_nan=False)]
