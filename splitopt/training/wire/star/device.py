"""The device of a plan with a server: one loop for all schemes.

In a round it takes its part of the model, and for every mini-batch computes forward, sends the
smashed data with the labels, waits for the gradient and computes backward; at the end it gives its
part back. Who else trains at the same time, and on what, is the server's business; where devices
send in an order, it is the server that says whose turn it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from torch import Tensor

from splitopt.errors import InputError, SplitoptError
from splitopt.training.codecs.crossing import DOWN, UP
from splitopt.training.model_parts.copies import Copy
from splitopt.training.model_parts.parts import Pass, parties_of, tied_between
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.schemes.base import (
    Client,
    Criterion,
    TrainingError,
    finite_loss,
    with_codecs,
)
from splitopt.training.schemes.client import guard_of
from splitopt.training.wire.client_state import (
    CONTROL,
    control_of,
    kinds_up,
    load_control,
    load_fixed,
    load_model,
    parameters_of,
)
from splitopt.training.wire.compute import COMPUTE, padded
from splitopt.training.wire.encoded import arrived, as_tensors, as_tied, without_tied
from splitopt.training.wire.private import FACTORS, NORMS, Told, covers_all, norms_in, plan_noise
from splitopt.training.wire.recorder import Recorder
from splitopt.training.wire.setting import Setting
from splitopt.training.wire.star.examples import length_fields
from splitopt.training.wire.star.exchange import add_gradients, gradients_of
from splitopt.training.wire.star.pace import DevicePace, bucket_of
from splitopt.training.wire.star.private import step_privately
from splitopt.training.wire.star.random_state import changed, take_stream
from splitopt.training.wire.star.secure.member import MASKED, UNMASKING, SumMember
from splitopt.training.wire.star.timing import BACKWARD, FORWARD, MODEL_UP, UPLOAD, Timing
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelClosedError, ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, Transfer, expect_kind

RECUT = "recut"
"""The server's word where a device is cut from now on, where plans follow a trace."""

Cutting = Callable[[tuple[int, ...]], tuple[Client, Copy]]
"""Returns a client and its part of the model for the numbers of layers before each cut."""

TURN = "turn"
"""The server's word that a device may send, where devices send in an order."""


class GoneError(SplitoptError):
    """The server has ended the connection before the end of the run."""


