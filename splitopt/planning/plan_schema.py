"""The JSON Schema of a plan file, for editors and for programs that read plans."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from splitopt.plan_documents import PlanDocument
from splitopt.planning.explaining import explained_problems
from splitopt.planning.predictions import Prediction
from splitopt.problems.registry import module_of
from splitopt.scenario import scenario_schema

_PREDICTIONS = "splitopt.planning.predictions"


def plan_schema() -> dict[str, Any]:
    """Return the schema of the plan files that this release writes.

    The scenario in a plan is as in a scenario file, whose schema is embedded, and the prediction
    has the fields of the plan's problem. Hashes, and that a decision does what it promises, are
    beyond a schema: `splitopt.planning.open_plan` checks them.
    """
    problems = {name: _prediction_class(name) for name in explained_problems()}
    found = [(PlanDocument, "validation"), *((kind, "validation") for kind in problems.values())]
    references, shared = models_json_schema(found)  # type: ignore[arg-type]
    parts: dict[str, Any] = shared["$defs"]
    plan = parts.pop(references[PlanDocument, "validation"]["$ref"].rpartition("/")[2])
    scenario = scenario_schema()
    properties = plan["properties"]
    properties["scenario"] = {"$id": "scenario.schema.json", **scenario}
    properties["profile"]["required"] = ["format", "version", "name", "layers"]
    cases = [_case(name, references[kind, "validation"]) for name, kind in problems.items()]
    return {
        "$schema": scenario["$schema"],
        "$id": "plan.schema.json",
        **plan,
        "allOf": [*cases, _both_or_neither()],
        "$defs": parts,
    }


def _prediction_class(problem: str) -> type[Prediction]:
    module = module_of(_PREDICTIONS, problem)
    assert module is not None  # every problem that is explained has one
    kinds = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Prediction) and value is not Prediction
    ]
    (found,) = (kind for kind in kinds if kind.__module__ == module.__name__)
    return found


def _case(problem: str, prediction: Any) -> dict[str, Any]:
    """Return that the parts of a plan of one problem are those of that problem."""
    decision = {"properties": {"problem": {"const": problem}}, "required": ["problem"]}
    return {
        "if": {"properties": {"problem": {"const": problem}}},
        "then": {
            "properties": {
                "decision": {"anyOf": [decision, {"type": "null"}]},
                "prediction": {"anyOf": [prediction, {"type": "null"}]},
            }
        },
    }


def _both_or_neither() -> dict[str, Any]:
    """Return that decision and prediction are both null or neither."""
    null = {"type": "null"}
    return {
        "if": {"properties": {"decision": null}},
        "then": {"properties": {"prediction": null}},
        "else": {"properties": {"prediction": {"not": null}}},
    }
