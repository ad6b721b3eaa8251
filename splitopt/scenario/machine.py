"""What the parts of a scenario are made of: strict records, names, and machines that compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from splitopt.documents.mistakes import Mistake, mistakes_of, told
from splitopt.documents.names import clean_name, clean_note
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.profiles.fitting.machine_model import MachineModel
from splitopt.scenario.machine_model import StatedModel
from splitopt.scenario.quantity import WHOLE, Size, Speed


def _read_name(name: str) -> str:
    if name.strip() != name:
        raise InputError(f"is {shown(name)}; take out the space at its ends")
    return clean_name(name, "")


Name = Annotated[
    StrictStr,
    Field(min_length=1, max_length=200, json_schema_extra={"pattern": r"^\S(.*\S)?$"}),
    AfterValidator(_read_name),
]
Note = Annotated[StrictStr, AfterValidator(lambda note: clean_note(note, ""))]
Count = Annotated[int, Field(ge=1, le=10**9), WHOLE]


class Part(BaseModel):
    """A part of a scenario: immutable, and strict about unknown fields.

    Numbers that Python gives it are in SI units. `model_copy` returns it with other values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ALSO_READ: ClassVar[tuple[str, ...]] = ()
    """Names in a file that are no fields, such as those in decibels."""
    HINTS: ClassVar[Mapping[str, str]] = {}
    """Names that people expect here -> what to write instead."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy in which some fields have other values, numbers in SI units.

        Each value is checked as a field, and the values are not checked against each other.

        Raises
        ------
        InputError
            There is no such field, or the value does not fit there.
        """
        checked: dict[str, Any] = {}
        mistakes: list[Mistake] = []
        known = type(self).model_fields
        for name, value in (update or {}).items():
            if name not in known:
                hint = did_you_mean(name, known)
                mistakes.append(Mistake((name,), f"this field is unknown{hint}"))
                continue
            if isinstance(value, tuple) and value == known[name].default:
                checked[name] = value  # as where it is not given at all
                continue
            try:
                checked[name] = _adapter(type(self), name).validate_python(value)
            except ValidationError as error:
                found = mistakes_of(error, value)
                mistakes += [Mistake((name, *path), text) for path, text in found]
        if mistakes:
            raise InputError(told(mistakes, None, type(self).__name__))
        return super().model_copy(update=checked, deep=deep)

    def _with(self, **changes: Any) -> Self:
        """Return a copy with values that are known to fit."""
        return super().model_copy(update=changes)

    def __dir__(self) -> Iterable[str]:
        """Leave out the names that pydantic keeps for old code."""
        return [name for name in super().__dir__() if name not in _OLD_NAMES]


_OLD_NAMES = frozenset(
    (
        "construct",
        "copy",
        "dict",
        "from_orm",
        "json",
        "parse_file",
        "parse_obj",
        "parse_raw",
        "schema",
        "schema_json",
        "update_forward_refs",
        "validate",
    )
)


@cache
def _adapter(part: type[Part], name: str) -> TypeAdapter[Any]:
    """Build what checks one field of a part, at its first use."""
    field = part.model_fields[name]
    wanted: Any = field.annotation
    for extra in field.metadata:
        wanted = Annotated[wanted, extra]
    return TypeAdapter(wanted)


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
