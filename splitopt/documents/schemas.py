"""Documents checked against a schema, and what is wrong with them in one sentence.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from splitopt.documents.mistakes import mistakes_of, told
from splitopt.documents.names import clean_name, clean_note
from splitopt.errors import InputError

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


def _clean(data: Any) -> Any:
    """Check all names and texts in plain data, however deep."""
    inside = [data]
    while inside:
        item = inside.pop()
        if isinstance(item, str):
            clean_note(item, "")
        elif isinstance(item, Mapping):
            inside += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            inside += item
    return data


Plain = Annotated[dict[str, Any], AfterValidator(_clean)]
"""Plain data of any form, whose texts have no control characters."""
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
        Plain data, as `splitopt.documents.json_text.parse_json` returns it.
    source
        The file, or the place in it, for the message.

    Raises
    ------
    InputError
        The data is not of this form; all mistakes are named, see `mistakes.told`.
    """
    try:
        return _checker(schema).validate_python(data)  # type: ignore[arg-type, no-any-return]
    except ValidationError as error:
        model = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
        raise InputError(told(mistakes_of(error, data, model), data, source)) from None
    except RecursionError:
        raise InputError.at(source, "is nested too deeply") from None


@lru_cache(maxsize=64)
def _checker(schema: Any) -> TypeAdapter[Any]:
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return TypeAdapter(schema)  # which has a configuration of its own
    return TypeAdapter(schema, config=ConfigDict(strict=True, allow_inf_nan=False))
