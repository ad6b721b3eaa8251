"""The server of a plan with devices: what its orchestrations share.

What a device sends back is written into its client's copy, so that averages, the options' policies
and the state between rounds are the scheme's own.
"""

from __future__ import annotations

import logging
import queue
import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from splitopt.training.codecs.crossing import DOWN, UP
from splitopt.training.data.shards import Elsewhere
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.rounds.clock import VirtualClock
from splitopt.training.schemes.base import Scheme, TrainingError
from splitopt.training.schemes.tally import Round
from splitopt.training.two_servers import SERVER as MAIN
from splitopt.training.wire.client_state import (
    CONTROL,
    control_of,
    fixed_of,
    load_control,
    load_model,
    parameters_of,
)
from splitopt.training.wire.compute import COMPUTE
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.dropping import LateError, late_on_failure
from splitopt.training.wire.encoded import arrived, as_tensors, as_tied, without_tied
from splitopt.training.wire.leader import Leader, RoundOutcome
from splitopt.training.wire.recorder import Recorder, read_rows
from splitopt.training.wire.star.device import changed, take_stream
from splitopt.training.wire.star.examples import Examples
from splitopt.training.wire.star.exchange import add_gradients, gradients_of
from splitopt.training.wire.star.pace import DevicePace
from splitopt.training.wire.star.resources import Resources
from splitopt.training.wire.star.timing import (
    BACKWARD,
    FORWARD,
    GRADIENT,
    MODEL_UP,
    SERVER,
    UPLOAD,
    RoundTiming,
    Timing,
)
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind

Found = TypeVar("Found")

_PACED = ("smashed", "model")
"""Messages of a device that a plan pays for; all others are control."""

LOST = "lost"
"""What a device sends that has lost another server."""

TIED = "tied"
"""What gradients of tied weights are counted as, beside the messages that they go with."""

_LOG = logging.getLogger(__name__)


class Arrived(NamedTuple):
    """A mini-batch of a device at the server: smashed data, labels, and since when."""

    smashed: Tensor
    targets: Tensor
    moment_s: float


