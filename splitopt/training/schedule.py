"""How long a training lasts, and what is done between its rounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, get_args

from splitopt.documents.checks import check_choice, check_number, is_number, is_whole
from splitopt.errors import InputError

TestAfter = Literal["round", "turn"]
MEASURED = "measured"
"""The word for ``replan`` by which plans follow what rounds have taken."""


class PauseFields(TypedDict, total=False):
    """The fields of a `Schedule` beside the number of rounds, as keywords."""

    evaluate_every: int
    target_accuracy: float | None
    target: tuple[str, float] | None
    patience: int | None
    checkpoint: str | Path | None
    checkpoint_every: int
    resume: bool
    per_client: bool
    per_class: bool
    test_after: TestAfter
    replan: str | Path | None
    actual_rates: str | Path | None
    time_noise: float
    smoothing: float


class ScheduleFields(PauseFields, total=False):
    """The fields of a `Schedule`, as keywords."""

    rounds: int | None


@dataclass(frozen=True)
class Schedule:
    """How long to train, and what to do between rounds.

    Parameters
    ----------
    rounds
        How many at most, those of a resumed run included; those of the plan if None.
    evaluate_every
        Test after every so many rounds, and after the last one.
    target_accuracy
        Stop when a test reaches it, 0 to 1.
    target
        Stop when a test reaches this value of this metric of the task, or a better one.
    patience
        Stop after so many tests in a row without a better value than before of the metric by which
        models are compared, accuracy by default.
    checkpoint
        A folder to keep the state in.
    checkpoint_every
        After every so many rounds, and after the last one.
    resume
        Go on from the checkpoint in that folder.
    per_client
        Whether each test also tests the common model on every client's own share of the test data,
        see `splitopt.training.data.shares_to_test`.
    per_class
        Whether each test also has the metrics of each class, where the task has some.
    test_after
        ``"round"``, or ``"turn"``: in the rounds that are tested also after every turn of a device,
        or of a cluster, where a scheme serves one after the other; see
        `splitopt.training.by_turn.TurnRow`.
    replan
        A trace of rates, a CSV file: what every round really is. Before every round cuts and shares
        are planned anew for the rates of the round before, and the virtual clock goes by them; see
        `splitopt.training.rounds.replanning`. For plans of `cut_and_resources`. ``"measured"``:
        rates are estimated from what the tasks of the rounds before have taken; see
        `splitopt.planning.control.estimating`.
    actual_rates
        A trace of rates that the planner does not see: what every round really is, where `replan`
        is ``"measured"``, or None to keep the plan.
    time_noise
        Standard deviation of the factor, of mean 1, by which every task on the virtual clock is
        stretched; where plans follow what is measured, or `actual_rates` are given.
    smoothing
        Weight of the last round in the estimates, see
        `splitopt.planning.control.estimating.Smoothing`.

    Raises
    ------
    InputError
        A number out of its range, `resume` without a folder, or fields that do not go together.
    """

    rounds: int | None = None
    evaluate_every: int = 1
    target_accuracy: float | None = None
    target: tuple[str, float] | None = None
    patience: int | None = None
    checkpoint: str | Path | None = None
    checkpoint_every: int = 1
    resume: bool = False
    per_client: bool = False
    per_class: bool = False
    test_after: TestAfter = "round"
    replan: str | Path | None = None
    actual_rates: str | Path | None = None
    time_noise: float = 0.0
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        for name in ("rounds", "evaluate_every", "patience", "checkpoint_every"):
            value = getattr(self, name)
            if value is None and name in ("rounds", "patience"):
                continue
            if not is_whole(value, 1):
                raise InputError.at(name, f"is {value!r}, it must be a whole number >= 1")
        for name in ("per_client", "per_class"):
            if not isinstance(getattr(self, name), bool):
                raise InputError.at(name, f"is {getattr(self, name)!r}, it must be True or False")
        check_choice("test_after", self.test_after, get_args(TestAfter))
        target = self.target_accuracy
        if target is not None and not 0 < target <= 1:
            raise InputError.at(
                "target_accuracy", f"is {target!r}, it must be above 0 and at most 1"
            )
        if self.target is not None:
            self._check_target(target)
        self._check_following()
        if self.checkpoint is None:
            if self.resume:
                raise InputError.at("resume", "needs the folder of a checkpoint; name it")
            if self.checkpoint_every != 1:
                raise InputError.at("checkpoint_every", "needs the folder of a checkpoint; name it")

    @property
    def has_own_rounds(self) -> bool:
        """Whether rounds have plans, rates or seconds of their own."""
        return self.replan is not None or self.actual_rates is not None

    def _check_following(self) -> None:
        check_number("time_noise", self.time_noise, 0.0, 10.0)
        check_number("smoothing", self.smoothing, 1e-3, 1.0)
        measures = self.replan == MEASURED
        if self.replan is not None and not measures and self.actual_rates is not None:
            raise InputError.at(
                "actual_rates",
                "is given beside the trace of replan, by which all rates are known; say "
                "replan='measured' to plan by what rounds take, or leave one of them out",
            )
        if self.time_noise and not (measures or self.actual_rates is not None):
            raise InputError.at(
                "time_noise", "needs replan='measured' or actual_rates; add one of them"
            )
        if self.smoothing != Schedule.smoothing and not measures:
            raise InputError.at("smoothing", "needs replan='measured', whose estimates it smooths")

    def _check_target(self, accuracy: float | None) -> None:
        given = self.target
        is_pair = isinstance(given, tuple) and len(given) == 2
        if given is None or not is_pair or not isinstance(given[0], str) or not is_number(given[1]):
            raise InputError.at("target", f"is {given!r}, it must be a metric and its value")
        if accuracy is not None:
            raise InputError.at("target", "is given beside target_accuracy; give one of them")
