"""Does IoTSL pay? Plain split learning and IoTSL to the same accuracy, from a scenario."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.latency import iotsl
from splitopt.latency.cell import cut_index
from splitopt.latency.generator_training import (
    critic_step_work,
    generator_step_work,
    step_work,
)
from splitopt.latency.iotsl import Cost
from splitopt.latency.split_federated import (
    exchanged_in_round,
    link_rate,
    phase_seconds,
    single_server,
)
from splitopt.latency.turns import LABEL_BYTES, turn_traffic, turns_of
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.common_cut import CommonCut
from splitopt.problems.common_cut.reasons import why_none
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
from splitopt.problems.generator_pairing.tables import section_of
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import has_copies
from splitopt.profiles.published.iotsl import iotsl_networks
from splitopt.scenario import Scenario
from splitopt.scenario.generator_training import GeneratorTraining
from splitopt.scenario.machine import Machine
from splitopt.scenario.nodes import AUTO

_PLACE = "generators.training"
_COUNT_BYTES = 4.0
"""Of a number of a label histogram."""

TRAIN, TO_EDGE, SEND, PRETRAIN, THETA, IMPUTE, FINE_TUNE = (
    "train generators",
    "samples to the edge",
    "generators and histograms up",
    "pre-train at the server",
    "pre-trained part down",
    "pair and impute",
    "fine-tune",
)
"""The steps of Algorithm 1; samples go to an edge machine only where it trains."""


def training_of(scenario: Scenario) -> GeneratorTraining | None:
    """Return the section ``generators.training``, None where there is none."""
    return None if scenario.generators is None else scenario.generators.training


def check_training(scenario: Scenario, profile: ModelProfile) -> None:
    """Check that the question can be answered.

    Raises
    ------
    InputError
        A speed is missing, there is not one server, or the model has no such cut or no work.
    InfeasibleError
        No cut, or not the stated one, is within the limits.
    """
    if training_of(scenario) is None:
        return
    for machine in (*scenario.devices, single_server(scenario)):
        _speed(machine)
    profile.expect_work()
    training_cut(scenario, profile)


def training_cut(scenario: Scenario, profile: ModelProfile) -> int:
    """Return the cut of the training, 1..L: the stated one, or that of the shortest round.

    Raises
    ------
    InputError, InfeasibleError
        As `check_training`.
    """
    training = training_of(scenario)
    assert training is not None  # the caller saw to it
    problem = CommonCut.from_scenario(_one_epoch(scenario), profile, "vanilla")
    if reason := why_none(problem, scenario, profile):
        raise InfeasibleError(reason)
    if training.cut == AUTO:
        possible = (np.flatnonzero(problem.possible) + 1).tolist()
        return int(possible[int(problem.rounds(possible).sum(axis=1).argmin())])
    cut = cut_index(profile, training.cut, f"{_PLACE}.cut")
    if not problem.possible[cut - 1]:
        allowed = ", ".join(profile.layers[k] for k in np.flatnonzero(problem.possible))
        raise InfeasibleError(
            f"{_PLACE}.cut: {profile.layers[cut - 1]} leaves the server nothing or is beyond a "
            f"limit on memory or leakage; possible are {allowed}"
        )
    return cut


def _speed(machine: Machine) -> float:
    if machine.compute is None:
        raise InputError(
            f"{_PLACE} needs the speed of {machine.name} in FLOP/s, since generators were not "
            "measured; give its 'compute'"
        )
    return machine.compute


def _one_epoch(scenario: Scenario) -> Scenario:
    """Return the scenario with a round of one epoch: of a turn there is one."""
    return scenario._with(training=scenario.training._with(epochs=1))


@dataclass(frozen=True)
class Work:
    """FLOP per sample: a step of the critic, one of the generator, and making a sample."""

    critic: float
    generator: float
    sampling: float

    @classmethod
    def of(cls, training: GeneratorTraining) -> Work:
        """Read the stated work, or count IoTSL's networks."""
        if training.network is not None:
            made, scored = (2.0 * unit.operations for unit in iotsl_networks())
            return cls(critic_step_work(made, scored), generator_step_work(made, scored), made)
        critic, generator = training.critic_work, training.generator_work
        assert critic is not None  # the section saw to it
        assert generator is not None
        stated = training.sampling_work
        # A generator step passes three times through the generator, once of these forward.
        return cls(critic, generator, generator / 3 if stated is None else stated)


