"""`TimeToAccuracy`: cuts, batch sizes and aggregation interval for the least time to a target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.synchronous_steps import round_phases
from splitopt.problems.base import FloatArray
from splitopt.problems.inputs import as_profile, as_scenario
from splitopt.problems.time_to_accuracy.data import TimeToAccuracyData
from splitopt.problems.time_to_accuracy.decision import TimeToAccuracyDecision
from splitopt.problems.time_to_accuracy.reasons import obvious_reason

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike
    from splitopt.problems.time_to_accuracy.pyomo_model import PyomoModel


@dataclass(frozen=True, eq=False, repr=False)
class TimeToAccuracy(TimeToAccuracyData):
    """How N devices cut and step, so that a target is reached in the least total time.

    The objective is rounds times the seconds of a round; a round is one step of every device with
    its part of an aggregation, see `splitopt.latency.synchronous_steps`.

    Parameters
    ----------
    forward_s, upload_s, gradient_s, backward_s
        Shape (N, L): seconds of one sample at each cut: forward on the device, its activations up,
        their gradient down, backward on the device.
    server_s
        Shape (L,): seconds of one sample in the server's part.
    model_down_s, model_up_s
        Shape (N, L): seconds in which the device's part goes down and up at an aggregation.
    batch_sizes
        Shape (B,): samples of a mini-batch to choose from, rising.
    intervals
        Shape (K,): steps between two aggregations to choose from, rising.
    rounds
        A curve: ``rounds`` (R0), ``batch_factor`` (c1), ``interval_exponent`` (c2) and
        ``parameter_share``, shape (L,), the fraction of the parameters in the layers up to each
        cut; see `splitopt.problems.time_to_accuracy.rounds`. Or a ``table``, shape (B, L, K), of
        the rounds with one batch size for all, and optionally ``reached``, truth values of its
        shape, false where the target was not reached.
    objective
        ``time``.
    cuts
        ``common``: all devices cut alike; ``per_device``: the largest cut counts for rounds.
    largest_batch
        Shape (N, L): the most samples that fit into a device's memory at a cut, 0 where it may not
        cut there; by default any.
    convergence_bound
        Constants of the bound by which `hasfl` and `adaptsfl` plan, see
        `splitopt.problems.time_to_accuracy.convergence_bound`.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
    def from_scenario(
        cls,
        scenario: ScenarioLike,
        profile: ProfileLike | None = None,
        objective: str = "time",
    ) -> TimeToAccuracy:
        """Build the problem from the section ``time_to_accuracy`` of a scenario, see `tables`."""
        from splitopt.problems.time_to_accuracy.tables import tables_from_scenario

        scenario = as_scenario(scenario)
        profile = as_profile(profile, scenario)
        return cls(**tables_from_scenario(scenario, profile), objective=objective or "time")

    def rounds_of(self, decision: TimeToAccuracyDecision) -> float:
        """Return the rounds until the target, infinite for choices that are not offered."""
        decision = self.of_this_size(decision)
        sizes = np.searchsorted(self.batch_sizes, decision.batch_size)
        sizes = np.minimum(sizes, len(self.batch_sizes) - 1)
        k = min(
            int(np.searchsorted(self.intervals, decision.aggregation_interval)),
            len(self.intervals) - 1,
        )
        offered = (self.batch_sizes[sizes] == decision.batch_size).all()
        if not offered or self.intervals[k] != decision.aggregation_interval:
            return math.inf
        column = self.rounds_by_choice[:, int(decision.cut.max()) - 1, k]
        # By how often each batch size occurs, so that the order of devices changes no bit.
        counts = np.bincount(sizes, minlength=len(column))
        used = counts > 0
        return math.fsum(counts[used] * column[used]) / self.devices

    def device_seconds(self, decision: TimeToAccuracyDecision) -> FloatArray:
        """Shape (N, 4): seconds of every device's own part of a round, without its waiting.

        Its batch until the activations are up, in the server, until its backward pass is done, and
        its part of an aggregation.
        """
        decision = self.of_this_size(decision)
        rows, columns, size = np.arange(self.devices), decision.cut - 1, decision.batch_size
        return np.stack(
            [
                size * self.out_s[rows, columns],
                size * self.server_s[columns],
                size * self.back_s[rows, columns],
                self.exchange_s[rows, columns] / decision.aggregation_interval,
            ],
            axis=1,
        )

    def phases(self, decision: TimeToAccuracyDecision) -> FloatArray:
        """Shape (4,): seconds of a round by phase, `splitopt.latency.synchronous_steps.PHASES`."""
        decision = self.of_this_size(decision)
        out, server, back, exchange = self.device_seconds(decision).T
        return np.array(round_phases(out, server, back, exchange, 1))

    def round_seconds(self, decision: TimeToAccuracyDecision) -> float:
        """Return the seconds of a round, with its part of an aggregation."""
        return math.fsum(self.phases(decision))

    def evaluate(self, decision: TimeToAccuracyDecision) -> float:
        """Return the seconds until the target: rounds times the seconds of a round."""
        rounds = self.rounds_of(decision)
        return rounds * self.round_seconds(decision) if math.isfinite(rounds) else math.inf

    def violations(self, decision: TimeToAccuracyDecision) -> dict[str, float]:
        """Amount of what is not to be chosen.

        ``cuts_differ``: devices with another cut than the first, where it is common;
        ``batch_above_memory``: samples beyond the largest batch of a device;
        ``batch_not_offered``, ``interval_not_offered``: devices, and 1, with another value than
        those to choose from; ``target_not_reached``: 1.
        """
        decision = self.of_this_size(decision)
        found: dict[str, float] = {}
        if self.cuts == "common" and (other := int((decision.cut != decision.cut[0]).sum())):
            found["cuts_differ"] = float(other)
        most = self.largest_batch[np.arange(self.devices), decision.cut - 1]
        if (over := int((decision.batch_size - most).max())) > 0:
            found["batch_above_memory"] = float(over)
        if strange := int((~np.isin(decision.batch_size, self.batch_sizes)).sum()):
            found["batch_not_offered"] = float(strange)
        if decision.aggregation_interval not in self.intervals:
            found["interval_not_offered"] = 1.0
        if not found and not math.isfinite(self.rounds_of(decision)):
            found["target_not_reached"] = 1.0
        return found

    def of_this_size(
        self, decision: TimeToAccuracyDecision | Mapping[str, Any]
    ) -> TimeToAccuracyDecision:
        """Return a decision about this problem's devices and layers; else raise `InputError`."""
        found = self.taken(decision)
        for field in ("cut", "batch_size"):
            if len(getattr(found, field)) != self.devices:
                raise InputError.at(
                    f"decision.{field}",
                    f"has {len(getattr(found, field))} entries, it needs one for each of "
                    f"{self.devices} devices",
                )
        for field, most in (("cut", self.layers), ("batch_size", 2**53)):
            row = getattr(found, field)
            if row.min() < 1 or row.max() > most:
                n = int(np.argmax((row < 1) | (row > most)))
                raise InputError.at(
                    f"decision.{field}[{n}]", f"is {row[n]}, it must be from 1 to {most}"
                )
        if found.aggregation_interval < 1:
            raise InputError.at(
                "decision.aggregation_interval",
                f"is {found.aggregation_interval}, it must be at least 1",
            )
        return found

    def infeasibility(self) -> str | None:
        """Report what leaves no decision, None where there is one."""
        return obvious_reason(self)

    @np.errstate(invalid="ignore")
    def bound(self) -> float:
        """Return the fewest rounds times the shortest round, each by itself.

        A round is at least what the device that is slowest at its best cut takes for the smallest
        batch, beside the server's smallest batches of all devices.
        """
        if self.infeasibility() is not None:
            return math.inf
        least, open_cuts = int(self.batch_sizes[0]), self.possible
        spread = self.exchange_s / self.intervals[-1]
        alone = np.where(self.fits, least * (self.out_s + self.back_s) + spread, np.inf)
        served = least * self.devices * float(self.server_s[self.fits.any(axis=0)].min())
        rounds = float(self.rounds_by_choice[:, open_cuts].min())
        return rounds * (float(alone.min(axis=1).max()) + served)

    def complete(self, cut: Any, batch_size: Any, aggregation_interval: Any) -> Any:
        """Return the decision of a cut and a batch size, each for all devices or one per device."""
        cuts = np.full(self.devices, cut) if np.ndim(cut) == 0 else cut
        sizes = np.full(self.devices, batch_size) if np.ndim(batch_size) == 0 else batch_size
        return self.of_this_size(TimeToAccuracyDecision(cuts, sizes, aggregation_interval))

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> TimeToAccuracyDecision:
        """Read a decision from plain data."""
        return TimeToAccuracyDecision.from_dict(document, self.devices, self.layers, source)

    def to_pyomo(self, unit_s: float = 1.0) -> PyomoModel:
        """Return the problem as a Pyomo model, see the module `pyomo_model`.

        It is for small problems: its objective is the product of two variables, which a solver has
        to branch on. Times are in units of `unit_s` seconds.
        """
        from splitopt.problems.time_to_accuracy.pyomo_model import build_pyomo

        return build_pyomo(self, unit_s)
