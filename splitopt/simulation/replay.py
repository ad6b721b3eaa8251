"""`simulate_decision`: any problem's decision event by event, beside what models promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from splitopt.documents.checks import check_seed
from splitopt.errors import InputError
from splitopt.problems.registry import as_problem, module_of, problems_in
from splitopt.results import Decision, finite_or_none
from splitopt.showing import Drawn
from splitopt.simulation.noise import check_noise
from splitopt.simulation.slow_devices import check_slow
from splitopt.timeline import Timeline

if TYPE_CHECKING:
    from splitopt.problems.registry import ProblemLike
    from splitopt.profiles import ModelProfile
    from splitopt.scenario import Scenario


_PACKAGE = "splitopt.simulation"
"""Its modules with the name of a problem have ``replay(problem, decision, setting)``."""


class Setting(NamedTuple):
    """What a replay may use beside problem and decision; ``slow`` is that of `check_slow`."""

    scenario: Scenario | None = None
    profile: ModelProfile | None = None
    noise: float = 0.0
    seed: int = 0
    slow: tuple[str, ...] | None = None

    def device_names(self, devices: int) -> tuple[str, ...]:
        """Return the names of the scenario's devices, numbers from 0 where there is none."""
        if self.scenario is None:
            return tuple(f"device {n}" for n in range(devices))
        return tuple(device.name for device in self.scenario.fleet())

    def origin(self, problem: str) -> dict[str, Any]:
        """Return what a timeline states of where it is from."""
        return {"problem": problem, "noise": self.noise, "seed": self.seed}


class Forecast(NamedTuple):
    """What a model says that the simulated span takes, in s."""

    model: str
    seconds: float


@dataclass(frozen=True)
class Insured:
    """What a plan for slow devices insures against, replayed.

    Parameters
    ----------
    objective
        ``sum`` or ``makespan``.
    slow_devices
        How many may be slow at once.
    slow
        Those that are slow in the worst case.
    nominal_s, worst_s
        The objective of a replayed round in which nobody is slow, and of the worst one.
    planned_s
        The worst one as the plan promises it.
    nominal_round_s, worst_round_s
        When these two rounds end.
    """

    objective: str
    slow_devices: float
    slow: tuple[str, ...]
    nominal_s: float
    worst_s: float
    planned_s: float
    nominal_round_s: float
    worst_round_s: float


@dataclass(frozen=True, eq=False)
class Replay(Drawn):
    """A simulated timeline with what it is compared with.

    Parameters
    ----------
    timeline
        Every task.
    span
        What was simulated, such as ``"a round"``.
    forecasts
        What the models promise, the plan's own first.
    binding
        In words: what sets the pace.
    facts
        Further numbers for people, label and text.
    insured
        Of a plan for slow devices: the round in which nobody is slow, and the worst one.
    """

    timeline: Timeline
    span: str
    forecasts: tuple[Forecast, ...]
    binding: str
    facts: tuple[tuple[str, str], ...] = ()
    insured: Insured | None = None

    @property
    def simulated_s(self) -> float:
        """Seconds that the span took."""
        return self.timeline.makespan_s

    def error_of(self, forecast: Forecast) -> float:
        """Relative error of a forecast, (forecast - simulated) / simulated; 0 if both are 0."""
        if self.simulated_s == 0:
            return 0.0 if forecast.seconds == 0 else float("inf")
        return (forecast.seconds - self.simulated_s) / self.simulated_s

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON-ready data, without the tasks."""
        timeline, makespan = self.timeline, self.simulated_s or 1.0
        document: Mapping[str, Any] = {
            "span": self.span,
            "simulated_s": self.simulated_s,
            "pace_s": timeline.pace_s(),
            "forecasts": [
                {
                    "model": item.model,
                    "seconds": item.seconds,
                    "relative_error": self.error_of(item),
                }
                for item in self.forecasts
            ],
            "binding": self.binding,
            "resources": [
                {
                    "name": usage.resource.name,
                    "kind": usage.resource.kind,
                    "busy_s": usage.busy_s,
                    "utilisation": usage.busy_s / makespan,
                    "used_s": usage.used_s,
                    "tasks": usage.tasks,
                }
                for usage in timeline.usage
                if usage.tasks
            ],
            "facts": dict(self.facts),
            **({} if self.insured is None else {"insured": asdict(self.insured)}),
            "origin": dict(timeline.origin),
        }
        finite: dict[str, Any] = finite_or_none(document)
        return finite


def simulate_decision(
    problem: ProblemLike,
    decision: Decision | Mapping[str, Any],
    *,
    scenario: Scenario | None = None,
    profile: ModelProfile | None = None,
    noise: float = 0.0,
    seed: int = 0,
    slow: Sequence[str] | str | None = None,
) -> Replay:
    """Replay a decision event by event.

    Parameters
    ----------
    problem, decision
        What was asked and answered: the objects or their plain data.
    scenario, profile
        What the problem was built from: they give the names, the single batches, and what the
        problem leaves out, such as the owners' own parts of a pipeline.
    noise
        Standard deviation of the factor, of mean 1, by which every task is stretched.
    seed
        Seed of the noise.
    slow
        Of a plan for slow devices: the names of those that are slow, by their own factors, or
        ``"worst"`` for those of its worst case; nobody if None.

    Raises
    ------
    InputError
        The problem cannot be simulated, the decision is not feasible, the noise is negative, or
        no device of the problem may be slow.
    """
    problem = as_problem(problem)
    module = module_of(_PACKAGE, problem.name)
    if module is None:
        known = ", ".join(problems_in(_PACKAGE))
        raise InputError(f"{problem.name} cannot be simulated; the problems that can are {known}")
    check_seed(seed)
    decision = problem.taken(decision)
    if broken := problem.violations(decision):
        names = ", ".join(f"{name} by {by:.3g}" for name, by in broken.items())
        raise InputError(f"the decision is not feasible: {names}")
    setting = Setting(scenario, profile, check_noise(noise), seed, check_slow(problem, slow))
    found: Replay = module.replay(problem, decision, setting)
    return found
