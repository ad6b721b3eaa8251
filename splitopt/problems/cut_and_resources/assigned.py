"""A decision of a scenario's choices in the words of a plan: server, cut, bits, shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from splitopt.latency.encoded import encoded_bytes
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources.choice_decision import ChoiceDecision
from splitopt.problems.cut_and_resources.choice_tables import (
    CLOCK,
    CUT,
    DOWN,
    POWER,
    RANK,
    SERVER,
    UP,
    ScenarioChoices,
    choices_of,
    precision_of,
)
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.problem import CutAndResources
from splitopt.problems.cut_and_resources.seconds import phase_table
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.adapter_ranks import at_rank
from splitopt.scenario import Scenario


class Assigned(NamedTuple):
    """What every device of a plan has.

    Parameters
    ----------
    cut
        Shape (N,): 1..L.
    share
        Shape (N, 3): of the downlink, the uplink and the time of its server; 1 of its own links.
    phases
        Shape (N, 4): seconds by `PHASES`.
    server
        Shape (N,): the server of each, 0-based; None where nobody chooses one.
    bits_up, bits_down
        Shape (N,): bits of a value; None where nobody chooses them.
    clock
        Shape (N,): multiples of the clock that the device's speed is stated at; None as before.
    rank
        Shape (N,): of the adapters of each device's model; None as before.
    power
        Shape (N,): W on air, NaN where it is not known; None where no device chooses it.
    """

    cut: IntArray
    share: FloatArray
    phases: FloatArray
    server: IntArray | None = None
    bits_up: IntArray | None = None
    bits_down: IntArray | None = None
    clock: FloatArray | None = None
    rank: IntArray | None = None
    power: FloatArray | None = None

    def by_rank(self, profile: ModelProfile) -> Iterator[tuple[IntArray, ModelProfile]]:
        """Yield the devices (K,) with adapters of each rank, and the profile at it."""
        if self.rank is None:
            yield np.arange(len(self.cut)), profile
            return
        for rank in np.unique(self.rank).tolist():
            yield np.flatnonzero(self.rank == rank), at_rank(profile, rank)


def assigned(
    problem: CutAndResources,
    decision: CutAndResourcesDecision,
    scenario: Scenario | None,
    profile: ModelProfile | None,
    choices: ScenarioChoices | None = None,
) -> Assigned:
    """Return what each device has by a decision.

    A decision of choices needs the scenario they are from, and tabulates its `choices` if they are
    not given.
    """
    if isinstance(decision, ChoiceDecision):
        assert scenario is not None  # choices have no words of their own
        assert profile is not None
        choices = choices_of(scenario, profile) if choices is None else choices
        return of_choices(choices, decision, scenario)
    share = decision.shares
    if not problem.shared_links:
        share[:, :2] = 1.0
    return Assigned(decision.cut, share, problem.phases(decision))


def crossing_bytes(given: Assigned, scenario: Scenario, profile: ModelProfile) -> FloatArray:
    """Shape (2, N, 1): bytes of a sample that cross each device's cut down and up, on average."""
    at, rows = given.cut - 1, []
    for whole, bits in (
        (profile.gradient_bytes, given.bits_down),
        (profile.smashed_bytes, given.bits_up),
    ):
        if bits is None:
            rows.append(whole[at])
            continue
        fleet = enumerate(scenario.fleet())
        rows.append(
            np.array(
                [
                    encoded_bytes(whole[at[n]][None], [int(bits[n])], d.samples, d.batch_size)[0, 0]
                    for n, d in fleet
                ]
            )
        )
    return np.stack(rows)[:, :, None]


def of_choices(choices: ScenarioChoices, decision: ChoiceDecision, scenario: Scenario) -> Assigned:
    """Return what each device has by a decision of a scenario's choices."""
    chosen, rows = decision.choice, np.arange(choices.devices)
    share = np.take_along_axis(decision.share, choices.columns()[chosen], axis=1)
    if not choices.shared_links:
        share = np.column_stack((np.ones((len(rows), 2)), share[:, 2]))
    space, bits = choices.space, precision_of(scenario)
    found = {kind.name: space.options_of(kind.name)[chosen] for kind in space.kinds}
    clocks, uplinks = choices.clocks, choices.uplinks
    power = None
    if uplinks is not None and uplinks.offered.shape[1] > 1:
        power = uplinks.power[rows, found[SERVER], found[POWER]]
    ranks = None if scenario.adapters is None else np.array(scenario.adapters.rank)
    precise = scenario.precision is not None
    return Assigned(
        cut=found[CUT] + 1,
        share=share,
        phases=phase_table(choices.seconds[:, rows, chosen], share, shared_links=True),
        server=found[SERVER],
        bits_up=np.array(bits.up)[found[UP]] if precise else None,
        bits_down=np.array(bits.down)[found[DOWN]] if precise else None,
        clock=clocks[rows, found[CLOCK]] if clocks is not None and clocks.shape[1] > 1 else None,
        rank=None if ranks is None else ranks[found[RANK]],
        power=power,
    )
