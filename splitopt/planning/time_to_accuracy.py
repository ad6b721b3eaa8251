"""What a plan of `TimeToAccuracy` promises, what it gains, and whether its curve carries it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from splitopt.driver import solve
from splitopt.latency.synchronous_steps import PHASES
from splitopt.planning.explaining import Explainer
from splitopt.planning.fields import leakage_fields, model_fields, rate_fields
from splitopt.planning.guesses import fill_notes
from splitopt.planning.predictions.cut_and_resources import Leakage
from splitopt.planning.predictions.time_to_accuracy import (
    DeviceStep,
    JointWorth,
    OtherCurve,
    OtherPlan,
    TimeToAccuracyPrediction,
)
from splitopt.problems.limits import leakage_limits
from splitopt.problems.time_to_accuracy import TimeToAccuracy, TimeToAccuracyDecision
from splitopt.problems.time_to_accuracy.tables import parameter_share, section_of
from splitopt.results import Result
from splitopt.scenario.time_to_accuracy import TimeToAccuracySection

_SPEED = ("compute", "machine", "machine_model")
_SEARCH_S = 5.0
"""Seconds for each of the further searches; they say what they proved by then."""
_SAME = 1e-9


class TimeToAccuracyExplainer(
    Explainer[TimeToAccuracy, TimeToAccuracyDecision, TimeToAccuracyPrediction]
):
    """Explains plans of `TimeToAccuracy`."""

    problem = "time_to_accuracy"
    section = "time_to_accuracy"
    searches = JointWorth

    def predict(
        self, problem: TimeToAccuracy, decision: TimeToAccuracyDecision
    ) -> TimeToAccuracyPrediction:
        """Compute rounds and the seconds of a round."""
        curve = section_of(self.scenario).curve
        phases = problem.phases(decision)
        seconds, rounds = problem.round_seconds(decision), problem.rounds_of(decision)
        return TimeToAccuracyPrediction(
            objective_unit="s",
            metric=curve.metric,
            target=curve.target,
            rounds=rounds,
            aggregation_interval=decision.aggregation_interval,
            largest_cut=int(decision.cut.max()),
            devices=self._rows(problem, decision),
            phases_s=dict(zip(PHASES, phases.tolist(), strict=True)),
            round_s=seconds,
            training_s=rounds * seconds,
            traffic_bytes=self._traffic(decision),
            device_memory_bytes=self._memory(decision),
            leakage=self._leakage(decision),
        )

    def _rows(self, problem: TimeToAccuracy, decision: TimeToAccuracyDecision) -> list[DeviceStep]:
        layers = self.profile.layers
        return [
            DeviceStep(
                name=device.name,
                cut=cut,
                cut_layer=layers[cut - 1],
                batch_size=size,
                out_s=own[0],
                server_s=own[1],
                back_s=own[2],
                exchange_s=own[3],
                own_s=sum(own),
            )
            for device, cut, size, own in zip(
                self.scenario.fleet(),
                decision.cut.tolist(),
                decision.batch_size.tolist(),
                problem.device_seconds(decision).tolist(),
                strict=True,
            )
        ]

    def _traffic(self, decision: TimeToAccuracyDecision) -> float:
        profile, at = self.profile, decision.cut - 1
        crossing = (profile.smashed_bytes + profile.gradient_bytes)[at]
        model = 2.0 * profile.device_model_bytes[at] / decision.aggregation_interval
        return float((decision.batch_size * crossing + model).sum())

    def _memory(self, decision: TimeToAccuracyDecision) -> float | None:
        fixed = self.profile.device_memory_fixed_bytes
        each = self.profile.device_memory_per_sample_bytes
        if fixed is None or each is None:
            return None
        at = decision.cut - 1
        return float((fixed[at] + decision.batch_size * each[at]).max())

    def _leakage(self, decision: TimeToAccuracyDecision) -> Leakage | None:
        """Return what the cuts leak; a limit binds a device whose next shallower cut is above."""
        profile, limits = self.profile, leakage_limits(self.scenario)
        if profile.leakage is None:
            return None
        at = decision.cut - 1
        bound = (at > 0) & (profile.leakage[np.maximum(at - 1, 0)] > limits)
        strictest = float(limits.min())
        fleet = self.scenario.fleet()
        return Leakage(
            largest=float(profile.leakage[at].max()),
            state=profile.state_of("leakage"),
            limit=strictest if np.isfinite(strictest) else None,
            bound_devices=[fleet[n].name for n in np.flatnonzero(bound)],
        )

    def search(self, problem: TimeToAccuracy, decision: TimeToAccuracyDecision) -> JointWorth:
        """Plan in simpler ways, and anew at the ends of the curve's ranges."""
        time = problem.evaluate(decision)
        simple = [
            other_plan(solve(problem, name, time_limit_s=_SEARCH_S), time)
            for name in ("uniform_batch", "no_model")
        ]
        curves = [
            _other_curve(problem, decision, batch, interval)
            for batch, interval in ends(section_of(self.scenario))
        ]
        return JointWorth(common=simple[0], without_model=simple[1], other_curves=curves or None)

    def notes(self) -> list[str]:
        """Return notes about links, the curve and its step rule, and counts that were filled."""
        scenario, profile = self.scenario, self.profile
        section = section_of(scenario)
        curve = section.curve
        links = (
            "each device has an equal part of the shared downlink and uplink"
            if scenario.links.shared
            else "each device has a downlink and an uplink of its own"
        )
        rule = ", ".join(f"{name} {value}" for name, value in curve.step_rule.items())
        found = [links, curve.sentence(), f"the curve holds for this step rule alone: {rule}"]
        share = parameter_share(profile)[:-1]
        box = curve.calibrated["parameter_share"]
        if (outside := [cut + 1 for cut, x in enumerate(share) if not box.holds(x)]) and any(
            interval > 1 for interval in section.aggregation_interval
        ):
            found.append(
                f"cuts {_listed(outside)} have another share of the parameters than those that the "
                "curve was calibrated with, which counts where devices aggregate less than always"
            )
        if section.extrapolate:
            found.append("the curve is used beyond what it was calibrated for, as asked")
        return [*found, *fill_notes(profile, (*scenario.devices, *scenario.servers))]

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        scenario, profile = self.scenario, self.profile
        found = {
            *model_fields(scenario, profile),
            "time_to_accuracy",
            "training.batch_size",
            "links.shared",
            *(f"devices[].{name}" for name in ("count", "samples", "memory", *_SPEED)),
            *(f"servers[].{name}" for name in ("memory", *_SPEED)),
            *rate_fields(scenario),
            *leakage_fields(scenario),
        }
        if "spectrum.bandwidth" in found:
            found.add("spectrum.subcarriers")
        return found


