"""What differs between two plans, as values and as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = "splitopt-plan-diff"
VERSION = 1


@dataclass(frozen=True)
class InputChange:
    """A field of the scenario or the profile that is not the same.

    Parameters
    ----------
    section, names, field
        Where it stands: ``devices``, the entries of that list that changed alike, and the path
        inside each; without names the path inside the section.
    before, after
        Plain values; None where the field is absent.
    factor
        After over before, where both are quantities of one kind or numbers, and before is not 0.
    words
        What changed, where the values are too long to be shown.
    """

    section: str
    names: tuple[str, ...]
    field: str
    before: Any
    after: Any
    factor: float | None = None
    words: str | None = None

    @property
    def place(self) -> str:
        """The path of the field, of the first entry where several changed alike."""
        entry = f"[{self.names[0]}]" if self.names else ""
        return f"{self.section}{entry}{'.' if self.field else ''}{self.field}"


@dataclass(frozen=True)
class DecisionChange:
    """What changed for devices (or nodes, or groups) whose decision changed in the same way.

    Parameters
    ----------
    names
        Who they are; empty where something was decided for all.
    before, after
        Field -> text or number, of those fields that changed; None where one is absent.
    round_s
        Seconds of a round of the first of them before and after, where devices have one.
    """

    names: tuple[str, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    round_s: tuple[float, float] | None = None


@dataclass(frozen=True)
class NumberChange:
    """A number that both plans promise.

    Parameters
    ----------
    name, unit
        What it is, and ``s``, ``J``, ``B``, or nothing.
    before, after
        The two values.
    """

    name: str
    unit: str
    before: float
    after: float

    @property
    def change(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def relative(self) -> float | None:
        """The change as a fraction of the value before; None where that is 0."""
        return None if self.before == 0 else self.change / abs(self.before)


@dataclass(frozen=True)
class Certificate:
    """What a plan says of its own quality.

    Parameters
    ----------
    outcome, solver, stop_reason
        As in its result.
    objective, bound, gap
        None where there is none.
    """

    outcome: str
    solver: str
    stop_reason: str
    objective: float | None
    bound: float | None
    gap: float | None


@dataclass(frozen=True)
class KeptDecision:
    """The decision of the first plan on the inputs of the second.

    Parameters
    ----------
    objective
        Its value there; None where it cannot be used there.
    reason
        Why it cannot.
    saves
        What the second plan saves of that value, as a fraction of it.
    """

    objective: float | None
    reason: str | None = None
    saves: float | None = None


@dataclass(frozen=True)
class PlanDiff:
    """What differs between plan A (before) and plan B (after).

    Parameters
    ----------
    problem, objective
        Of A and of B.
    unit
        Of the objectives, where both have the same.
    comparable
        Whether both answer the same problem with the same objective, so that values compare.
    inputs, decision, prediction
        What changed in each part.
    certificates
        Of A and of B.
    kept
        A's decision on B's inputs, where problem, objective and devices are the same.
    devices
        How many are in both, in A only and in B only, by name; None of plans by group or of a file.
    gains
        What B gains or loses, in a sentence.
    notes
        What was not compared and why, and certificates that contradict each other.
    """

    problem: tuple[str, str]
    objective: tuple[str, str]
    unit: str | None
    comparable: bool
    inputs: tuple[InputChange, ...]
    decision: tuple[DecisionChange, ...]
    prediction: tuple[NumberChange, ...]
    certificates: tuple[Certificate, Certificate]
    kept: KeptDecision | None
    devices: tuple[int, int, int] | None
    gains: str
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything but the clock, the solver's course and its versions differs."""
        asked = self.problem[0] != self.problem[1] or self.objective[0] != self.objective[1]
        proved = self.certificates[0].outcome != self.certificates[1].outcome
        changed = (one for one in self.prediction if one.change != 0)
        return asked or proved or bool(self.inputs or self.decision) or any(changed)

    def to_dict(self) -> dict[str, Any]:
        """Return what differs as JSON-ready data."""
        found = asdict(self)
        found["inputs"] = [{"place": one.place, **asdict(one)} for one in self.inputs]
        found["prediction"] = [
            {**asdict(one), "change": one.change, "relative": one.relative}
            for one in self.prediction
        ]
        return {
            "format": FORMAT,
            "version": VERSION,
            "differs": self.differs,
            **{
                key: list(value) if isinstance(value, tuple) else value
                for key, value in found.items()
            },
        }
