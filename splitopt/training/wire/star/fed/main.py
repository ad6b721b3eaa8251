"""Rank 0 beside a fed server: smashed data, labels and the server parts, and no client part."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from splitopt.documents.checks import is_finite
from splitopt.errors import SplitoptError, TrainingError
from splitopt.training.preparing.pixel import BATCH as NOISY_BATCH
from splitopt.training.preparing.pixel import Placed, layers_of
from splitopt.training.rounds.evaluate import BATCH
from splitopt.training.schemes.base import Scheme
from splitopt.training.two_servers import FED, SERVER, TESTS
from splitopt.training.wire.addresses import place_of
from splitopt.training.wire.client_state import control_of, of_server
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.recorder import read_rows
from splitopt.training.wire.star.device import TURN
from splitopt.training.wire.star.device_links import Found
from splitopt.training.wire.star.fed.device import TAKEN
from splitopt.training.wire.star.fed.half import SERVER_PART, keep_half
from splitopt.training.wire.star.fed.noise import UNDER_NOISE
from splitopt.training.wire.star.in_turn import TurnServer
from splitopt.training.wire.star.secure.aggregation import SUM_S
from splitopt.training.wire.star.server import Server
from splitopt.training.wire.star.splitfed import SplitFedServer
from splitopt.training.wire.star.timing import BACKWARD, MODEL_UP, Timing
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind

_LOG = logging.getLogger(__name__)

UNPLANNED_S = 120.0
"""For so long the fed server may compute, write or test, for which no plan pays."""


class FedServerGoneError(TrainingError):
    """The fed server has died, and with it all client parts."""


class WithoutClientPart(Server):
    """A server whose devices get their parts from the fed server, and give them back there."""

    averages_devices: ClassVar[bool] = False
    fed_place: tuple[str, int] = ("", 0)
    """Where the fed server listens."""

    def greet(self, n: int, steps: int) -> None:
        """Send a device what it needs for the round, but for its part of the model."""
        client, own, down = self.scheme.clients[n], self.copy(n), self.timing.model_down
        channel = self._channel(n)
        if self._set_up.get(n) is not channel:  # it has joined, or has come back
            host, port = self.fed_place
            self.send(n, "setup", down, {"host": host, "port": port}, {})
            self._set_up[n] = channel
        self.send(
            n, "begin", down, self.beginning(n, steps), control_of(client, own, of_server(client))
        )

    def hand_part(self, n: int) -> None:
        """Leave it to the fed server to send a device its part."""

    def before_s(self, n: int) -> float:
        """Return what the device's part is planned to take on its way from the fed server."""
        planned_s = self.planned.pieces[n][self.timing.model_down].seconds
        if self.scheme.options.secure_aggregation:  # keys and shares, for which no plan pays
            planned_s += SUM_S / self.time_scale
        return planned_s

    def part_of(self, n: int, steps: int) -> Message:  # noqa: ARG002
        """Wait until a device has given its part to the fed server; return its state."""
        pieces, size = self.planned.pieces[n], self.scheme.clients[n].batches.size
        waits_s = pieces[BACKWARD].seconds_for(size) + pieces[MODEL_UP].seconds
        return self.receive(n, "state", MODEL_UP, waits_s)

    def take_over(self, n: int, model: Message) -> list[Any]:
        """Load the state of a device whose part is with the fed server."""
        return self.read_state(n, model, of_server(self.scheme.clients[n]))


