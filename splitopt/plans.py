"""The plan: one self-contained file from the optimizer to whatever trains.

It holds the scenario, the profile, the decision and the prediction as plain data with hashes, so
that no later step needs another file. The problem that made the decision decodes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from splitopt.documents.json_text import read_json
from splitopt.documents.kinds import refuse_scenario_name
from splitopt.documents.taking import path_of, take
from splitopt.errors import InputError
from splitopt.extras import data_frame
from splitopt.plan_result import PlanResult
from splitopt.plan_versions import FORMAT, MINOR, VERSION, at_present_version
from splitopt.showing import Drawn, Shown
from splitopt.storage.writing import write_json

CONTENT = ("scenario", "profile", "decision", "prediction")
"""The parts that make a plan what it is: two plans with the same hashes of these are trained alike,
however the decision was found."""
_HASHED = (*CONTENT, "result")


def digest(data: Any) -> str:
    """SHA-256 of JSON-ready data in its canonical form: sorted keys, no spaces."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plan_digest(plan: Plan) -> str:
    """Return the SHA-256 that names a plan wherever it goes: of its problem and its content."""
    every = plan.to_dict()["hashes"]
    return digest({"problem": plan.problem, "hashes": {name: every[name] for name in CONTENT}})


def _digest_of(data: Any, place: str) -> str:
    """Return the digest of data that was read; raise `InputError` if it can have none."""
    try:
        return digest(data)
    except (ValueError, TypeError):
        raise InputError.at(place, "holds what JSON cannot write, such as infinity") from None
    except RecursionError:
        raise InputError.at(place, "is nested too deeply") from None


@dataclass(frozen=True, repr=False)
class Plan(Shown, Drawn):
    """A decision with all that it was made from and what it promises.

    Parameters
    ----------
    problem, objective
        Which question was answered, such as ``cut_and_resources`` and ``sum``.
    scenario, profile
        What was given, as plain data (`Scenario.to_dict`, `ModelProfile.to_dict`).
    decision, prediction
        What to do and what will happen then; None where there is no feasible answer.
    result
        How the decision was found: outcome, stop reason, message, objective, bound, gap, solver.
        Plain data become a `PlanResult`, whose attributes are those of a `splitopt.Result`.
    notes
        Sentences that a reader should know, such as a limit that could not be checked.
    """

    problem: str
    objective: str
    scenario: Mapping[str, Any]
    profile: Mapping[str, Any]
    decision: Mapping[str, Any] | None
    prediction: Mapping[str, Any] | None
    result: PlanResult
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        given: Mapping[str, Any] = self.result
        if not isinstance(given, PlanResult):
            object.__setattr__(self, "result", PlanResult(given))

    def _brief(self) -> str:
        value, outcome = self.result.get("objective"), self.result.get("outcome")
        words = outcome if value is None else f"{outcome}, {value:.6g}"
        return f"{self.scenario.get('name')!r}: {self.problem}, {self.objective}, {words}"

    def to_frame(self) -> Any:
        """Return what everyone gets and how long it takes as a ``pandas.DataFrame``.

        A row for each device; of a plan by group for each part, of a pipeline for each node.
        """
        return data_frame(self.rows())

    def rows(self) -> list[Mapping[str, Any]]:
        """Return the rows of `to_frame` as plain data; none without a decision."""
        found = self.prediction or {}
        if "groups" in found:
            return list(found["groups"]["rows"])
        return list(found.get("devices") or found.get("nodes") or ())

    @property
    def is_feasible(self) -> bool:
        """Whether there is a decision."""
        return self.decision is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-ready data, with the hash of each part."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        content["notes"] = list(self.notes)
        content["result"] = self.result.to_dict()
        hashes = {name: digest(content[name]) for name in _HASHED}
        head = {"format": FORMAT, "version": VERSION, "minor": MINOR}
        return {**head, **content, "hashes": hashes}

    @classmethod
    def from_dict(cls, document: Any, source: str = "plan") -> Plan:
        """Read a plan of this version or an older one, see `splitopt.plan_versions`.

        A part that does not match its hash is refused, and so is a newer major version.
        """
        from splitopt.documents.schemas import validated
        from splitopt.plan_documents import PlanDocument

        known = PlanDocument.model_fields
        checked = at_present_version(document, source, known, _digest_of)
        validated(PlanDocument, checked, source)
        if (checked["decision"] is None) != (checked["prediction"] is None):
            raise InputError.at(
                f"{source}: prediction", "and decision belong together: both are null or neither"
            )
        for name in _HASHED:
            if checked["hashes"][name] != _digest_of(checked[name], f"{source}: {name}"):
                raise InputError.at(
                    f"{source}: {name}", "does not match its hash; the file was changed or damaged"
                )
        content = {item.name: checked[item.name] for item in fields(cls)}
        return cls(**{**content, "notes": tuple(checked["notes"])})

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON, atomically."""
        write_json(path, self.to_dict(), indent=1)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan file."""
        path = path_of(path)
        refuse_scenario_name(path)
        return cls.from_dict(read_json(path), str(path))


PlanLike = Plan | str | Path | Mapping[str, Any]
"""What functions take for a plan: the object, the path of its file, or its plain data."""


def as_plan(value: PlanLike, argument: str = "plan") -> Plan:
    """Return a plan: as it is, of a file, or of its plain data.

    Raises
    ------
    InputError
        It is none of these, or cannot be read.
    """
    mends = {
        "Scenario": "splitopt.plan(scenario) makes one",
        "Result": "a result knows no scenario: splitopt.plan(scenario) makes a plan of one",
    }
    return take(
        value, Plan, argument, Plan.load, lambda data: Plan.from_dict(data, argument), mends
    )
