"""The JSON Schema of a scenario file, for editors."""

from __future__ import annotations

from typing import Any

from splitopt.scenario.parts import DECIBELS
from splitopt.scenario.scenario import Scenario

_SHORT_FORMS = (
    ("Links", "downlink"),
    ("Links", "uplink"),
    ("Links", "nodes"),
    ("Device", "downlink"),
    ("Device", "uplink"),
    ("ServerLinks", "downlink"),
    ("ServerLinks", "uplink"),
)


def scenario_schema() -> dict[str, Any]:
    """Return the schema: pydantic's, plus the short forms and decibels that are read before it."""
    schema = Scenario.model_json_schema(mode="validation")
    parts = schema["$defs"]
    for owner, field in _SHORT_FORMS:
        full = parts[owner]["properties"][field]
        parts[owner]["properties"][field] = {"anyOf": [full, {"type": "string"}]}
    names = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    parts["Device"]["properties"]["servers"]["anyOf"].insert(0, names)
    for owner in ("Link", "Device"):
        for decibels, (field, _, _) in DECIBELS.items():
            if field in parts[owner]["properties"]:
                parts[owner]["properties"][decibels] = {
                    "type": "number",
                    "minimum": -1000,
                    "maximum": 1000,
                }
    properties = schema["properties"]
    properties["model"] = {"anyOf": [properties["model"], {"type": "string"}]}
    properties["data"]["anyOf"].append({"type": "string"})
    fleet = ["devices", "links"]
    always = [name for name in schema["required"] if name not in fleet]
    schema["required"] = ["format", "version", *always]
    kinds = [[*fleet, "servers"], [*fleet, "nodes"], ["accelerators"], ["replication"]]
    schema["anyOf"] = [{"required": kind} for kind in kinds]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