class Device:
    """One client in a process (or thread) of its own.

    Parameters
    ----------
    client
        With its data.
    own
        A copy of its part of the model: one part, or all of it if nothing is cut.
    criterion
        The mean loss of a batch, for devices that have the whole model.
    channel
        To the server.
    timing
        For the names under which tasks are recorded.
    index
        Of the client in the plan.
    sums
        The device in secure sums; None where its part goes up as it is.
    """

    control: Sequence[str] = CONTROL
    """What of the device's state goes to the server, and comes from there."""

    def __init__(
        self,
        client: Client,
        own: Copy,
        criterion: Criterion,
        channel: Channel,
        timing: Timing,
        index: int,
        sums: SumMember | None = None,
    ) -> None:
        self.client, self.own, self.criterion = client, own, criterion
        self.channel, self.timing, self.index = channel, timing, index
        self.sums = sums
        self.recorder = Recorder()
        self._number = 0
        self._tied: dict[str, Tensor] = {}  # gradients that go up with the next mini-batch
        self._turns: int | None = None
        self.cutting: Cutting | None = None

    @property
    def is_whole(self) -> bool:
        """The device has all layers, and takes the loss itself."""
        return not self.client.cuts

    def run(self) -> None:
        """Train in the rounds that the server begins, until it ends the run.

        Raises
        ------
        GoneError
            The server has ended the connection.
        TrainingError
            The loss is not a finite number; the server has been told.
        """
        try:
            while (message := self._receive("setup", "begin", RECUT, "end")).kind != "end":
                if message.kind == "setup":
                    self.set_up(message)
                elif message.kind == RECUT:
                    self.recut(message)
                else:
                    self.round(message)
        except TrainingError as error:
            self.channel.send("failed", {"message": str(error)})
            raise
        except ChannelClosedError as error:
            self._hear_why()
            raise GoneError(
                f"{self.client.name}: the server has ended the connection before the end of the "
                f"run ({error}); its messages say why, such as a deadline that was missed"
            ) from None

    def _hear_why(self) -> None:
        """Raise `GoneError` with the reason that the server sent before it took no more."""
        with suppress(ChannelError):
            while True:
                message = self.channel.receive(0.0)
                if message.kind == "end" and message.fields.get("error"):
                    raise self._ended(message)

    def _ended(self, message: Message) -> GoneError:
        why = message.fields.get("error")
        return GoneError(f"{self.client.name}: the server has ended the run: {why}")

    def round(self, begin: Message) -> None:
        """Train in one round, from the message with which the server begins it."""
        steps, shift = begin.fields.get("steps"), begin.fields.get("shift")
        number = begin.fields.get("round", 0)
        if not isinstance(steps, int) or not isinstance(shift, int) or steps < 1:
            raise FrameError("a round without a number of steps")
        if not isinstance(number, int) or number < 0:
            raise FrameError("a round without a number of steps")
        self._turns, self._number = _turns_in(begin), number
        plan_noise(self.client, begin.fields)
        self.own.begin_round(number)
        self._pace, self._shift = DevicePace.read(begin.fields.get("pace")), shift
        load_control(begin.tensors, self.client, self.own, self.control)
        moment = self.take_part()
        self._tied = {}
        losses: list[list[float]] = []
        for batch in range(steps):
            if self.is_whole:
                moment = self._train_alone(batch, moment, losses)
            else:
                moment = self._train(batch, moment)
        if self._turns is not None:
            self.channel.send("done")
            self._receive(TURN)
        self.give_part(steps)
        rows = [list(row) for row in self.recorder.take()]
        fields = {"rows": rows, "losses": losses}
        kinds = kinds_up(self.control, self.sums is not None)
        self.channel.send("state", fields, control_of(self.client, self.own, kinds))
        if self.sums is not None:
            self.take_masks_off(self.sums)

    def set_up(self, message: Message) -> None:
        """Load what the server sends once, before the first round."""
        load_fixed(message.tensors, self.own)

    def recut(self, message: Message) -> None:
        """Have another part of the model from now on; its values come with the next round."""
        cuts = message.fields.get("cuts")
        if self.cutting is None or not isinstance(cuts, list) or len(cuts) > 1:
            raise FrameError("a word about cuts that this device cannot follow")
        try:
            self.client, self.own = self.cutting(tuple(cuts))
        except (InputError, TypeError, ValueError, IndexError) as error:
            raise FrameError(f"cuts that its model does not have ({error})") from None

    def take_part(self) -> float:
        """Load this device's part of the model for a round; return since when it is there."""
        if self.sums is not None:
            self.sums.agree(self._number, self.channel.send, self._receive)
        model = self._receive("model")
        load_model(model.tensors, self.own)
        return model.transfer.end_s

    def give_part(self, steps: int) -> None:
        """Return this device's part of the model after so many mini-batches."""
        kind, tensors = self.part()
        sent = self._send(kind, tensors, self._pace.model_upload)
        if tensors:
            self._note(MODEL_UP, steps - 1 + self._shift, sent.start_s, sent.end_s)

    def part(self) -> tuple[str, Mapping[str, Tensor]]:
        """Return this device's part of the model as it goes up: kind of message, and tensors."""
        if self.sums is None:
            return "model", parameters_of(self.own)
        with COMPUTE:
            return MASKED, self.sums.masked(self.own)

    def take_masks_off(self, sums: SumMember) -> None:
        """Answer who has come to the end of the round, so that their sum can be unmasked."""
        self.channel.send(UNMASKING, {}, sums.answer(self._receive(UNMASKING)))

    def _train(self, batch: int, start_s: float) -> float:
        """Train on one mini-batch with the server, and say when the device is done with it."""
        part, before = self.own.parts[0], self.client.stream.state
        inputs, targets = self.client.batches.draw()
        if not len(targets):
            return self._pass(batch, targets, start_s)
        with COMPUTE:
            held = part.forward(inputs, self.client.stream, first=True)
            encoded = self.client.crossing.encode(UP, 0, held.sent)
        done_s = padded(start_s + len(targets) * self._pace.forward_s)
        self._note(FORWARD, batch, start_s, done_s)
        labels = {"targets": targets, **changed(before, self.client.stream.state)}
        self.channel.send("labels", {"batch": batch, **length_fields(self.client, inputs)}, labels)
        smashed = {**as_tensors(encoded, "smashed"), **as_tied(self._tied)}
        if batch < (self._turns or 0):
            self._receive(TURN)
        sent = self._send("smashed", smashed, self._pace.upload)
        self._note(UPLOAD, batch, sent.start_s, sent.end_s)
        norms: list[Tensor] = []
        while (message := self._receive("stream", NORMS, "gradient")).kind != "gradient":
            if message.kind == "stream":
                take_stream(message.tensors, self.client)
            else:
                norms = norms_in(message, len(targets))
        start_s = message.transfer.end_s
        if not held.result.requires_grad:  # nothing here is trained: the server's word to go on
            if covers_all(self.client):
                self._step_privately(held, None, message, norms)
            return start_s
        tensors, others = without_tied(message.tensors)
        if not tensors:
            raise FrameError("no gradient, and layers here are trained")
        like, tied = held.result, self.own.tied()
        with COMPUTE:
            gradient = arrived(
                self.client.crossing, DOWN, tensors, "gradient", like.shape, like.dtype
            )
            gradient = gradient.to(like.device)
            if self.client.guard is None:
                held.backward(gradient)
                self._tied = gradients_of(tied)
                add_gradients(tied, others)
                part.step()
        if self.client.guard is not None:
            self._step_privately(held, gradient, message, norms)
        done_s = padded(start_s + len(targets) * self._pace.backward_s)
        self._note(BACKWARD, batch + self._shift, start_s, done_s)
        return done_s

    def _step_privately(
        self, held: Pass, gradient: Tensor | None, message: Message, norms: Sequence[Tensor]
    ) -> None:
        """Update the part with noise, and tell the server what it needs to do so with its own."""
        client, part, samples = self.client, self.own.parts[0], len(held.result)
        with COMPUTE:
            factors = step_privately(client, part, held, gradient, samples, message.fields, norms)
        if covers_all(client):
            told = Told.of(guard_of(client), factors)
            self.channel.send(FACTORS, told.fields(), told.tensors())

    def _pass(self, batch: int, targets: Tensor, start_s: float) -> float:
        """Report to the server that a batch has no sample; the part gets noise all the same."""
        self.channel.send("labels", {"batch": batch}, {"targets": targets})
        if batch < (self._turns or 0):
            self._receive(TURN)
        message = self._receive("gradient")
        with COMPUTE:
            step_privately(self.client, self.own.parts[0], None, None, 0, message.fields)
        return max(start_s, message.transfer.end_s)

    def _train_alone(self, batch: int, start_s: float, losses: list[list[float]]) -> float:
        """Train on one mini-batch where the whole model is on the device."""
        part, guard = self.own.parts[0], self.client.guard
        inputs, targets = self.client.batches.draw()
        if not len(targets):
            with COMPUTE:
                step_privately(self.client, part, None, None, 0, {})
            return start_s
        with COMPUTE:
            held = part.forward(inputs, self.client.stream, first=True)
            loss = self.criterion(held.result, targets)
            losses.append([finite_loss(loss, self.client), len(targets)])
        middle_s = padded(start_s + len(targets) * self._pace.forward_s)
        self._note(FORWARD, batch, start_s, middle_s)
        with COMPUTE:
            if guard is None:
                loss.backward()  # type: ignore[no-untyped-call]
            else:
                guard.backward([part], ("device",), [held], loss)
            part.step()
        done_s = padded(middle_s + len(targets) * self._pace.backward_s)
        self._note(BACKWARD, batch + self._shift, middle_s, done_s)
        return done_s

    def _receive(self, *kinds: str) -> Message:
        """Wait for a message of one of these kinds; the server may always end the run."""
        message = self.channel.receive()
        if message.kind == "end" and message.fields.get("error"):
            raise self._ended(message)
        return expect_kind(message, *kinds)

    def _send(self, kind: str, tensors: Mapping[str, Tensor], rate: float) -> Transfer:
        return self.channel.send(kind, {}, tensors, bucket=bucket_of(rate))

    def _note(self, phase: str, batch: int, start_s: float, end_s: float) -> None:
        resource = self.timing.resource(phase, self.index)
        self.recorder.add(
            resource.name, resource.kind, phase, self.client.name, batch, start_s, end_s
        )