@dataclass(frozen=True)
class IoTSL:
    """A scenario with ``generators.training`` and its pairing, and what everything takes."""

    scenario: Scenario
    profile: ModelProfile
    pairing: GeneratorPairing
    decision: GeneratorPairingDecision
    training: GeneratorTraining

    @cached_property
    def cut(self) -> int:
        """The cut, 1..L."""
        return training_cut(self.scenario, self.profile)

    @cached_property
    def work(self) -> Work:
        """Work of the generators' steps per sample."""
        return Work.of(self.training)

    @cached_property
    def fleet(self) -> iotsl.Fleet:
        """The single devices."""
        scenario, devices = self.scenario, self.scenario.fleet()
        links = [[scenario.link(d, way) for d in devices] for way in ("uplink", "downlink")]
        powers = ([d.compute_power for d in devices], [up.transmit_power for up in links[0]])
        known = all(None not in column for column in powers)
        shown = powers if known else [[math.nan] * len(devices)] * 2
        columns = (
            [_speed(device) for device in devices],
            *([link_rate(link) for link in way] for way in links),
            *shown,
        )
        return iotsl.Fleet(*(np.array(column, dtype=np.float64) for column in columns))

    @cached_property
    def edge(self) -> iotsl.Edge | None:
        """The edge machine, None where there is none."""
        stated = self.training.edge
        if stated is None:
            return None
        power = math.nan if stated.power is None else stated.power
        return iotsl.Edge(stated.compute, stated.rate, power)

    @cached_property
    def trains(self) -> Any:
        """Shape (D,): whether a device has a generator."""
        known = self.pairing.classes if self.pairing.generates is None else self.pairing.generates
        return known.any(axis=1)

    @cached_property
    def imputed(self) -> IntArray:
        """Shape (D,): samples that each device makes of the classes that it lacks.

        Of every class as many as it has of one of its own on average (Algorithm 2, line 19).
        """
        lacking = (self.pairing.need > 0).sum(axis=1)
        if (stated := self.training.imputed_samples) is not None:
            return np.asarray(lacking * stated, dtype=np.int64)
        own = self.pairing.classes.sum(axis=1)
        return np.asarray(np.rint(lacking * self._samples / own), dtype=np.int64)

    @cached_property
    def _samples(self) -> IntArray:
        return np.array([device.samples for device in self.scenario.fleet()], dtype=np.int64)

    def turns(self, which: str) -> IntArray:
        """Shape (D,): turns of each device ``without`` or ``with`` generators."""
        count, devices = self.training.epochs[which], self.pairing.devices  # type: ignore[index]
        if self.training.counted_in == "rounds":
            return np.full(devices, count, dtype=np.int64)
        return np.asarray(turns_of(count, devices))

    def _turn(self, more: IntArray) -> iotsl.Turn:
        """Return a turn of each device that passes over so many more samples, shape (D,)."""
        fleet = self.scenario.fleet()
        devices = tuple(
            device._with(samples=device.samples + extra)
            for device, extra in zip(fleet, more.tolist(), strict=True)
        )
        one = _one_epoch(self.scenario)._with(devices=devices)
        at, profile = self.cut - 1, self.profile
        phases = phase_seconds(one, profile).at([at])
        samples = (self._samples + more).astype(np.float64)
        moved = turn_traffic(
            samples,
            profile.smashed_bytes[at],
            profile.gradient_bytes[at],
            profile.device_model_bytes[at],
            LABEL_BYTES,
        )
        if has_copies(profile):
            moved = moved + sum(way[:, at] for way in exchanged_in_round(one, profile))
        return iotsl.Turn(
            download_s=phases.download[:, 0],
            device_s=phases.device[:, 0],
            upload_s=phases.upload[:, 0],
            server_s=phases.server[:, 0],
            bytes=moved,
            device_flop=samples * _both(profile, "device")[at],
            server_flop=samples * _both(profile, "server")[at],
        )

    @cached_property
    def split_learning(self) -> Cost:
        """Plain split learning to the target, one device after the other."""
        turn = self._turn(np.zeros(self.pairing.devices, dtype=np.int64))
        return iotsl.turns_cost(self.fleet, turn, self.turns("without"))

    def per_generator_step(self, where: str) -> Cost:
        """Compute what one more generator step of each device adds."""
        spec = self.training
        one = step_work(spec.batch_size, spec.critic_steps, self.work.critic, self.work.generator)
        flop = one * self.trains
        if where == "devices":
            return iotsl.on_devices(self.fleet, flop)
        assert self.edge is not None  # the caller saw to it
        return iotsl.at_edge(self.fleet, self.edge, flop)

    def steps(self, where: str) -> list[tuple[str, Cost]]:
        """Return the steps of Algorithm 1 with the generators trained on ``devices`` or ``edge``.

        Steps that do not take place are left out.
        """
        trained = (TRAIN, self.per_generator_step(where).times(self.training.steps))
        found = [*self._to_edge(where), trained, (SEND, self._sent(where))]
        if self.training.pretraining_epochs:
            found += [(PRETRAIN, self._pretrained()), (THETA, self._theta())]
        if len(self.decision.pairs[0]) or self.imputed.any():
            found.append((IMPUTE, self._paired(where)))
        return [*found, (FINE_TUNE, self._fine_tuned)]

    @cached_property
    def _fine_tuned(self) -> Cost:
        """Turns with the samples that were made beside the devices' own."""
        return iotsl.turns_cost(self.fleet, self._turn(self.imputed), self.turns("with"))

    def _to_edge(self, where: str) -> list[tuple[str, Cost]]:
        """Send samples of devices with a generator to the machine that trains it."""
        if where == "devices":
            return []
        assert self.edge is not None  # the caller saw to it
        assert self.training.edge is not None
        size = self._samples * self.trains * self.training.edge.sample_size
        return [(TO_EDGE, iotsl.sent_up(self.fleet, size, self.edge.rate))]

    def _sent(self, where: str) -> Cost:
        """Send histograms to the server, and generators unless they go straight to devices."""
        size, devices = section_of(self.scenario).size, self.pairing.devices
        histograms = np.full(devices, _COUNT_BYTES * len(self.pairing.labels))
        if where == "edge":
            assert self.edge is not None  # the caller saw to it
            own = iotsl.sent_by_edge(self.fleet, self.edge, size * float(self.trains.sum()))
            return own.plus(iotsl.sent_up(self.fleet, histograms))
        goes = self.trains if self._at_server else np.zeros(devices)
        return iotsl.sent_up(self.fleet, histograms + size * goes)

    @property
    def _at_server(self) -> bool:
        """Whether generators of devices come to the server."""
        direct = section_of(self.scenario).route == "direct"
        return not direct or self.training.pretraining_epochs > 0

    def _pretrained(self) -> Cost:
        """Make as many samples as devices with generators have, once, and pass over them."""
        made = float((self._samples * self.trains).sum())
        whole = float(_both(self.profile, "device")[-1])
        flop = made * (self.work.sampling + self.training.pretraining_epochs * whole)
        return iotsl.at_server(self.fleet, flop, _speed(single_server(self.scenario)))

    def _theta(self) -> Cost:
        """Send the pre-trained device part to the first device."""
        size = np.zeros(self.pairing.devices)
        size[0] = self.profile.device_model_bytes[self.cut - 1]
        return iotsl.sent_down(self.fleet, size)

    def _paired(self, where: str) -> Cost:
        """Send generators to the devices that lack classes, which make samples of these."""
        section, pairs = section_of(self.scenario), self.decision.pairs
        delay = section.latency or 0.0
        if where == "devices" and section.route == "direct":
            moved = iotsl.sent_between(self.fleet, section.size, pairs, delay)
        else:
            each = np.bincount(pairs[0], minlength=self.pairing.devices)
            moved = iotsl.sent_down(self.fleet, section.size * each, delay * each)
        return moved.plus(iotsl.on_devices(self.fleet, self.imputed * self.work.sampling))


def total_of(costs: Sequence[Cost]) -> Cost:
    """Return what several steps take together."""
    found = costs[0]
    for cost in costs[1:]:
        found = found.plus(cost)
    return found


def _both(profile: ModelProfile, side: str) -> FloatArray:
    """Shape (L,): FLOP of one side for a sample, forward and backward."""
    there, back = (getattr(profile, f"{side}_{way}_flop") for way in ("forward", "backward"))
    return np.asarray(there + back)
