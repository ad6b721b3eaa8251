"""A predicted timeline held against a measured one, task by task.

Tasks are the same if resource, phase, owner and batch are. A step is one batch of one owner: all
of its tasks, from the first start to the last end. What the whole took is explained along the
predicted critical path: what its tasks took more or less, and what the rest of the time, in which
somebody waits, is longer or shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.results import finite_or_none
from splitopt.simulation.tracks import batches_of, one_after_the_other
from splitopt.timeline import FloatArray, IntArray, Timeline
from splitopt.training.rounds.critical_path import ROUNDING as _ROUNDING
from splitopt.training.rounds.critical_path import WAITING, critical_path


@dataclass(frozen=True)
class Spread:
    """Quartiles of measured over predicted seconds."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, predicted_s: FloatArray, measured_s: FloatArray) -> Spread:
        """Return the quartiles over what is predicted to take any time; NaN if nothing is."""
        lasting = predicted_s > 0
        if not lasting.any():
            return cls(np.nan, np.nan, np.nan)
        stretch = measured_s[lasting] / predicted_s[lasting]
        return cls(*(float(x) for x in np.quantile(stretch, (0.25, 0.5, 0.75))))


@dataclass(frozen=True)
class PhaseComparison:
    """All tasks of a phase that were both predicted and measured.

    Parameters
    ----------
    phase, tasks
        Its name, and how many tasks it has.
    predicted_s, measured_s
        Sums over these tasks.
    stretch
        Of single tasks.
    path_predicted_s, path_measured_s
        The part of the sums that is on the predicted critical path.
    """

    phase: str
    tasks: int
    predicted_s: float
    measured_s: float
    stretch: Spread
    path_predicted_s: float
    path_measured_s: float

    @property
    def relative_error(self) -> float:
        """How much longer than predicted the phase took, relative; NaN if it was to take none."""
        return relative(self.predicted_s, self.measured_s)


@dataclass(frozen=True)
class StepComparison:
    """The steps of which every predicted task was measured.

    Parameters
    ----------
    count, incomplete
        How many they are, and how many others there are.
    predicted_s, measured_s
        Medians over the steps; NaN without any.
    stretch
        Of single steps.
    out_of_order
        Steps in which a task began before one that should have been over by then.
    """

    count: int
    incomplete: int
    predicted_s: float
    measured_s: float
    stretch: Spread
    out_of_order: int

    @property
    def relative_error(self) -> float:
        """By how much the median step took longer than predicted, relative."""
        return self.stretch.median - 1.0


@dataclass(frozen=True)
class Unmatched:
    """Tasks of an owner that stand in one of the timelines only, from `first_batch` on."""

    owner: str
    tasks: int
    first_batch: int
    phases: tuple[str, ...]


@dataclass(frozen=True)
class Gain:
    """What a row of the explanation added to the whole, in s; below 0 where it took less."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Validation:
    """How far a measured timeline is from the predicted one, all seconds at the plan's scale.

    Parameters
    ----------
    predicted_s, measured_s
        When the last task ends.
    phases
        In the order of the predicted timeline; phases without tasks are left out.
    steps
        The comparison of steps.
    waiting_s
        Predicted and measured seconds that the tasks of the predicted critical path leave over.
    missing, extra
        Tasks that were predicted and not measured (such as those of a device that was dropped), and
        the reverse, by owner.
    """

    predicted_s: float
    measured_s: float
    phases: tuple[PhaseComparison, ...]
    steps: StepComparison
    waiting_s: tuple[float, float]
    missing: tuple[Unmatched, ...] = ()
    extra: tuple[Unmatched, ...] = ()

    @property
    def relative_error(self) -> float:
        """By how much the whole took longer than predicted, relative."""
        return relative(self.predicted_s, self.measured_s)

    @property
    def gains(self) -> tuple[Gain, ...]:
        """What made the whole longer than predicted, by phase; the sum is the whole difference."""
        rows = [Gain(row.phase, row.path_measured_s - row.path_predicted_s) for row in self.phases]
        before, after = self.waiting_s
        return (*rows, Gain(WAITING, after - before))

    @property
    def culprit(self) -> Gain | None:
        """The row that explains most of the difference; None if there is none to explain."""
        difference = self.measured_s - self.predicted_s
        if abs(difference) <= _ROUNDING * max(self.predicted_s, self.measured_s):
            return None
        return max(self.gains, key=lambda gain: gain.seconds * np.sign(difference))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-ready data; a number that is not finite is None."""
        document = {
            **asdict(self),
            "relative_error": self.relative_error,
            "phases": [{**asdict(r), "relative_error": r.relative_error} for r in self.phases],
            "steps": {**asdict(self.steps), "relative_error": self.steps.relative_error},
            "gains": [asdict(gain) for gain in self.gains],
            "culprit": None if self.culprit is None else asdict(self.culprit),
        }
        finite: dict[str, Any] = finite_or_none(document)
        return finite


def relative(predicted_s: float, measured_s: float) -> float:
    """(measured - predicted) / predicted; 0 if both are 0, NaN if only the prediction is."""
    if predicted_s == 0:
        return 0.0 if measured_s == 0 else float("nan")
    return (measured_s - predicted_s) / predicted_s


def over_rounds(
    predicted: Sequence[Timeline], measured: Sequence[Timeline]
) -> tuple[Timeline, Timeline]:
    """Join the rounds of a run, one behind the other, with the same numbers of batches in both.

    What lies between two rounds counts in neither.
    """
    batches = batches_of(predicted)  # a measured round may lack the last batches
    joined = [
        parts[0] if len(parts) == 1 else one_after_the_other(parts, dict(parts[0].origin), batches)
        for parts in (predicted, measured)
    ]
    return joined[0], joined[1]


