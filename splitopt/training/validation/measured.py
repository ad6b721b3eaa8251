"""A plan's round as it was measured over real connections, beside what was predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from splitopt.results import finite_or_none
from splitopt.showing import Drawn
from splitopt.timeline import Timeline
from splitopt.training.validation.comparing import Validation, relative


@dataclass(frozen=True)
class BytesRow:
    """Bytes of one kind over all rounds; `predicted` is None for what no table has."""

    kind: str
    predicted: float | None
    measured: float


@dataclass(frozen=True, eq=False)
class Measured(Drawn):
    """What a run over real connections says of a plan.

    Parameters
    ----------
    name, problem
        Of the plan's scenario, and the problem that it answers.
    predicted, measured
        Both in the plan's seconds.
    validation
        The comparison of the two.
    time_scale
        Measured s for each s of the plan.
    rounds
        How many rounds were run.
    stopped
        Why the run ended: ``"rounds"``, or ``"interrupted"`` by Ctrl-C.
    traffic
        Bytes by kind.
    facts
        Further words for people, label and text.
    promised_s
        What the plan itself promises for these rounds (``prediction.round_s`` of its file, for a
        cut under uncertainty the mean over samples); None for a plan that promises nothing.
    """

    name: str
    problem: str
    predicted: Timeline
    measured: Timeline
    validation: Validation
    time_scale: float
    rounds: int
    traffic: tuple[BytesRow, ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default=())
    stopped: str = "rounds"
    promised_s: float | None = None

    def refuted(self, within: float) -> list[str]:
        """Report what is off by more than a fraction: the median step, or the whole.

        Bytes that are not as predicted, and tasks that were never measured, refute a plan too.
        """
        validation = self.validation
        found = [
            f"{what} is off by {100 * error:+.3g} %"
            for what, error in (
                ("the median step", validation.steps.relative_error),
                ("the round" if self.rounds == 1 else "the whole", validation.relative_error),
            )
            if not abs(error) <= within
        ]
        found += [
            f"bytes ({row.kind}) are {row.measured:,.0f} where {row.predicted:,.0f} were predicted"
            for row in self.traffic
            if row.predicted is not None and row.measured != row.predicted
        ]
        missing = sum(one.tasks for one in validation.missing)
        return found + ([f"{missing} tasks were never measured"] if missing else [])

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON-ready data, without the tasks."""
        document: Mapping[str, Any] = {
            "name": self.name,
            "problem": self.problem,
            "time_scale": self.time_scale,
            "rounds": self.rounds,
            "stopped": self.stopped,
            **self.validation.to_dict(),
            "promised_s": self.promised_s,
            "promise_relative_error": None
            if self.promised_s is None
            else relative(self.promised_s, self.validation.measured_s),
            "bytes": [
                {"kind": row.kind, "predicted": row.predicted, "measured": row.measured}
                for row in self.traffic
            ],
            "facts": dict(self.facts),
        }
        finite: dict[str, Any] = finite_or_none(document)
        return finite