def follow(prepared: Prepared, rank: int, channel: Channel, setting: Setting) -> None:  # noqa: ARG001
    """Run the client of a rank, from 1 on, until the end of the run."""
    device = Device(*member(prepared, rank, channel), sums=sums_of(prepared, rank))
    device.cutting = partial(part_at, prepared, rank)
    device.run()


Member = tuple[Client, Copy, Criterion, Channel, Timing, int]


def member(prepared: Prepared, rank: int, channel: Channel) -> Member:
    """Return what the device of a rank is made of, as `Device` takes it."""
    scheme = prepared.scheme
    client, own = part_at(prepared, rank, scheme.clients[rank - 1].cuts)
    return client, own, scheme.criterion, channel, Timing(prepared.program), rank - 1


def part_at(prepared: Prepared, rank: int, cuts: tuple[int, ...]) -> tuple[Client, Copy]:
    """Return the client of a rank with its part of the model, for the layers before each cut."""
    scheme, client = prepared.scheme, prepared.scheme.clients[rank - 1]
    if cuts != client.cuts:
        (client,) = with_codecs([replace(client, cuts=cuts)], scheme.options, scheme.split)
    parts = scheme.split(scheme.model, client.cuts) if client.cuts else [scheme.model]
    own = Copy.of(
        parts[0],
        (),
        ("device",),
        scheme.split,
        scheme.options,
        about=scheme.about,
        is_part=bool(client.cuts),
        rank=client.rank,
    )
    if scheme.noise is not None:
        scheme.noise.set_apart(own, rank - 1)
    own.exchanged = tuple(tied_between(parts, parties_of(scheme.roles_of(client))))
    return client, own


def sums_of(prepared: Prepared, rank: int) -> SumMember | None:
    """Return the device of a rank in secure sums; None where nothing is masked."""
    return SumMember.of(prepared.scheme, prepared.scheme.clients[rank - 1])


def _turns_in(begin: Message) -> int | None:
    """Read of how many mini-batches a device waits for its turn to send; None for no turns."""
    turns = begin.fields.get("turns")
    if turns is not None and (type(turns) is not int or turns < 0):
        raise FrameError("a round with a number of turns that is none")
    return turns