def other_plan(result: Result, time_s: float) -> OtherPlan | None:
    """Return a simpler plan beside one that takes some seconds, None where there is none."""
    plan = result.decision
    if not isinstance(plan, TimeToAccuracyDecision):
        return None
    return OtherPlan(
        cuts=sorted(set(plan.cut.tolist())),
        batch_sizes=sorted(set(plan.batch_size.tolist())),
        aggregation_interval=plan.aggregation_interval,
        time_s=result.objective,
        factor=result.objective / time_s if time_s else 1.0,
    )


def ends(section: TimeToAccuracySection) -> Iterator[tuple[float, float]]:
    """Iterate over the ends of the ranges of c1 and c2; R0 scales all plans alike."""
    ranges = section.curve.ranges
    if ranges is None:
        return
    pairs: Mapping[str, Any] = {name: sorted(set(ranges[name])) for name in ranges}
    yield from product(pairs["batch_factor"], pairs["interval_exponent"])


def _other_curve(
    problem: TimeToAccuracy, decision: TimeToAccuracyDecision, batch: float, interval: float
) -> OtherCurve:
    """Plan anew under other constants, and value the plan there."""
    rounds = dict(problem.rounds) | {"batch_factor": batch, "interval_exponent": interval}
    other = replace(problem, rounds=rounds)
    best = solve(other, time_limit_s=_SEARCH_S, rel_gap=1e-6)
    own = other.evaluate(decision)
    least = min(best.objective, own)
    factor = own / least if least else 1.0
    return OtherCurve(
        batch_factor=batch,
        interval_exponent=interval,
        factor=factor,
        bound_factor=own / best.bound if best.bound > 0 else factor,
        same=factor <= 1 + _SAME,
    )


def _listed(cuts: list[int]) -> str:
    """Name cuts, neighbours as a range."""
    runs: list[list[int]] = []
    for cut in cuts:
        if runs and cut == runs[-1][-1] + 1:
            runs[-1].append(cut)
        else:
            runs.append([cut])
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


EXPLAINER = TimeToAccuracyExplainer
