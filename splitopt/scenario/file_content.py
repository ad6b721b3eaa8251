"""Fields of a scenario that hold the content of a file of another format.

Where the scenario is a file itself it may name that file, whose content is read in its place: so a
scenario, and a plan made of it, needs no other file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from splitopt.errors import InputError, shown


@dataclass(frozen=True)
class FileContent:
    """Marks a field as an object with the content of a file.

    Parameters
    ----------
    kind
        Its class, which has ``from_dict`` and ``to_dict``.
    what, file
        What it is, and what its file is called, in messages.
    schema
        Returns the JSON schema of the field.
    """

    kind: type[Any]
    what: str
    file: str
    schema: Callable[[], dict[str, Any]]

    def read(self, value: Any) -> Any:
        """Turn plain data into the object; raise `InputError` for the name of a file."""
        if isinstance(value, self.kind):
            return value
        if isinstance(value, str):
            raise InputError(
                f"{shown(value)} names a file, which only a scenario file can; give the content of "
                f"the {self.file}"
            )
        return self.kind.from_dict(value, self.what)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.to_dict(), when_used="json-unless-none"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.schema()