class Server(Leader):
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

    def __init__(
        self,
        scheme: Scheme,
        timing: Timing,
        crew: Crew,
        time_scale: float,
        deadline: Deadline | None = None,
    ) -> None:
        super().__init__(scheme, crew, timing.program.problem, time_scale, deadline)
        self.timing = timing
        self.resources = Resources(timing, time_scale)
        self.recorder = Recorder()
        self._counting = threading.Lock()
        self.examples = Examples(scheme, self.copy)
        self._set_up: dict[int, Channel] = {}
        self._arrived: dict[tuple[int, str, int], float] = {}
        known = [client.batches.targets.reshape(-1) for client in scheme.clients]
        self._known = torch.unique(torch.cat(known))  # of what this process has
        self.planned: RoundTiming = timing.round(0)
        self._clock = VirtualClock(timing.program, scheme=scheme)

    def train_round(self) -> RoundOutcome:
        """Train with the devices that are there."""
        self.planned = self.timing.round(self.number)
        wanted = {client.name for client in self.scheme.takes_part(self.number)}
        there = self.present()
        present = [n for n in there if self.scheme.clients[n].name in wanted]
        if not present:
            self.fail()
        tally, finished = self.play(present)
        predicted = self._clock.timeline(self.number)
        return RoundOutcome(tally, finished, self.recorder.take(), predicted)

    @abstractmethod
    def play(self, present: Sequence[int]) -> tuple[Round, Collection[int]]:
        """Orchestrate a round of these clients, and return its sums and who finished it."""

    def each(self, indices: Sequence[int], work: Callable[[int], Found]) -> dict[int, Found]:
        """Work with several devices at the same time; those that fail are dropped.

        Returns
        -------
        By index of those who did not fail, in the order given.
        """
        answers: queue.SimpleQueue[tuple[int, Found | BaseException]] = queue.SimpleQueue()

        def run(n: int) -> None:
            try:
                answers.put((n, work(n)))
            except BaseException as error:
                answers.put((n, error))

        for n in indices:  # daemons: an interruption waits for nobody's planned seconds
            threading.Thread(target=run, args=(n,), daemon=True).start()
        found: dict[int, Found] = {}
        try:
            for _ in indices:
                n, answer = answers.get()
                if isinstance(answer, LateError):
                    self._drop(n, answer)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    found[n] = answer
        except BaseException:
            self.crew.hang_up()  # the threads wait on connections, and so end
            raise
        return {n: found[n] for n in indices if n in found}

    def begin(self, n: int, steps: int) -> None:
        """Send a device what it needs for the round, its part of the model last."""
        client, own = self.scheme.clients[n], self.copy(n)
        for weight in own.tied().values():
            weight.grad = None  # the device alone has made the last step of its last round
        down, channel, parameters = self.timing.model_down, self._channel(n), parameters_of(own)
        if self._set_up.get(n) is not channel:  # it has joined, or has come back
            if fixed := fixed_of(own):
                self.send(n, "setup", down, {}, fixed)
            self._set_up[n] = channel
        self.send(n, "begin", down, self.beginning(n, steps), control_of(client, own))
        self.send(n, "model", down, {}, parameters, batch=0 if parameters else None)

    def beginning(self, n: int, steps: int) -> dict[str, Any]:
        """Return what a device is told of a round of so many mini-batches."""
        return {
            "round": self.number,
            "steps": steps,
            "shift": self.shift,
            "pace": DevicePace.of(self.planned.pieces[n], self.time_scale).fields(),
        }

    def before_s(self, n: int) -> float:  # noqa: ARG002
        """Return what is planned between the word to begin and a device's first mini-batch."""
        return 0.0

    def take(self, n: int, batch: int) -> Arrived:
        """Wait for a device's smashed data and their labels."""
        client, pieces = self.scheme.clients[n], self.planned.pieces[n]
        size = client.batches.size
        phases = (FORWARD, UPLOAD) if batch == 0 else (BACKWARD, FORWARD, UPLOAD)
        planned_s = sum(pieces[phase].seconds_for(size) for phase in phases)
        planned_s += self.before_s(n) if batch == 0 else 0.0
        labels = self.receive(n, "labels", FORWARD, planned_s)
        smashed = self.receive(n, "smashed", UPLOAD, planned_s)
        self._arrived[n, UPLOAD, batch] = smashed.transfer.end_s
        with late_on_failure(UPLOAD):
            take_stream(labels.tensors, client)
            targets, length = labels.tensors["targets"], self.examples.length(n, labels.fields)
            example = self.examples.smashed(n, length)
            shape = (*targets.shape[:1], *example.shape[1:])
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

    def give(self, n: int, gradient: Tensor | None, before: Tensor, batch: int) -> None:
        """Send a device the gradient of what it sent, and the random state if it has changed.

        Where nothing of its part is trained it gets no gradient, only the word to go on.
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
        self.send(n, "gradient", GRADIENT, {}, tensors, batch=number)

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
        model = self.receive(n, "model", MODEL_UP, waits_s)
        self._arrived[n, MODEL_UP, steps - 1 + self.shift] = model.transfer.end_s
        return model

    def take_over(self, n: int, model: Message) -> list[Any]:
        """Take over a device's part, and the state that follows; return the losses it noted."""
        state = self.receive(n, "state", MODEL_UP, 0.0)
        with late_on_failure(MODEL_UP):
            load_model(model.tensors, self.copy(n))
        return self.read_state(n, state)

    def read_state(self, n: int, state: Message, kinds: Sequence[str] = CONTROL) -> list[Any]:
        """Take over what a device says at the end of a round; return the losses it noted."""
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

    @contextmanager
    def computing(self, n: int, batch: int, arrival_s: float, samples: int) -> Iterator[None]:
        """Wait for the server's planned time since an arrival, and record it for a client.

        The block computes; the time is over when the client's share of the server has done as much
        as planned, or when the block ends if that is later.
        """
        piece = self.planned.pieces[n][SERVER]
        use = self.resources.begin(SERVER, arrival_s)
        yield
        done_s = use.wait(piece.seconds_for(samples) * self.time_scale)
        self._note(SERVER, n, batch, arrival_s, done_s)

    def send(
        self,
        n: int,
        kind: str,
        phase: str,
        fields: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        batch: int | None = None,
    ) -> None:
        """Send to a device; with a batch, at the pace of the phase and recorded under its name."""
        piece = self.planned.pieces[n][phase]
        bucket = self.resources.bucket(phase, piece) if batch is not None else None
        with late_on_failure(phase):
            sent = self._channel(n).send(
                kind, fields, tensors, bucket=bucket, stall_s=self.deadline.wait_s(0.0)
            )
        self._count(kind, tensors)
        if batch is not None:
            self._note(phase, n, batch, sent.start_s, sent.end_s)

    def receive(self, n: int, kind: str, phase: str, planned_s: float) -> Message:
        """Wait for a message of a device within the deadline."""
        wait_s = self.deadline.wait_s(planned_s * self.time_scale)
        with late_on_failure(phase, wait_s):
            if kind in _PACED:
                piece = self.planned.pieces[n][phase]
                message = self.resources.receive(self._channel(n), phase, piece, wait_s)
            else:
                message = self._channel(n).receive(wait_s)
            if message.kind == "failed":
                raise TrainingError(str(message.fields.get("message"))[:500])
            if message.kind == LOST:
                raise ChannelError(str(message.fields.get("message"))[:500])
            expect_kind(message, kind)
        self._count(kind, message.tensors)
        with self._counting:
            self.received_bytes.setdefault(MAIN, Counter())[kind] += message.transfer.payload_bytes
        return message

    def _check(self, n: int, sent: Tensor, targets: Tensor, length: int | None = None) -> None:
        """Reject smashed data and labels that the server's part cannot take."""
        example, known = self.examples.smashed(n, length), self.examples.targets(n, length)
        batches = self.scheme.clients[n].batches
        like = (example.shape[1:], example.dtype, known.shape[1:], known.dtype)
        found = (sent.shape[1:], sent.dtype, targets.shape[1:], targets.dtype)
        if found != like or not 0 < len(sent) == len(targets):
            raise FrameError("smashed data or labels of another shape or type than its part makes")
        if not (
            batches.can_have(targets)
            if isinstance(batches, Elsewhere)
            else torch.isin(targets, self._known).all()
        ):
            raise FrameError("labels that are no classes of this data, or targets it does not have")

    def _drop(self, n: int, error: LateError) -> None:
        _LOG.warning("dropped %s", self.drop(n, error.phase, error.reason))

    def _channel(self, n: int) -> Channel:
        channel = self.crew.channel(n + 1)
        if channel is None:
            raise ChannelError("it has left")
        return channel

    def _count(self, kind: str, tensors: Mapping[str, Tensor]) -> None:
        others, tied = without_tied(tensors)
        with self._counting:
            self.sent_bytes[kind] += sum(map(tensor_bytes, others.values()))
            if tied:
                self.sent_bytes[TIED] += sum(map(tensor_bytes, tied.values()))

    def _note(self, phase: str, n: int, batch: int, start_s: float, end_s: float) -> None:
        resource, piece = self.timing.resource(phase, n), self.planned.pieces[n][phase]
        self.recorder.add(
            resource.name,
            resource.kind,
            phase,
            self.scheme.clients[n].name,
            batch,
            start_s,
            end_s,
            piece.share,
        )


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
