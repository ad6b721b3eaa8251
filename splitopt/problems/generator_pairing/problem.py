"""`GeneratorPairing`: generators for the devices that lack classes (IoTSL, Algorithm 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.generator_pairing.bounds import cheap_bound
from splitopt.problems.generator_pairing.data import GeneratorPairingData
from splitopt.problems.generator_pairing.decision import GeneratorPairingDecision
from splitopt.problems.generator_pairing.program import pairing_program, read_senders
from splitopt.problems.generator_pairing.reasons import obvious_reason
from splitopt.problems.inputs import as_scenario
from splitopt.problems.linear_program import LinearProgram, StatedOnce, Values

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike


@dataclass(frozen=True, eq=False, repr=False)
class GeneratorPairing(GeneratorPairingData, StatedOnce[GeneratorPairingDecision]):
    """Whose generator goes to which device, so that every class that a device lacks is covered.

    A minimum-cost set cover for every device; only caps on senders couple them. Without the
    optional fields it is the question of IoTSL's Algorithm 2, which accepts one generator alone.

    Parameters
    ----------
    cost
        Shape (D, D): ``cost[i, j]`` of sending the generator of device j to device i, in s or in
        bytes; the diagonal counts for nothing.
    classes
        Per device the labels of which it has samples: whole numbers or texts; or a table (D, C) of
        truth values over `labels`.
    labels
        The C classes that every device must have; by default all that some device has.
    counts
        Shape (D, C), in place of `classes`: the samples of each label.
    generates
        As `classes`: the labels that each device's generator was trained on, none where it has no
        generator; by default those of which the device has a sample.
    quality
        Shape (D, C): how good the samples of each generator are by class, from 0 to 1.
    caps
        Shape (D,) or one number for all: to how many devices a generator may be sent.
    sources
        How many senders each missing class needs: one number, or one per label.
    redundant
        Whether every class stays covered when any one sender drops out: one sender more.
    least_samples
        How many samples of a class count as having it.
    least_quality
        Below it, a generator does not count for a class.
    quality_weight
        What a quality of 0 in place of 1 costs, for every missing class of every device and each
        sender that it needs; the best ones of those that are received count.
    names
        Of the devices, all different, for messages; by default their numbers from 0.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

    @classmethod
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = "cost"
    ) -> GeneratorPairing:
        """Build the problem from the section ``generators`` of a scenario, see `tables`.

        The model profile, if one is given, is not needed.
        """
        from splitopt.problems.generator_pairing.tables import tables_from_scenario

        del profile  # generators do not depend on where a model is cut
        tables = tables_from_scenario(as_scenario(scenario))
        try:
            return cls(**tables, objective=objective or "cost")
        except InputError as error:
            raise InputError(f"generators.{error}") from None

    def evaluate(self, decision: GeneratorPairingDecision) -> float:
        """Cost of all transfers, and of the quality that the best senders lack.

        Raises
        ------
        InputError
            The decision is of another number of devices, or names one that does not exist.
        """
        decision = self._of_this_size(decision)
        receivers, senders = decision.pairs
        total = [math.fsum(self.cost[receivers, senders])]
        if self.penalty is not None:
            total += [self._lack(i, row) for i, row in enumerate(decision.senders)]
        return math.fsum(total)

    def _lack(self, i: int, senders: Any) -> float:
        """Cost of the quality that the best senders of every missing class of a device lack."""
        assert self.penalty is not None  # the caller saw to it
        found = []
        for c in np.flatnonzero(self.need[i]):
            useful = senders[self.covers[senders, c] & (senders != i)]
            found.append(math.fsum(np.sort(self.penalty[useful, c])[: self.need[i, c]]))
        return math.fsum(found)

    def violations(self, decision: GeneratorPairingDecision) -> dict[str, float]:
        """Count what a decision lacks or does too much.

        ``missing_sources``: senders that missing classes lack, all devices together;
        ``own_generators``: devices that receive their own; ``sends_over_caps``: transfers beyond
        the caps.
        """
        decision = self._of_this_size(decision)
        receivers, senders = decision.pairs
        found: dict[str, float] = {}
        other = receivers != senders
        if own := int((~other).sum()):
            found["own_generators"] = float(own)
        got = np.zeros(self.need.shape, dtype=np.int64)
        np.add.at(got, receivers[other], self.covers[senders[other]].astype(np.int64))
        if lacking := int(np.maximum(self.need - got, 0).sum()):
            found["missing_sources"] = float(lacking)
        if self.caps is not None:
            sends = np.bincount(senders, minlength=self.devices)
            if over := int(np.maximum(sends - self.caps, 0).sum()):
                found["sends_over_caps"] = float(over)
        return found

    def complete(self, senders: Iterable[Iterable[int]]) -> GeneratorPairingDecision:
        """Return the decision of given senders, per device, completed where classes lack some.

        What is missing is added one sender at a time, the cheapest for each class that it newly
        covers, within the caps; where none is left, the decision stays without (`violations` says
        so).
        """
        from splitopt.problems.generator_pairing.completing import completed

        given = GeneratorPairingDecision(tuple(np.asarray(list(row)) for row in senders))
        return completed(self, self._of_this_size(given))

    def sources_of(self, decision: GeneratorPairingDecision) -> list[dict[Any, list[int]]]:
        """Return for every device the missing label -> the senders that it is taken from.

        They are as many as are needed, of the best quality where it is known, else the first.
        """
        decision = self._of_this_size(decision)
        found = []
        for i, senders in enumerate(decision.senders):
            taken: dict[Any, list[int]] = {}
            for c in np.flatnonzero(self.need[i]):
                useful = senders[self.covers[senders, c] & (senders != i)]
                if self.quality is not None:
                    useful = useful[np.argsort(-self.quality[useful, c], kind="stable")]
                taken[self.labels[c]] = useful[: self.need[i, c]].tolist()
            found.append(taken)
        return found

    def _of_this_size(
        self, decision: GeneratorPairingDecision | Mapping[str, Any]
    ) -> GeneratorPairingDecision:
        """Return a decision about this problem's devices; else raise `InputError`."""
        found = self.taken(decision)
        if len(found.senders) != self.devices:
            raise InputError.at(
                "decision.senders",
                f"has {len(found.senders)} entries, it needs one for each of {self.devices} "
                "devices",
            )
        for i, row in enumerate(found.senders):
            if row.size and not 0 <= row[0] <= row[-1] < self.devices:
                odd = row[0] if row[0] < 0 else row[-1]
                raise InputError.at(
                    f"decision.senders[{i}]",
                    f"names device {odd} as a sender of {self.called[i]}; devices are numbered "
                    f"from 0 to {self.devices - 1}",
                )
        return found

    def infeasibility(self) -> str | None:
        """Name a class that cannot be covered, as far as it shows without a search.

        Caps that only together make covering impossible are the exact solver's to report.
        """
        return obvious_reason(self)

    def bound(self) -> float:
        """Return a lower bound from prices of classes, see `cheap_bound`."""
        return cheap_bound(self)

    def integer_program(
        self, unit_s: float
    ) -> tuple[LinearProgram, Callable[[Values], GeneratorPairingDecision]]:
        """Return the program, see the module `program`, and what reads a decision from values."""
        return pairing_program(self, unit_s), lambda values: read_senders(self, values)

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> GeneratorPairingDecision:
        """Read a decision from plain data."""
        return GeneratorPairingDecision.from_dict(document, self.devices, source)
