"""The field of a scenario that states a machine by its model: a file, or the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from splitopt.documents.fields import expect_keys
from splitopt.errors import InputError, shown
from splitopt.profiles.fitting.machine_model import MachineModel
from splitopt.profiles.table.operator_counts import FEATURES
from splitopt.scenario.file_content import FileContent

FIELD = "machine_model"
SECTIONS = ("devices", "servers", "nodes")


def _model_schema() -> dict[str, Any]:
    """Return the JSON schema of a machine model."""
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


StatedModel = Annotated[
    MachineModel, FileContent(MachineModel, "machine model", "machine file", _model_schema)
]


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
    if isinstance(found.get("accelerators"), Mapping):
        own = _with_file_read(found["accelerators"], folder, f"accelerators.{FIELD}")
        cpu = _with_file_read(own.get("cpu"), folder, f"accelerators.cpu.{FIELD}")
        found["accelerators"] = {**own, "cpu": cpu} if "cpu" in own else own
    stated = found.get("replication")
    if isinstance(stated, Mapping) and isinstance(stated.get("types"), list):
        found["replication"] = {
            **stated,
            "types": [
                _with_file_read(part, folder, f"replication.types[{index}].{FIELD}")
                for index, part in enumerate(stated["types"])
            ],
        }
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
