"""What privacy costs: time by the limit on leakage, accuracy by epsilon, and both together.

Time is the planner's, by `splitopt.planning.staircase`. Accuracy is that of real runs: every stair
is trained with every epsilon from the same seeds, so that runs of one seed have weights, data and
partition in common and differ in the cut and in the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.documents.checks import is_number, is_whole
from splitopt.errors import InputError
from splitopt.planning.staircase import Stair, Staircase
from splitopt.storage.writing import write_json
from splitopt.training.options import Options
from splitopt.training.privacy_options import Privacy
from splitopt.training.runner import train_job

if TYPE_CHECKING:
    from splitopt.training.job import TrainingJob
    from splitopt.training.runner import Run
    from splitopt.training.schedule import Schedule

FORMAT, VERSION = "splitopt-tradeoff", 1


@dataclass(frozen=True)
class TrainedStair:
    """One real run.

    Parameters
    ----------
    stair
        Number of the stair whose plan was trained, from 0.
    target_epsilon
        What the noise was found for; None for a run without differential privacy.
    seed
        Of the run.
    value
        The metric of the task in the last test.
    spent_epsilon
        The largest epsilon that a device has spent; None without differential privacy.
    rounds, clock_s
        How long it was trained, and in how many seconds of the plan; None where a plan knows none.
    """

    stair: int
    target_epsilon: float | None
    seed: int
    value: float
    spent_epsilon: float | None
    rounds: int
    clock_s: float | None


@dataclass(frozen=True)
class Tradeoff:
    """A staircase, and the runs of its plans.

    Parameters
    ----------
    staircase
        Time against the limit on leakage.
    runs
        Empty where nothing was trained.
    metric
        What `TrainedStair.value` is; None for the test loss.
    epsilons, seeds
        What every stair was trained with.
    delta, covers
        Of the differential privacy: what its epsilons go with, and which parts they cover.
    """

    staircase: Staircase
    runs: tuple[TrainedStair, ...] = ()
    metric: str | None = "accuracy"
    epsilons: tuple[float | None, ...] = ()
    seeds: tuple[int, ...] = ()
    delta: float | None = None
    covers: str | None = None

    def of(self, stair: int, epsilon: float | None) -> list[TrainedStair]:
        """Return the runs of a stair with an epsilon, in the order of seeds."""
        return [r for r in self.runs if r.stair == stair and r.target_epsilon == epsilon]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready data."""
        trained = {
            "metric": self.metric,
            "epsilons": list(self.epsilons),
            "seeds": list(self.seeds),
            "delta": self.delta,
            "covers": self.covers,
            "runs": [vars(run) for run in self.runs],
        }
        return {
            "format": FORMAT,
            "version": VERSION,
            **self.staircase.to_dict(),
            "training": trained if self.runs else None,
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        write_json(path, self.to_dict(), indent=1)


def train_stairs(
    staircase: Staircase,
    job: TrainingJob,
    epsilons: Sequence[float | None],
    privacy: Privacy | None,
    schedule: Schedule,
    seeds: int = 3,
    progress: Callable[[int, int, str], object] | None = None,
) -> Tradeoff:
    """Train the plan of every stair with every epsilon, from the same seeds.

    Parameters
    ----------
    staircase
        With stairs.
    job
        Model, data and options; its plan, seed and privacy are those of each run in turn, seeds
        counted from its own.
    epsilons
        Targets after all rounds; None for a run without differential privacy.
    privacy
        Clip norm and the rest of it; its noise or target is left aside. None where no epsilon is
        asked for.
    schedule
        How long every run lasts.
    seeds
        How many runs of each.
    progress
        Called before each run with how many are done, how many there are, and what comes.

    Returns
    -------
    Tradeoff
        With ``len(stairs) * len(epsilons) * seeds`` runs.

    Raises
    ------
    InputError
        No epsilon, one that is not above 0 or comes twice, a number of seeds below 1, an epsilon
        without `privacy`; and what training refuses.
    """
    targets = _checked(epsilons, privacy, seeds)
    options = job.options or Options()
    every = [(k, e, job.seed + s) for k in range(len(staircase.stairs)) for e in targets
             for s in range(seeds)]  # fmt: skip
    runs: list[TrainedStair] = []
    metric: str | None = "accuracy"
    for done, (number, target, seed) in enumerate(every):
        stair = staircase.stairs[number]
        if progress is not None:
            progress(done, len(every), _words(stair, target, seed))
        noise = None
        if target is not None and privacy is not None:
            noise = replace(privacy, noise_multiplier=None, target_epsilon=target)
        asked = replace(job, plan=stair.plan, seed=seed, options=replace(options, privacy=noise))
        run = train_job(asked, schedule)
        metric = run.history.metric
        runs.append(_trained(number, target, seed, run))
    return Tradeoff(
        staircase,
        tuple(runs),
        metric,
        targets,
        tuple(job.seed + s for s in range(seeds)),
        None if privacy is None else privacy.delta,
        None if privacy is None else privacy.covers,
    )


def _trained(number: int, target: float | None, seed: int, run: Run) -> TrainedStair:
    tested = run.history.evaluated
    if run.stopped == "interrupted":
        raise KeyboardInterrupt
    value = run.history.value_of(tested[-1]) if tested else None
    if value is None:
        raise InputError("the task has no metric in its tests; there is nothing to trade")
    last = run.history.rows[-1]
    spent = [own for own in last.epsilon.values() if own is not None]
    return TrainedStair(
        number, target, seed, float(value), max(spent) if spent else None,
        len(run.history), run.history.clock_s,
    )  # fmt: skip


def _words(stair: Stair, target: float | None, seed: int) -> str:
    noise = "no noise" if target is None else f"epsilon {target:g}"
    return f"limit {stair.limit:.3g}, {noise}, seed {seed}"


def _checked(
    epsilons: Sequence[float | None], privacy: Privacy | None, seeds: int
) -> tuple[float | None, ...]:
    found = tuple(epsilons)
    if not found:
        raise InputError.at("epsilons", "is empty; name some, None for a run without noise")
    for value in found:
        if value is not None and not (is_number(value) and 0 < value < float("inf")):
            raise InputError.at("epsilons", f"has {value!r}; each must be above 0 and finite")
    if len(set(found)) < len(found):
        raise InputError.at("epsilons", "has the same number twice")
    if privacy is None and any(value is not None for value in found):
        raise InputError.at("privacy", "is missing, and epsilons need its clip norm")
    if not is_whole(seeds, 1):
        raise InputError.at("seeds", f"is {seeds!r}, it must be a whole number >= 1")
    return found