class BesideFed(WithoutClientPart):
    """Rank 0; the devices are ranks 1, 2, ..., the fed server is the last rank.

    How it serves them is the scheme's own: a class of this and of its server does both.

    Parameters
    ----------
    scheme, timing, crew, time_scale, deadline
        As for `Server`; of the scheme only the server parts are kept.
    tests
        How many samples there are to test with.
    """

    def __init__(
        self,
        scheme: Scheme,
        timing: Timing,
        crew: Crew,
        time_scale: float,
        deadline: Deadline | None = None,
        tests: int = 0,
    ) -> None:
        super().__init__(scheme, timing, crew, time_scale, deadline)
        for n in range(len(scheme.clients)):
            self.examples.smashed(
                n
            )  # what a client part makes of one sample, while there is one here
        noise = scheme.noise
        if isinstance(noise, Placed):  # rank 0 has no part with noise from now on
            noise.far.layers = layers_of(noise, scheme.model)
            noise.far.strength = lambda: dict(self._strength)
            noise.far.smashed = lambda: self._smashed_under_noise(noise.settings.draws)
        self._strength: Mapping[str, float] = {}
        keep_half(scheme, SERVER_PART)
        self._secure: Mapping[str, Counter[str]] = {}
        self._tests = tests
        self.smashed_tests = self._smashed
        self._fed = self._found(crew.channel(len(crew.names)))
        listening = self._hear("listening", UNPLANNED_S)
        try:
            self.fed_place = place_of(listening.fields, self._fed.peer)
        except ChannelError as error:
            raise FedServerGoneError(f"the fed server cannot be found: {error}") from None

    def announce(self, present: Sequence[int]) -> None:
        """Start the fed server."""
        members, scale = list(present), float(self.time_scale)
        self._tell("begin", {"round": self.number, "members": members, "time_scale": scale})
        self._hear("ready", UNPLANNED_S)

    def agreed(self, served: dict[int, Found]) -> dict[int, Found]:
        """Have the parts of those averaged who came to the end, and return whose were whole."""
        pieces = self.planned.pieces
        longest_s = max((pieces[n][MODEL_UP].seconds for n in served), default=0.0)
        wait_s = float(self.deadline.wait_s(longest_s * self.time_scale))
        self._tell("finish", {"members": list(served), "wait_s": wait_s})
        message = self._hear("averaged", wait_s + UNPLANNED_S)
        fields = message.fields
        try:
            rows = read_rows(fields.get("rows"), self._fed.offset.seconds)
            size, received = fields.get("model_bytes"), _counted(fields.get("received"))
            if type(size) is not int or size < 0:
                raise FrameError("a number of bytes that is none")
            lost = [(int(n), str(why), str(text)[:500]) for n, why, text in fields["lost"]]
            taken = {int(n) for n in fields["members"]}
            secure = {way: _counted(own) for way, own in fields.get("secure", {}).items()}
            strength = _finite(fields.get("noise", {}))
        except (SplitoptError, KeyError, TypeError, ValueError) as error:
            raise FedServerGoneError(f"the fed server sent what cannot be: {error}") from None
        for row in rows:
            self.recorder.add(*row)
        self._count_model(size, secure)
        self._strength = strength
        self.received_bytes[FED] = received
        for n, phase, reason in lost:
            if n in served:
                _LOG.warning("dropped %s", self.drop(n, phase, reason))
        return {n: one for n, one in served.items() if n in taken}

    def secure_bytes(self) -> tuple[int, int]:
        """Return the bytes of keys and shares that the fed server has counted, down and up."""
        found = self._secure
        return found.get("down", Counter()).total(), found.get("up", Counter()).total()

    def _count_model(self, size: int, secure: Mapping[str, Counter[str]]) -> None:
        """Count what went between fed server and devices: parts of the model, keys and shares."""
        self._secure = secure
        for own in secure.values():
            self.sent_bytes.update(own)
        self.sent_bytes["model"] += size

    def end(self) -> str | None:
        """Have the fed server write its part, where it is to."""
        self._tell("save", {})
        path = self._hear("saved", UNPLANNED_S).fields.get("path")
        return path if isinstance(path, str) else None

    def _smashed(self) -> Tensor:
        """Return what the averaged client part makes of the test data."""
        self._tell("test", {})
        parts = [self._part_of_test() for _ in range(math.ceil(self._tests / BATCH))]
        smashed = torch.cat(parts)
        if len(smashed) != self._tests:
            raise FedServerGoneError(
                f"the fed server sent {len(smashed)} smashed test samples, and there are "
                f"{self._tests}; start all ranks with the same data"
            )
        return smashed

    def _smashed_under_noise(self, draws: int) -> Iterator[Tensor]:
        """Yield what the averaged client part makes of the test data with its noise layer."""
        self._tell("test", {UNDER_NOISE: True})
        for first in range(0, self._tests, NOISY_BATCH):
            for _ in range(draws):
                part = self._part_of_test()
                if len(part) != min(NOISY_BATCH, self._tests - first):
                    raise FedServerGoneError("the fed server sent another number of test samples")
                yield part

    def _part_of_test(self) -> Tensor:
        """Return the next part of the smashed test data."""
        message, example = self._hear(TESTS, UNPLANNED_S), self.examples.smashed(0)
        part = message.tensors.get("smashed", torch.empty(0))
        size = message.transfer.payload_bytes
        self.received_bytes.setdefault(SERVER, Counter())[TESTS] += size
        if (part.shape[1:], part.dtype) != (example.shape[1:], example.dtype):
            raise FedServerGoneError("the fed server sent smashed test data of another shape")
        return part

    def _tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        try:
            self._fed.send(kind, fields)
        except ChannelError as error:
            raise _gone(error) from None

    def _hear(self, kind: str, wait_s: float) -> Message:
        """Wait for a message of the fed server.

        Raises
        ------
        FedServerGoneError
            It is gone.
        TrainingError
            It says that it cannot go on.
        """
        try:
            message = self._fed.receive(wait_s)
            if message.kind == "failed":
                raise TrainingError(str(message.fields.get("message"))[:500])
            return expect_kind(message, kind)
        except ChannelError as error:
            raise _gone(error) from None

    def _found(self, channel: Channel | None) -> Channel:
        if channel is None:
            raise _gone("it has left")
        return channel


class MainServer(BesideFed, SplitFedServer):
    """Of SplitFedV1: all devices side by side."""


class MainTurnServer(BesideFed, TurnServer):
    """Of SplitFedV2: devices in turn, also on links that lead to the fed server."""

    def hand_part(self, n: int) -> None:
        """Have a device fetch its part from the fed server, and wait until it has it."""
        down = self.timing.model_down
        self.send(n, TURN, down, {}, {})
        self.receive(n, TAKEN, down, self.before_s(n))


def _gone(why: object) -> FedServerGoneError:
    return FedServerGoneError(
        f"the fed server is gone ({why}), and nobody else has the client parts; start the run "
        "again, with --resume to go on from the last checkpoints"
    )


def _counted(values: Any) -> Counter[str]:
    """Read bytes by kind of message."""
    if not isinstance(values, dict) or not all(
        type(size) is int and size >= 0 for size in values.values()
    ):
        raise FrameError("bytes by kind that are none")
    return Counter({str(kind): size for kind, size in values.items()})


def _finite(values: Any) -> dict[str, float]:
    """Read numbers by name."""
    if not isinstance(values, dict) or not all(is_finite(value) for value in values.values()):
        raise FrameError("numbers of the noise that are none")
    return {str(name): float(value) for name, value in values.items()}
