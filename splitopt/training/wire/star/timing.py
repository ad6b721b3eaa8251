"""What every phase and transfer of a planned round should take: what pads and rates are made of.

For a plan with a server and devices. The seconds are those of the predicted timeline and the bytes
those of the plan's profile, so that a party of a run over real connections paces a transfer to
planned bytes over planned seconds, and pads a computation to its planned seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.encoded import encoded_bytes
from splitopt.latency.split_federated import Exchanged, exchanged_in_round
from splitopt.profiles.counting.tied import exchanged_bytes
from splitopt.timeline import FloatArray, Resource, Timeline
from splitopt.training.program import ClientPlan, Program

MODEL_UP = "model upload"
FORWARD, BACKWARD = "device forward", "device backward"
UPLOAD, GRADIENT = "upload", "gradient download"
SERVER = "server"
PHASES = (FORWARD, UPLOAD, SERVER, GRADIENT, BACKWARD, MODEL_UP)
"""Of all problems; the model's way down has a name in each."""

_BATCHED = (FORWARD, UPLOAD, SERVER, GRADIENT, BACKWARD)
"""Phases that every mini-batch goes through; the others are once in a round."""


@dataclass(frozen=True)
class Piece:
    """What one phase takes for one client, as planned.

    Parameters
    ----------
    seconds
        Of one piece: a mini-batch, or the device part of the model.
    samples
        In the mini-batch, or 1 for the device part of the model.
    payload_bytes
        That travel in one piece; 0 where somebody computes.
    share
        Fraction of the resource that is taken meanwhile.
    """

    seconds: float = 0.0
    samples: float = 1.0
    payload_bytes: float = 0.0
    share: float = 1.0

    def seconds_for(self, samples: float) -> float:
        """Seconds of a mini-batch of this many samples."""
        return self.seconds * samples / self.samples

    @property
    def rate_bytes_per_s(self) -> float:
        """Planned bytes over planned seconds; infinite where the plan takes no time for them."""
        return self.payload_bytes / self.seconds if self.seconds > 0 else float("inf")


@dataclass(frozen=True, eq=False)
class RoundTiming:
    """One planned round.

    Parameters
    ----------
    pieces
        Per client, phase -> `Piece`. In a plan with clusters the server's piece is that of the
        whole cluster and stands at each of its members.
    predicted
        The timeline that they were read from.
    """

    pieces: tuple[Mapping[str, Piece], ...]
    predicted: Timeline

    @property
    def round_s(self) -> float:
        """Planned seconds of the round."""
        return self.predicted.makespan_s


