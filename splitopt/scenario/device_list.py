"""The section ``devices``: a list of entries, or columns with a row for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from splitopt.errors import InputError, shown
from splitopt.scenario.columns import (
    AS_ENTRIES,
    read_device_columns,
    read_device_file,
)
from splitopt.scenario.device_columns import DeviceColumns
from splitopt.scenario.parts import Device


class _EntriesOrColumns:
    """Has pydantic read and write the entries, and to leave columns to `DeviceColumns`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        entries = handler.generate_schema(Annotated[tuple[Device, ...], Field(min_length=1)])
        return core_schema.no_info_wrap_validator_function(
            _read,
            entries,
            serialization=core_schema.wrap_serializer_function_ser_schema(_write, schema=entries),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        listed = handler(schema["schema"])
        file = {
            "type": "object",
            "properties": {"file": {"type": "string", "examples": ["fleet.csv"]}},
            "required": ["file"],
            "additionalProperties": False,
        }
        columns = {
            "type": "object",
            "properties": {"columns": {"type": "object"}},
            "required": ["columns"],
            "additionalProperties": False,
        }
        return {"anyOf": [listed, file, columns]}


Devices: TypeAlias = Annotated[tuple[Device, ...] | DeviceColumns, _EntriesOrColumns()]


NO_DEVICES: tuple[Device, ...] = ()
"""The devices of a scenario with accelerators, which has none."""


def _read(value: Any, entries: Any) -> Any:
    if isinstance(value, DeviceColumns) or (isinstance(value, tuple) and not value):
        return value
    if isinstance(value, Mapping):
        if "file" in value:
            raise InputError("names a file, which only Scenario.load and the command line read")
        return read_device_columns(value, "")
    return entries(value)


def _write(value: Any, entries: Any) -> Any:
    return value.to_plain() if isinstance(value, DeviceColumns) else entries(value)


def with_device_file_read(document: Any, folder: Path) -> Any:
    """Replace the name of a file in ``devices`` by the devices of that file.

    A file of up to `AS_ENTRIES` rows is as if its devices were listed here.
    """
    section = document.get("devices") if isinstance(document, Mapping) else None
    if not isinstance(section, Mapping) or "file" not in section:
        return document
    if set(section) != {"file"} or not isinstance(section["file"], str):
        other = next((key for key in section if key != "file"), None)
        wrong = f"has {shown(other)} beside 'file'" if other is not None else "'file' is no text"
        raise InputError.at("devices", f"{wrong}; write {{file: fleet.csv}}")
    columns = read_device_file(folder / section["file"])
    devices = columns.entries() if len(columns) <= AS_ENTRIES else columns
    return {**document, "devices": devices}
