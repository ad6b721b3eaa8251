"""The server of a plan with devices: what its orchestrations share.

What a device sends back is written into its client's copy, so that averages, the options' policies
and the state between rounds are the scheme's own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from splitopt.training.codecs.crossing import DOWN, UP
from splitopt.training.data.shards import Elsewhere
from splitopt.training.rounds.clock import VirtualClock
from splitopt.training.schemes.base import Scheme
from splitopt.training.schemes.tally import Round
from splitopt.training.wire.client_state import (
    CONTROL,
    control_of,
    fixed_of,
    kinds_up,
    load_control,
    load_model,
    parameters_of,
)
from splitopt.training.wire.compute import COMPUTE
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.dropping import late_on_failure
from splitopt.training.wire.encoded import arrived, as_tensors, as_tied, without_tied
from splitopt.training.wire.leader import RoundOutcome
from splitopt.training.wire.private import planned_field
from splitopt.training.wire.recorder import read_rows
from splitopt.training.wire.star.device_links import DeviceLinks, Found
from splitopt.training.wire.star.examples import Examples
from splitopt.training.wire.star.exchange import add_gradients, gradients_of
from splitopt.training.wire.star.pace import DevicePace
from splitopt.training.wire.star.random_state import changed, take_stream
from splitopt.training.wire.star.secure.aggregation import Aggregation, Ways
from splitopt.training.wire.star.secure.member import MASKED
from splitopt.training.wire.star.timing import (
    BACKWARD,
    FORWARD,
    GRADIENT,
    MODEL_UP,
    UPLOAD,
    Timing,
)
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message


class Arrived(NamedTuple):
    """A mini-batch of a device at the server: smashed data, labels, and since when."""

    smashed: Tensor
    targets: Tensor
    moment_s: float


class Server(DeviceLinks):
    """Rank 0 of a plan with a server and devices.

    Parameters
    ----------
    scheme, time_scale, deadline
        As for `Leader`.
    timing
        What the plan's phases take.
    crew
        The devices, as ranks 1, 2, ... in the order of the clients.
    """

    shift: ClassVar[int] = 0
    """By how much the simulator numbers a gradient's batch later than that of its smashed data."""

    averages_devices: ClassVar[bool] = True
    """Whether rank 0 averages the devices' parts, and no other server."""

    def __init__(
        self,
        scheme: Scheme,
        timing: Timing,
        crew: Crew,
        time_scale: float,
        deadline: Deadline | None = None,
    ) -> None:
        super().__init__(scheme, timing, crew, time_scale, deadline)
        self.examples = Examples(scheme, self.copy)
        self._set_up: dict[int, Channel] = {}
        known = [client.batches.targets.reshape(-1) for client in scheme.clients]
        self._known = torch.unique(torch.cat(known))  # of what this process has
        self._clock = VirtualClock(timing.program, scheme=scheme)

    def train_round(self) -> RoundOutcome:
        """Train with the devices that are there."""
        self.planned = self.timing.round(self.number)
        wanted = {client.name for client in self.scheme.takes_part(self.number)}
        there = self.present()
        present = [n for n in there if self.scheme.clients[n].name in wanted]
        if not present:
            self.fail()
        if self.scheme.options.secure_aggregation and self.averages_devices:
            self._sum = Aggregation(self.scheme, present, self.number)
        self.announce(present)
        tally, finished = self.play(present)
        down, up = self.secure_bytes()
        tally.traffic.secure_down += down
        tally.traffic.secure_up += up
        predicted = self._clock.timeline(self.number)
        return RoundOutcome(tally, finished, self.recorder.take(), predicted)

    @abstractmethod
    def play(self, present: Sequence[int]) -> tuple[Round, Collection[int]]:
        """Orchestrate a round of these clients, and return its sums and who finished it."""

    def announce(self, present: Sequence[int]) -> None:
        """Inform other servers of whom a round is; there are none here."""

    def agreed(self, served: dict[int, Found]) -> dict[int, Found]:
        """Return those of the clients who came to the end at all servers."""
        if served:
            self.unmasked(served)
        return served

    def secure_bytes(self) -> tuple[int, int]:
        """Return the bytes of keys and shares of the round, down and up."""
        if self._sum is None:
            return 0, 0
        return self._sum.sent.total(), self._sum.received.total()

    def unmasked(self, finished: Collection[int]) -> None:
        """Compute the plain sum of the parts of those who came to the end, if parts are masked."""
        if self._sum is not None:
            self._sum.unmask(finished, self.each, lambda n: self._ways(n, MODEL_UP))

    def settle(self) -> None:
        """Make the mean of the devices' parts that of the common model, if parts were masked."""
        if self._sum is not None:
            self._sum.settle()

    def begin(self, n: int, steps: int) -> None:
        """Send a device what it needs for the round, its part of the model last."""
        self.greet(n, steps)
        self.hand_part(n)

    def greet(self, n: int, steps: int) -> None:
        """Send a device what it needs for the round but its part of the model."""
        client, own = self.scheme.clients[n], self.copy(n)
        for weight in own.tied().values():
            weight.grad = None  # the device alone has made the last step of its last round
        down, channel = self.timing.model_down, self._channel(n)
        if self._set_up.get(n) is not channel:  # it has joined, or has come back
            if fixed := fixed_of(own):
                self.send(n, "setup", down, {}, fixed)
            self._set_up[n] = channel
        self.send(n, "begin", down, self.beginning(n, steps), control_of(client, own))
        if self._sum is not None:
            with late_on_failure(down):
                self._sum.agree(n, self._ways(n, down))

    def hand_part(self, n: int) -> None:
        """Send a device its part of the model."""
        parameters = parameters_of(self.copy(n))
        self.send(
            n, "model", self.timing.model_down, {}, parameters, batch=0 if parameters else None
        )

    def _ways(self, n: int, phase: str) -> Ways:
        """Return how messages of a secure sum go to a device, and come from it."""
        return Ways(
            lambda kind, fields, tensors: self.send(n, kind, phase, fields, tensors),
            lambda kind: self.receive(n, kind, phase, 0.0),
        )

    def beginning(self, n: int, steps: int) -> dict[str, Any]:
        """Return what a device is told of a round of so many mini-batches."""
        return {
            "round": self.number,
            "steps": steps,
            "shift": self.shift,
            "pace": DevicePace.of(self.planned.pieces[n], self.time_scale).fields(),
            **planned_field(self.scheme.clients[n]),
        }

    def before_s(self, n: int) -> float:  # noqa: ARG002
        """Return what is planned between the word to begin and a device's first mini-batch."""
        return 0.0

    def take(self, n: int, batch: int) -> Arrived | None:
        """Wait for a device's smashed data and their labels; None for a batch without samples.

        There are such where a device draws them by chance, with privacy.
        """
        client, pieces = self.scheme.clients[n], self.planned.pieces[n]
        size = client.batches.size
        phases = (FORWARD, UPLOAD) if batch == 0 else (BACKWARD, FORWARD, UPLOAD)
        planned_s = sum(pieces[phase].seconds_for(size) for phase in phases)
        planned_s += self.before_s(n) if batch == 0 else 0.0
        labels = self.receive(n, "labels", FORWARD, planned_s)
        if client.guard is not None and not len(labels.tensors.get("targets", (0,))):
            return None
        smashed = self.receive(n, "smashed", UPLOAD, planned_s)
        self._arrived[n, UPLOAD, batch] = smashed.transfer.end_s
        with late_on_failure(UPLOAD):
            take_stream(labels.tensors, client)
            targets, length = labels.tensors["targets"], self.examples.length(n, labels.fields)
            example = self.examples.smashed(n, length)
            rows = [size * len(example) for size in targets.shape[:1]]  # tokens, say
            shape = (*rows, *example.shape[1:])
            tensors, others = without_tied(smashed.tensors)
            self.step_tied(n, others, batch)
            sent = arrived(client.crossing, UP, tensors, "smashed", shape, example.dtype)
            self._check(n, sent, targets, length)
        return Arrived(sent, targets, smashed.transfer.end_s)

    def step_tied(self, n: int, others: Mapping[str, Tensor], batch: int) -> None:
        """Step the server's copies of tied weights with a device's gradients of the last batch."""
        own = self.copy(n)
        weights = own.tied() if batch else {}  # nothing is trained before the first one
        with COMPUTE:
            add_gradients(weights, others)
            if weights:
                own.parts[0].step()

    def give(
        self,
        n: int,
        gradient: Tensor | None,
        before: Tensor,
        batch: int,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Send a device the gradient of what it sent, and the random state if it has changed.

        Where nothing of its part is trained, or its batch had no sample, it gets no gradient, only
        the word to go on.
        """
        client, tensors = self.scheme.clients[n], dict[str, Tensor]()
        if gradient is not None:
            with COMPUTE:
                encoded = client.crossing.encode(DOWN, 0, gradient)
            tied = as_tied(gradients_of(self.copy(n).tied()))
            tensors = {**as_tensors(encoded, "gradient"), **tied}
        stream = changed(before, client.stream.state)
        if stream:
            self.send(n, "stream", GRADIENT, {}, stream)
        number = None if gradient is None else batch + self.shift
        self.send(n, "gradient", GRADIENT, fields or {}, tensors, batch=number)

    def finish(self, n: int, steps: int) -> list[Any]:
        """Receive a device's part and state at the end of a round; return the losses it noted."""
        return self.take_over(n, self.part_of(n, steps))

    def part_of(self, n: int, steps: int) -> Message:
        """Receive a device's part at the end of a round of so many mini-batches."""
        client, pieces = self.scheme.clients[n], self.planned.pieces[n]
        size = client.batches.size
        waits_s = pieces[BACKWARD].seconds_for(size) + pieces[MODEL_UP].seconds
        if not client.cuts:
            waits_s += steps * (
                pieces[FORWARD].seconds_for(size) + pieces[BACKWARD].seconds_for(size)
            )
        kind = "model" if self._sum is None else MASKED
        model = self.receive(n, kind, MODEL_UP, waits_s)
        self._arrived[n, MODEL_UP, steps - 1 + self.shift] = model.transfer.end_s
        return model

    def take_over(self, n: int, model: Message) -> list[Any]:
        """Load a device's part, and the state that follows; return the losses it noted."""
        state = self.receive(n, "state", MODEL_UP, 0.0)
        with late_on_failure(MODEL_UP):
            if self._sum is None:
                load_model(model.tensors, self.copy(n))
        losses = self.read_state(n, state, kinds_up(CONTROL, self._sum is not None))
        if self._sum is not None:  # last, since whose vector is kept can be asked for the shares
            with late_on_failure(MODEL_UP):
                self._sum.add(n, model)
        return losses

    def read_state(self, n: int, state: Message, kinds: Sequence[str] = CONTROL) -> list[Any]:
        """Read what a device says at the end of a round; return the losses it noted."""
        client, own, pieces = self.scheme.clients[n], self.copy(n), self.planned.pieces[n]
        channel = self.crew.channel(n + 1)
        with late_on_failure(MODEL_UP):
            load_control(state.tensors, client, own, kinds)
            offset_s = channel.offset.seconds if channel is not None else 0.0
            rows = read_rows(state.fields.get("rows"), offset_s)
            losses = _read_losses(state.fields.get("losses"))
        for row in rows:
            share = pieces[row.phase].share if row.phase in pieces else 1.0
            there_s = self._arrived.pop((n, row.phase, row.batch), row.end_s)
            # A message is over when a shared link has let it through, not when its sender notices.
            row = row._replace(end_s=max(row.start_s, there_s), share=share)
            self.recorder.add(*row)
        return losses

    def _check(self, n: int, sent: Tensor, targets: Tensor, length: int | None = None) -> None:
        """Reject smashed data and labels that the server's part cannot take."""
        example, known = self.examples.smashed(n, length), self.examples.targets(n, length)
        batches = self.scheme.clients[n].batches
        like = (example.shape[1:], example.dtype, known.shape[1:], known.dtype)
        found = (sent.shape[1:], sent.dtype, targets.shape[1:], targets.dtype)
        if found != like or not 0 < len(sent) == len(targets) * len(example):
            raise FrameError("smashed data or labels of another shape or type than its part makes")
        if not (
            batches.can_have(targets)
            if isinstance(batches, Elsewhere)
            else torch.isin(targets, self._known).all()
        ):
            raise FrameError("labels that are no classes of this data, or targets it does not have")


def _read_losses(values: Any) -> list[tuple[float, int]]:
    """Read mean losses and numbers of samples that a device has noted."""
    if not isinstance(values, list):
        raise FrameError("losses that are no list")
    found = []
    for value in values:
        match value:
            case [int() | float() as loss, int() as samples] if samples > 0 and isfinite(loss):
                found.append((float(loss), samples))
            case _:
                raise FrameError("losses that are no numbers")
    return found
