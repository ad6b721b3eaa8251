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

from splitopt.documents.json_text import expect_format, parse_json
from splitopt.documents.kinds import refuse_scenario_name
from splitopt.documents.reading import read_text
from splitopt.documents.taking import path_of, take
from splitopt.errors import InputError
from splitopt.storage.writing import write_atomic

FORMAT = "splitopt-plan"
VERSION = 1
_HASHED = ("scenario", "profile", "decision", "prediction")


def digest(data: Any) -> str:
    """SHA-256 of JSON-ready data in its canonical form: sorted keys, no spaces."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of(data: Any, place: str) -> str:
    """Return the digest of data that was read; raise `InputError` if it can have none."""
    try:
        return digest(data)
    except (ValueError, TypeError):
        raise InputError.at(place, "holds what JSON cannot write, such as infinity") from None
    except RecursionError:
        raise InputError.at(place, "is nested too deeply") from None


@dataclass(frozen=True)
class Plan:
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
    notes
        Sentences that a reader should know, such as a limit that could not be checked.
    """

    problem: str
    objective: str
    scenario: Mapping[str, Any]
    profile: Mapping[str, Any]
    decision: Mapping[str, Any] | None
    prediction: Mapping[str, Any] | None
    result: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    def is_feasible(self) -> bool:
        """Whether there is a decision."""
        return self.decision is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-ready data, with the hash of each part."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        content["notes"] = list(self.notes)
        hashes = {name: digest(content[name]) for name in _HASHED}
        return {"format": FORMAT, "version": VERSION, **content, "hashes": hashes}

    @classmethod
    def from_dict(cls, document: Any, source: str = "plan") -> Plan:
        """Read a plan; a part that does not match its hash is refused."""
        from splitopt.documents.schemas import validated
        from splitopt.plan_documents import PlanDocument

        checked = dict(expect_format(document, source, FORMAT, VERSION))
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
        write_atomic(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan file."""
        path = path_of(path)
        refuse_scenario_name(path)
        return cls.from_dict(parse_json(read_text(path), str(path)), str(path))


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
