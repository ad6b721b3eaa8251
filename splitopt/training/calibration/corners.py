"""`calibrate`: four corners to a loose target and one run to the full one, for every seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError, InputError
from splitopt.plans import Plan
from splitopt.profiles import ModelProfile
from splitopt.profiles.fitting.rounds_curve import Range, RoundsCurve
from splitopt.profiles.fitting.rounds_fit import RoundsFit, RoundsRun, fit_rounds, predicted
from splitopt.scenario import Scenario
from splitopt.training.calibration.bound_constants import Watch
from splitopt.training.calibration.given import Setting, corner_cuts, plan_at, share_at
from splitopt.training.calibration.reaching import Course, check_order, train_until
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options

MakeJob = Callable[[Plan, int], TrainingJob]
Told = Callable[[str], object]


@dataclass(frozen=True)
class Wanted:
    """What is calibrated.

    Parameters
    ----------
    metric, target
        ``test_loss`` or a metric of the task, and the value at which a training ends.
    loose_target
        Where runs at the corners end; the full target if None. Ratios of rounds hardly change on
        the way, so that a loose target saves most of the work.
    batch_size, aggregation_interval
        The least and the largest.
    cuts
        The least and the largest, 1..L; the first and the last that all devices can take if None.
    seeds
        Of the runs; with two or more the constants have ranges.
    most_rounds, evaluate_every
        Rounds of a run at most, and between two tests.
    bound
        Whether the constants of the convergence bound are measured too, on the way of the full run.

    Raises
    ------
    InputError
        A number that does not fit.
    """

    metric: str
    target: float
    loose_target: float | None = None
    batch_size: tuple[int, int] = (4, 32)
    aggregation_interval: tuple[int, int] = (1, 20)
    cuts: tuple[int, int] | None = None
    seeds: tuple[int, ...] = (0,)
    most_rounds: int = 2000
    evaluate_every: int = 5
    bound: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "aggregation_interval"):
            low, high = getattr(self, name)
            check_whole(f"{name}[0]", low, 1)
            check_whole(f"{name}[1]", high, 1)
            if low >= high:
                raise InputError.at(
                    name, f"is {low} to {high}; its effect needs two values, the lower one first"
                )
        if self.aggregation_interval[0] != 1:
            raise InputError.at(
                "aggregation_interval",
                f"begins at {self.aggregation_interval[0]}; begin at 1, where cuts have no effect",
            )
        check_whole("most_rounds", self.most_rounds, 1)
        check_whole("evaluate_every", self.evaluate_every, 1)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError.at("seeds", f"are {list(self.seeds)}; give different ones")

    @property
    def loose(self) -> float:
        """Where runs at the corners end."""
        return self.target if self.loose_target is None else self.loose_target


@dataclass(frozen=True)
class MeasuredRun:
    """A run at a corner: what it was, how far it went, and its rounds to the loose target."""

    setting: Setting
    seed: int
    run: RoundsRun
    course: Course
    full: float | None = field(default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        sizes = self.setting.sizes
        return {
            "batch_size": sizes[0] if len(sizes) == 1 else list(sizes),
            "cut": self.setting.cut,
            "aggregation_interval": self.setting.aggregation_interval,
            "seed": self.seed,
            "rounds": self.run.rounds,
            "reached": self.run.reached,
            "trained": self.course.trained,
            **({} if self.full is None else {"rounds_to_target": self.full}),
        }


def corners(wanted: Wanted, cuts: tuple[int, int]) -> tuple[Setting, ...]:
    """Return the four corners; the first one is the run that goes on to the full target."""
    (few, many), (low, high) = wanted.batch_size, cuts
    most = wanted.aggregation_interval[1]
    return (
        Setting(low, many, 1),
        Setting(low, few, 1),
        Setting(low, many, most),
        Setting(high, few, most),
    )


def calibrate(
    scenario: Scenario,
    wanted: Wanted,
    make_job: MakeJob,
    told: Told | None = None,
) -> RoundsCurve:
    """Train at the corners and fit the curve of rounds.

    Parameters
    ----------
    scenario
        The fleet and the model.
    wanted
        Target, corners and seeds.
    make_job
        Makes the training of a plan with a seed; its options are the step rule.
    told
        Called with a sentence after every run.

    Raises
    ------
    InfeasibleError
        The run to the full target does not reach it, or no cut is there.
    InputError
        Too few runs reach the loose target, or what is wanted does not fit scenario and data.
    """
    profile = scenario.load_model()
    able = corner_cuts(scenario, profile, wanted.batch_size)
    cuts = wanted.cuts or (able[0], able[-1])
    for cut in cuts:
        if cut not in able:
            raise InputError.at(
                "cuts",
                f"has {cut}; those that all devices can take are {', '.join(map(str, able))}",
            )
    watch = Watch() if wanted.bound else None
    runs = [
        _measured(scenario, profile, wanted, setting, seed, make_job, told, watch)
        for seed in wanted.seeds
        for setting in corners(wanted, cuts)
    ]
    options = make_job(plan_at(scenario, corners(wanted, cuts)[0]), 0).options or Options()
    return _curve(scenario, profile, wanted, cuts, runs, options, watch)


def _measured(
    scenario: Scenario,
    profile: ModelProfile,
    wanted: Wanted,
    setting: Setting,
    seed: int,
    make_job: MakeJob,
    told: Told | None,
    watch: Watch | None,
) -> MeasuredRun:
    """Train one corner, the reference to the full target."""
    is_full = setting.aggregation_interval == 1 and setting.batch_size == wanted.batch_size[1]
    end = wanted.target if is_full else wanted.loose
    job = make_job(plan_at(scenario, setting), seed)
    watched = watch.look if watch is not None and is_full and seed == wanted.seeds[0] else None
    course = train_until(
        job, wanted.metric, end, most=wanted.most_rounds, every=wanted.evaluate_every,
        watched=watched,
    )  # fmt: skip
    check_order((wanted.loose, wanted.target), course.falls)
    rounds = course.reaching(wanted.loose)
    full = course.reaching(wanted.target) if is_full else None
    if is_full and full is None:
        raise InfeasibleError(
            f"{wanted.metric} {wanted.target:g} was not reached at {setting} in "
            f"{wanted.most_rounds:,} rounds (the best was {course.best:.4g}): lower the target, or "
            "train for more rounds"
        )
    depth = float(np.sqrt(share_at(profile, setting.cut)))
    run = RoundsRun(
        setting.inverse,
        setting.aggregation_interval,
        depth,
        float(course.trained) if rounds is None else rounds,
        reached=rounds is not None,
    )
    if told is not None:
        much = f"{run.rounds:,.1f} rounds to {wanted.loose:g}"
        words = much if run.reached else f"not there after {course.trained:,} rounds (censored)"
        rest = "" if full is None else f", {full:,.1f} to {wanted.target:g}"
        told(f"seed {seed}, {setting}: {words}{rest}")
    return MeasuredRun(setting, seed, run, course, full)


def _curve(
    scenario: Scenario,
    profile: ModelProfile,
    wanted: Wanted,
    cuts: tuple[int, int],
    runs: Sequence[MeasuredRun],
    options: Options,
    watch: Watch | None,
) -> RoundsCurve:
    """Fit all runs, and those of each seed by themselves for the ranges."""
    whole, notes = full_fit(runs), []
    each = []
    for seed in wanted.seeds if len(wanted.seeds) > 1 else ():
        try:
            each.append(full_fit([run for run in runs if run.seed == seed]))
        except InputError as error:
            notes.append(f"seed {seed} has no fit of its own: {error}")
    names = ("rounds", "batch_factor", "interval_exponent")
    ranges = None
    if len(each) > 1:
        ends = {name: [getattr(fit, name) for fit in (whole, *each)] for name in names}
        ranges = {name: Range(min(ends[name]), max(ends[name])) for name in names}
    censored = [run for run in runs if not run.run.reached]
    if censored:
        listed = "; ".join(f"{run.setting}, seed {run.seed}" for run in censored)
        notes.append(
            f"{len(censored)} of {len(runs)} runs did not reach {wanted.loose:g} and count as "
            f"taking at least what they trained: {listed}"
        )
    reference = float(np.mean([run.full for run in runs if run.full is not None]))
    shares = [share_at(profile, cut) for cut in cuts]
    bound = None
    if watch is not None:
        bound = watch.constants(len(scenario.fleet()), options, wanted.batch_size[1], reference)
    return RoundsCurve(
        name=scenario.name,
        metric=wanted.metric,
        target=wanted.target,
        rounds=whole.rounds,
        batch_factor=whole.batch_factor,
        interval_exponent=whole.interval_exponent,
        calibrated={
            "batch_size": Range(*map(float, wanted.batch_size)),
            "aggregation_interval": Range(*map(float, wanted.aggregation_interval)),
            "parameter_share": Range(min(shares), max(shares)),
        },
        devices=len(scenario.fleet()),
        step_rule=step_rule(options),
        ranges=ranges,
        median_error=float(np.median(whole.errors)),
        reference_runs=sum(run.course.trained for run in runs) / reference,
        convergence_bound=bound,
        runs=tuple(run.to_dict() for run in runs),
        notes=tuple(notes),
    )


def full_fit(runs: Sequence[MeasuredRun]) -> RoundsFit:
    """Fit the loose target, and scale the curve to the runs that went on to the full one."""
    fit = fit_rounds([run.run for run in runs])
    full = [(run.run, run.full) for run in runs if run.full is not None]
    shape = predicted((1.0, fit.batch_factor, fit.interval_exponent), [run for run, _ in full])
    scales = np.log([rounds for _, rounds in full]) - np.log(shape)
    return fit._replace(rounds=float(np.exp(scales.mean())))


def step_rule(options: Options) -> dict[str, Any]:
    """Return the options that a curve belongs to: optimizer, rate, and what is unusual."""
    from splitopt.training.preparing.setup import STEP_RULE

    default = Options()
    always = ("optimizer", "learning_rate")
    return {
        name: getattr(options, name)
        for name in STEP_RULE
        if name in always or getattr(options, name) != getattr(default, name)
    }
