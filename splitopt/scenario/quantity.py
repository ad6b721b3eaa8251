"""The types of a scenario's numbers: quantities with units, plain and whole numbers, truth.

A quantity is a text with a unit in files and plain data, an SI number in Python.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
)
from pydantic_core import CoreSchema, core_schema

from splitopt import units
from splitopt.documents.checks import as_float, as_whole, is_integer, is_number, is_real
from splitopt.errors import InputError, shown

LEAST, MOST = 1e-30, 1e30
"""SI amounts that make sense: products of a few of them are still floating-point numbers."""

_PERCENT = re.compile(r"\s*([-+]?[0-9.]+)\s*%\s*$")
_OCTAL = re.compile(r"[-+]?0[0-9_]+$")
_CLOCK = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?$")
_SEPARATED = re.compile(r"[-+]?[0-9]+([_,' ][0-9]+)+$")
_PLAIN = re.compile(r"\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*$")
_YES, _NO = ("yes", "y", "on", "true", "1"), ("no", "n", "off", "false", "0")


@dataclass(frozen=True)
class Quantity:
    """Marks a float field as a quantity of one kind, a key of `splitopt.units.KINDS`.

    It is above 0, or at least 0 where ``zero`` says that nothing is a sensible amount of it.
    """

    kind: str
    zero: bool = False

    def read(self, value: Any, info: ValidationInfo) -> float:
        """Turn a text with a unit into an SI number; in plain data, a bare number is refused."""
        given = is_number(value)
        number = as_float(value) if given and takes_si(info) else units.parse(value, self.kind)
        if not math.isfinite(number) or number < 0 or (number == 0 and not self.zero):
            least = "0 or more" if self.zero else "above 0"
            raise InputError(
                f"{shown(value)} is not possible for a {self.kind}, it must be {least}"
            )
        if number != 0 and not LEAST <= number <= MOST:
            raise InputError(
                f"{shown(value)} is no sensible {self.kind}; it must be from {LEAST:g} to {MOST:g} "
                f"{units.KINDS[self.kind].unit}"
            )
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


def takes_si(info: ValidationInfo) -> bool:
    """Report whether bare numbers are SI numbers: in Python they are, in JSON and files never."""
    return info.mode != "json" and not (info.context and info.context.get("units"))


def read_number(value: Any) -> float:
    """Read a finite number; a text is refused with the number that it may mean."""
    if not is_real(value):
        raise InputError(f"is {shown(value, 60)}; {_mend(value, 'a number')}")
    if not math.isfinite(number := as_float(value)):
        raise InputError(f"is {number}; it must be a finite number")
    return int(value) if is_integer(value) else number


def read_factor(value: Any) -> float:
    """Read a number above 0 that changes an amount by no more than nine orders of magnitude."""
    number = read_number(value)
    if not 1e-9 <= number <= 1e9:
        raise InputError(f"is {shown(value, 60)}; it must be above 0, from 1e-9 to 1e9")
    return number


def read_whole(value: Any) -> int:
    """Read a whole number, also one that is written ``1e3``."""
    if (found := as_whole(value)) is None:
        raise InputError(f"is {shown(value, 60)}; {_mend(value, 'a whole number')}")
    return found


def read_truth(value: Any) -> bool:
    """Read true or false; ``yes`` and ``off`` are true and false in YAML 1.1 only."""
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, str | int) else ""
    meant = "true" if word in _YES else "false" if word in _NO else "true or false"
    raise InputError(f"is {shown(value, 60)}; write {meant}")


def _mend(value: Any, wanted: str) -> str:
    """Report how what is no number may be meant."""
    text = value.strip() if isinstance(value, str) and len(value) <= 60 else ""
    if percent := _PERCENT.match(text):
        return f"write {_plain(percent[1], 0.01)}, a number without %"
    if _OCTAL.match(text):
        digits = text.replace("_", "").lstrip("+-0") or "0"
        octal = "" if set(digits) & {"8", "9"} else f", or 0o{digits} for {int(digits, 8)}"
        return f"leading zeros mean octal to some readers of YAML; write {digits}{octal}"
    if _CLOCK.match(text):
        return "some readers of YAML take this for minutes and seconds; write the number itself"
    if _SEPARATED.match(text):
        return f"write {re.sub('[_, ]', '', text).replace(chr(39), '')}, without separators"
    if _PLAIN.match(text):
        return f"write {text}, without quotes"
    return f"it must be {wanted}"


def _plain(text: str, factor: float) -> str:
    try:
        return f"{float(text) * factor:.12g}"
    except ValueError:
        return "a share from 0 to 1"


NUMBER = BeforeValidator(read_number)
"""Of a float field: no text and no truth value is a number. It stands last in `Annotated`."""
WHOLE = BeforeValidator(read_whole)
"""The same of an int field."""

Rate = Annotated[float, Quantity("rate")]
Size = Annotated[float, Quantity("size")]
Speed = Annotated[float, Quantity("compute speed")]
Work = Annotated[float, Quantity("work")]
Time = Annotated[float, Quantity("time")]
Delay = Annotated[float, Quantity("time", zero=True)]
Power = Annotated[float, Quantity("power")]
Bandwidth = Annotated[float, Quantity("bandwidth")]
NoiseDensity = Annotated[float, Quantity("noise density")]
PowerGain = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]
Factor = Annotated[
    float,
    Field(json_schema_extra={"minimum": 1e-9, "maximum": 1e9}),
    BeforeValidator(read_factor),
]
"""What something is multiplied by."""
Truth = Annotated[bool, BeforeValidator(read_truth)]