def compare(predicted: Timeline, measured: Timeline) -> Validation:
    """Compare a measured timeline with the predicted one.

    Parameters
    ----------
    predicted
        What should have happened, see `over_rounds` for several rounds.
    measured
        What did, in the seconds of the plan: those of a clock over the time scale.

    Raises
    ------
    InputError
        The two have no task in common.
    """
    there, here = _matches(predicted, measured)
    if not there.size:
        raise InputError(
            "the measured timeline has no task of the predicted one (same resource, phase, owner "
            "and batch); compare a plan with a run of that plan"
        )
    path = critical_path(predicted)
    place = np.full(len(predicted), -1)
    place[there] = here
    on_path = path[place[path] >= 0]
    phases = tuple(_phases(predicted, measured, there, here, on_path))
    return Validation(
        predicted_s=predicted.makespan_s,
        measured_s=measured.makespan_s,
        phases=phases,
        steps=_steps(predicted, measured, place),
        waiting_s=(
            predicted.makespan_s - sum(row.path_predicted_s for row in phases),
            measured.makespan_s - sum(row.path_measured_s for row in phases),
        ),
        missing=_unmatched(predicted, there),
        extra=_unmatched(measured, here),
    )


def _matches(predicted: Timeline, measured: Timeline) -> tuple[IntArray, IntArray]:
    """Rows of both timelines that are the same task, in pairs.

    Of several tasks with the same names, the first belongs to the first.
    """
    batches = 1 + int(max(predicted.batch.max(initial=0), measured.batch.max(initial=0)))
    resources, phases, owners = (
        {name: index for index, name in enumerate(names)}
        for names in (
            [resource.name for resource in predicted.resources],
            predicted.phases,
            predicted.owners,
        )
    )

    def keys(timeline: Timeline) -> tuple[IntArray, IntArray]:
        """Return the rows whose names are known, and a number for each name and occurrence."""

        def known(names: Any, table: dict[str, int], column: IntArray) -> IntArray:
            found = np.array([table.get(name, -1) for name in names], dtype=np.int64)
            return found[column] if len(column) else column

        columns = (
            known([r.name for r in timeline.resources], resources, timeline.resource),
            known(timeline.phases, phases, timeline.phase),
            known(timeline.owners, owners, timeline.owner),
        )
        rows = np.flatnonzero(np.min(columns, axis=0) >= 0)
        key = columns[0][rows]
        for column, size in ((columns[1], len(phases)), (columns[2], len(owners))):
            key = key * size + column[rows]
        key = key * batches + timeline.batch[rows]
        order = np.lexsort((timeline.start_s[rows], key))
        rows, key = rows[order], key[order]
        first = np.searchsorted(key, key, side="left")
        turn = np.arange(len(key)) - first
        return rows, key * (1 + max(len(predicted), len(measured))) + turn

    (rows, key), (other_rows, other_key) = keys(predicted), keys(measured)
    _, at, other_at = np.intersect1d(key, other_key, assume_unique=True, return_indices=True)
    return rows[at], other_rows[other_at]


def _phases(
    predicted: Timeline, measured: Timeline, there: IntArray, here: IntArray, path: IntArray
) -> Iterator[PhaseComparison]:
    expected = predicted.end_s[there] - predicted.start_s[there]
    taken = measured.end_s[here] - measured.start_s[here]
    on_path = np.isin(there, path)
    for phase, name in enumerate(predicted.phases):
        mine = predicted.phase[there] == phase
        if mine.any():
            yield PhaseComparison(
                phase=name,
                tasks=int(mine.sum()),
                predicted_s=float(expected[mine].sum()),
                measured_s=float(taken[mine].sum()),
                stretch=Spread.of(expected[mine], taken[mine]),
                path_predicted_s=float(expected[mine & on_path].sum()),
                path_measured_s=float(taken[mine & on_path].sum()),
            )


def _steps(predicted: Timeline, measured: Timeline, place: IntArray) -> StepComparison:
    label = predicted.owner * (1 + int(predicted.batch.max(initial=0))) + predicted.batch
    order = np.argsort(label, kind="stable")
    steps = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    expected, taken, reversed_ = [], [], 0
    for step in steps:
        rows = place[step]
        if (rows < 0).any():
            continue
        expected.append(float(predicted.end_s[step].max() - predicted.start_s[step].min()))
        taken.append(float(measured.end_s[rows].max() - measured.start_s[rows].min()))
        slack = _ROUNDING * predicted.makespan_s
        before = predicted.end_s[step][:, None] <= predicted.start_s[step][None, :] + slack
        before &= predicted.start_s[step][:, None] < predicted.start_s[step][None, :]
        late = measured.start_s[rows][:, None] > measured.start_s[rows][None, :]
        reversed_ += bool((before & late).any())
    spans = np.array(expected), np.array(taken)
    medians = [float(np.median(span)) if span.size else float("nan") for span in spans]
    return StepComparison(
        count=len(expected),
        incomplete=len(steps) - len(expected),
        predicted_s=medians[0],
        measured_s=medians[1],
        stretch=Spread.of(*spans),
        out_of_order=reversed_,
    )


def _unmatched(timeline: Timeline, matched: IntArray) -> tuple[Unmatched, ...]:
    rest = np.setdiff1d(np.arange(len(timeline)), matched)
    found = []
    for owner in np.unique(timeline.owner[rest]):
        mine = rest[timeline.owner[rest] == owner]
        found.append(
            Unmatched(
                timeline.owners[owner],
                len(mine),
                int(timeline.batch[mine].min()),
                tuple(timeline.phases[phase] for phase in np.unique(timeline.phase[mine])),
            )
        )
    return tuple(found)
