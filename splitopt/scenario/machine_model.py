"""The field of a scenario that states a machine by its model: a file, or the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from splitopt.documents.fields import expect_keys
from splitopt.errors import InputError, shown
from splitopt.profiles.fitting.machine_model import MachineModel
from splitopt.profiles.table.operator_counts import FEATURES

FIELD = "machine_model"
SECTIONS = ("devices", "servers", "nodes")


@dataclass(frozen=True)
class _Stated:
    """Marks a field as a machine model, an object with the content of a machine file."""

    def read(self, value: Any) -> MachineModel:
        """Turn plain data into the model."""
        if isinstance(value, MachineModel):
            return value
        if isinstance(value, str):
            raise InputError(
                f"{shown(value)} names a file, which only a scenario file can; give the content of "
                "the machine file"
            )
        return MachineModel.from_dict(value, "machine model")

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
        number = {"type": "number", "minimum": 0}
        file = {
            "type": "object",
            "properties": {
                "file": {"type": "string"},
                "batch": {"type": "integer", "minimum": 1},
            },
            "required": ["file"],
            "additionalProperties": False,
        }
        whole = {
            "type": "object",
            "properties": {
                "format": {"const": "splitopt-machine"},
                "version": {"const": 1},
                "name": {"type": "string"},
                "batch": {"type": "integer", "minimum": 1},
                "seconds_per": {
                    "type": "object",
                    "properties": dict.fromkeys(FEATURES, number),
                    "additionalProperties": False,
                },
                "message_s": number,
                "interval": {"type": ["object", "null"]},
                "fitted_on": {"type": "array", "items": {"type": "string"}},
                "notes": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["format", "version", "name", "batch", "seconds_per"],
            "additionalProperties": False,
        }
        return {
            "description": "A machine file, 'file' and a 'batch' of its own, or a file's content.",
            "anyOf": [{"type": "string"}, file, whole],
        }


StatedModel = Annotated[MachineModel, _Stated()]


def with_machine_files_read(document: Any, folder: Path) -> Any:
    """Put the content of machine files in the place of their names.

    So a scenario, and a plan made of it, needs no other file. ``machine_model: FILE`` and
    ``machine_model: {file: FILE, batch: N}`` are relative to the scenario's folder; the model is
    then that for batches of N.
    """
    if not isinstance(document, Mapping):
        return document
    found = dict(document)
    for section in SECTIONS:
        parts = found.get(section)
        if isinstance(parts, list):
            found[section] = [
                _with_file_read(part, folder, f"{section}[{index}].{FIELD}")
                for index, part in enumerate(parts)
            ]
    return found


def _with_file_read(part: Any, folder: Path, place: str) -> Any:
    stated = part.get(FIELD) if isinstance(part, Mapping) else None
    if isinstance(stated, str):
        stated = {"file": stated}
    if not isinstance(stated, Mapping) or "file" not in stated:
        return part
    expect_keys(stated, place, ("file",), ("batch",))
    if not isinstance(stated["file"], str):
        raise InputError.at(f"{place}.file", f"is {shown(stated['file'])}; give the name of a file")
    model = MachineModel.load(folder / stated["file"])
    if "batch" in stated:
        try:
            model = replace(model, batch=stated["batch"])
        except InputError as error:
            raise InputError(f"{place}.{error}") from None
    return {**part, FIELD: model.to_dict()}