class Timing:
    """All planned rounds of a program, and under which names their tasks are recorded.

    Parameters
    ----------
    program
        Of a plan with a server and devices.

    Raises
    ------
    InputError
        The rounds of the plan are others.
    """

    def __init__(self, program: Program) -> None:
        timeline = program.replay.timeline
        others = [phase for phase in timeline.phases if phase not in PHASES]
        if len(others) != 1 or not set(PHASES) <= set(timeline.phases):
            raise InputError(
                f"the plan is of {program.problem}, whose rounds are not those of a server with "
                "devices"
            )
        self.program = program
        self.model_down = others[0]
        self._resource = _resources(timeline)
        self._round = lru_cache(maxsize=4)(self._read)

    def round(self, number: int) -> RoundTiming:
        """Return what a round (0, 1, ...) takes."""
        return self._round(number % self.program.rounds_known)

    def resource(self, phase: str, client: int) -> Resource:
        """Return what a client's task occupies, by the simulator's names."""
        return self._resource[client][phase]

    def shared(self, phase: str, client: int = 0) -> str | None:
        """Name the resource of which a client's phase takes a share while others may take theirs.

        None where a device has it for itself: what it computes, what it is sent with others by a
        broadcast, and links that are its own (``links.shared`` of the scenario is false). Of
        several servers each has its links and its time for its own devices.
        """
        where = self.resource(phase, client)
        return where.name if where.kind in ("link", "server") else None

    def _read(self, number: int) -> RoundTiming:
        timeline = self.program.replay_of(number).timeline
        total, share = _sums(timeline)
        groups = self.program.groups_of(number)
        found: dict[int, Mapping[str, Piece]] = {}
        for group in groups or [(n,) for n in range(len(self.program.clients))]:
            planned = [self._samples(n) for n in group]
            for n, samples in zip(group, planned, strict=True):
                pieces = {
                    phase: Piece(total[n][phase], samples, 0.0, share[n][phase])
                    for phase in _BATCHED
                }
                if groups:  # the first stands for all in the timeline
                    pieces[SERVER] = Piece(total[group[0]][SERVER], sum(planned))
                for phase in (self.model_down, MODEL_UP):
                    pieces[phase] = Piece(total[n][phase], 1.0, 0.0, share[n][phase])
                found[n] = self._with_bytes(pieces, n)
        return RoundTiming(tuple(found[n] for n in range(len(found))), timeline)

    def _samples(self, client: int) -> float:
        """Return the samples that a client trains on in a planned round, repeated ones included."""
        plan, steps = self.program.clients[client], self.program.local_steps
        if steps is None:
            return float(self.program.local_epochs * plan.samples)
        return float(steps * (plan.batch_size or plan.samples))

    def _with_bytes(self, pieces: dict[str, Piece], client: int) -> dict[str, Piece]:
        """Add what the profile has at the client's cut."""
        profile, plan = self.program.profile, self.program.clients[client]
        at = profile.layers.index(plan.cuts[0]) if plan.cuts else profile.layer_count - 1
        clients = (len(self.program.clients), profile.layer_count)
        beside = self._exchanged()
        smashed, gradient, model = self._columns(plan)
        for phase, column, more in (
            (UPLOAD, smashed, beside.up),
            (GRADIENT, gradient, beside.down),
            (self.model_down, model, 0.0),
            (MODEL_UP, model * self.program.upload_factor, 0.0),
        ):
            piece = pieces[phase]
            size = float(column[at]) * piece.samples
            size += float(np.broadcast_to(more, clients)[client, at])
            pieces[phase] = Piece(piece.seconds, piece.samples, size, piece.share)
        return pieces

    def _exchanged(self) -> Exchanged:
        """Return the bytes of gradients of tied weights in a round, down and up."""
        program = self.program
        if program.local_steps is None:
            return exchanged_in_round(program.scenario, program.profile)
        size = exchanged_bytes(program.profile)
        return Exchanged(program.local_steps * size, (program.local_steps - 1) * size)

    def _columns(self, plan: ClientPlan) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the bytes at each cut that a client sends up, gets back, and has as its model."""
        profile = self.program.profile
        crossing = [profile.smashed_bytes, profile.gradient_bytes]
        if (bits := plan.bits) is not None:
            crossing = [
                encoded_bytes(column, [own], plan.samples, plan.batch_size)[:, 0]
                for column, own in zip(crossing, bits, strict=True)
            ]
        return crossing[0], crossing[1], profile.device_model_bytes


def _resources(timeline: Timeline) -> list[dict[str, Resource]]:
    """Per owner, phase -> what its tasks occupy; those of one server may stand at one owner."""
    index = np.full((len(timeline.owners), len(timeline.phases)), -1)
    index[timeline.owner, timeline.phase] = timeline.resource
    server = timeline.phases.index(SERVER)
    nowhere = index[:, server] < 0
    index[nowhere, server] = index[:, server].max()
    return [
        {phase: timeline.resources[n] for phase, n in zip(timeline.phases, row, strict=True)}
        for row in index.tolist()
    ]


def _sums(timeline: Timeline) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Per owner, phase -> seconds of all its tasks together, and the share that they have."""
    shape = (len(timeline.owners), len(timeline.phases))
    seconds, share = np.zeros(shape), np.ones(shape)
    np.add.at(seconds, (timeline.owner, timeline.phase), timeline.end_s - timeline.start_s)
    share[timeline.owner, timeline.phase] = timeline.share
    return _named(timeline, seconds), _named(timeline, share)


def _named(
    timeline: Timeline, table: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> list[dict[str, float]]:
    return [dict(zip(timeline.phases, map(float, row), strict=True)) for row in table]
