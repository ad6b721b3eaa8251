"""Documents checked against a schema, and what is wrong with them in one sentence.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from splitopt.errors import InputError, shown
from splitopt.names import clean_name, clean_note

MOST_MISTAKES = 8
"""Mistakes of one document that a message lists."""
_MOST_OF_A_VALUE = 60

Read = TypeVar("Read")


class Document(BaseModel):
    """A part of a JSON document: immutable, without unknown fields, a text is no number.

    Lists are lists (a tuple would refuse them), and numbers are finite.
    """

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class Record(Document):
    """A part of a document that may hold more than is read here."""

    model_config = ConfigDict(extra="allow")


Name = Annotated[str, AfterValidator(lambda name: clean_name(name, ""))]
"""A text that is shown to people, without control characters."""
Note = Annotated[str, AfterValidator(lambda note: clean_note(note, ""))]
"""A text of several lines, without control characters."""
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def validated(schema: type[Read], data: Any, source: str) -> Read:
    """Return `data` as the schema has it.

    Parameters
    ----------
    schema
        A pydantic model, or any type that pydantic checks, such as ``list[float]``.
    data
        Plain data, as `splitopt.files.parse_json` returns it.
    source
        The file, or the place in it, for the message.

    Raises
    ------
    InputError
        The data is not of this form; all mistakes are named, at most `MOST_MISTAKES`.
    """
    try:
        return _checker(schema).validate_python(data)  # type: ignore[arg-type, no-any-return]
    except ValidationError as error:
        raise InputError.at(source, mistakes(error, data)) from None
    except RecursionError:
        raise InputError.at(source, "is nested too deeply") from None


@lru_cache(maxsize=64)
def _checker(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)


def mistakes(error: ValidationError, data: Any = None) -> str:
    """Return what is wrong with a document: each mistake with its place, at most `MOST_MISTAKES`.

    A place in which several types were tried has one mistake: what the first type says.
    """
    found: dict[str, str] = {}
    for one in error.errors(include_url=False):
        place = place_of(one["loc"], data, one["type"])
        found.setdefault(place, sentence(one))
    told = [f"{place}: {text}" if place else text for place, text in found.items()]
    more = len(told) - MOST_MISTAKES
    if more > 0:
        told = [*told[:MOST_MISTAKES], f"and {more} more"]
    return "; ".join(told)


def place_of(steps: Iterable[int | str], data: Any = None, kind: str = "") -> str:
    """Return the place of a mistake as it is written in messages, such as ``devices[0].name``.

    Steps that lead nowhere in the data are names of the types that were tried there: left out.
    """
    place, here = "", data
    steps = list(steps)
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if _holds(here, step):
            here = here[step]
        elif not (data is None or (last and kind in ("missing", "extra_forbidden"))):
            continue
        if isinstance(step, int):
            place += f"[{step}]"
        else:
            name = step if step.isidentifier() else shown(step, _MOST_OF_A_VALUE)
            place += f".{name}" if place else name
    return place


def _holds(data: Any, step: int | str) -> bool:
    if isinstance(data, Mapping):
        return step in data
    is_list = isinstance(data, Sequence) and not isinstance(data, str)
    return is_list and isinstance(step, int) and step < len(data)


def sentence(mistake: Mapping[str, Any]) -> str:
    """Return one mistake in words, without its place."""
    kind, message = mistake["type"], str(mistake["msg"])
    if kind in ("value_error", "assertion_error"):
        return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "missing":
        return "this field is missing"
    if kind == "extra_forbidden":
        return "this field is unknown; check its spelling"
    if kind == "too_short":
        return "is empty; it needs at least one entry"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        message = "it must be an object"
    message = message.replace("Input should be a valid", "it must be a")
    message = message.replace("it must be a string", "it must be a text")
    message = message.replace("it must be a integer", "it must be a whole number")
    message = message.replace("Input should be", "it must be")
    value = shown(mistake.get("input"), _MOST_OF_A_VALUE)
    return f"is {value}; {message[:1].lower()}{message[1:]}"
