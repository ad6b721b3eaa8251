"""The fed server: it averages the client parts, and gets nothing else of the devices.

It has the copy of every client's part, with the buffers and moments that belong to it and the
client's place in its data. Rank 0 says when a round begins, and who has come to its end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from splitopt.errors import SplitoptError, TrainingError, shown
from splitopt.training.data.named import Inputs
from splitopt.training.data.shards import Elsewhere
from splitopt.training.schemes.parallel_copies import ParallelCopies
from splitopt.training.schemes.splitfed_v2 import SplitFedV2
from splitopt.training.schemes.tally import Round
from splitopt.training.two_servers import TESTS
from splitopt.training.wire.addresses import CONNECT_S
from splitopt.training.wire.client_state import (
    control_of,
    fixed_of,
    kinds_up,
    load_control,
    load_model,
    of_fed,
    parameters_of,
)
from splitopt.training.wire.compute import COMPUTE
from splitopt.training.wire.dropping import LateError, late_on_failure
from splitopt.training.wire.leader import remembered
from splitopt.training.wire.own_parts import copy_of
from splitopt.training.wire.recorder import Recorder
from splitopt.training.wire.star.device import TURN, GoneError
from splitopt.training.wire.star.fed.half import CLIENT_PART, keep_half
from splitopt.training.wire.star.fed.hearing import members_of, ways_of, whole_of
from splitopt.training.wire.star.fed.keeping import Kept
from splitopt.training.wire.star.fed.noise import parts_of_test, strength_of
from splitopt.training.wire.star.resources import Resources
from splitopt.training.wire.star.secure.aggregation import SUM_S, Aggregation, Rows
from splitopt.training.wire.star.secure.member import MASKED
from splitopt.training.wire.star.timing import MODEL_UP, RoundTiming, Timing
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelClosedError, ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.listener import Listener
from splitopt.training.wire.transport.threads import start_thread

_LOG = logging.getLogger(__name__)


class Given(NamedTuple):
    """What a device has given back in a round."""

    model: Message
    state: Message


SplitFed = ParallelCopies | SplitFedV2
"""Schemes whose device parts a fed server averages."""

Answers = dict[int, Given | LateError]


class FedServer:
    """The fed server in a process (or thread) of its own.

    Parameters
    ----------
    scheme
        As one process would have it; only the client parts are kept.
    timing
        What the plan's transfers take.
    control
        The connection to rank 0.
    listener
        Where the devices connect; it is closed in the end.
    tests
        Inputs to test with.
    kept
        Makes what is kept between runs, of the scheme; None for nothing.
    """

    def __init__(
        self,
        scheme: SplitFed,
        timing: Timing,
        control: Channel,
        listener: Listener,
        tests: Inputs,
        kept: Callable[[SplitFed], Kept] | None = None,
    ) -> None:
        self.scheme, self.timing, self.tests = scheme, timing, tests
        self.control, self.listener = control, listener
        self.halves = keep_half(scheme, CLIENT_PART)
        self._in_turn = isinstance(scheme, SplitFedV2)
        self.recorder = Recorder()
        self._kept = None if kept is None else kept(scheme)
        self._rounds: int | None = None
        self._devices: dict[int, Channel] = {}
        self._set_up: dict[int, Channel] = {}
        self._past: Counter[str] = Counter()  # received over connections that have ended
        self._sent = self._masked = 0
        self._answers: Answers = {}
        self._back: dict[int, Callable[[], None]] = {}
        self._sum: Aggregation | None = None
        self._lock = threading.Condition()

    def run(self) -> None:
        """Serve in the rounds that rank 0 begins, until it ends the run.

        Raises
        ------
        GoneError
            Rank 0 has ended the connection.
        SplitoptError
            Something of this server's own is wrong, such as its files; rank 0 has been told.
        """
        start_thread(self._reception, name="reception")
        self.control.send("listening", {"host": self.listener.host, "port": self.listener.port})
        obey = {
            "begin": self._begin,
            "finish": self._finish,
            "test": self._test,
            "save": self._save,
        }
        try:
            while (message := self.control.receive()).kind != "end":
                obey[expect_kind(message, *obey).kind](message)
        except ChannelClosedError as error:
            raise GoneError(
                f"the fed server: rank 0 has ended the connection before the end of the run "
                f"({error}); its messages say why"
            ) from None
        except SplitoptError as error:
            self.control.send("failed", {"message": f"the fed server: {error}"})
            raise
        finally:
            self.listener.close()
            for n in list(self._devices):
                self._hang_up(n)
            if self._kept is not None:
                self._kept.close()

    def _begin(self, message: Message) -> None:
        """Begin a round: everybody who takes part is sent the common client part."""
        number = whole_of(message.fields, "round")
        members = members_of(message, len(self.scheme.clients))
        scale = message.fields.get("time_scale")
        if not isinstance(scale, float) or not scale > 0:
            raise FrameError("a round without a time scale")
        if self._rounds is None:
            if self._kept is not None:
                self._kept.go_to(number)
        elif self._rounds != number:
            raise FrameError(f"the word for round {number}, and {self._rounds} are done")
        self._rounds = number
        clients = self.scheme.clients
        self._back = {n: remembered(copy_of(self.scheme, n), clients[n]) for n in members}
        self.scheme.begin([clients[n] for n in members], Round())
        if self.scheme.options.secure_aggregation:
            self._sum = Aggregation(self.scheme, members, number)
        planned, answers = self.timing.round(number), Answers()
        resources = Resources(self.timing, scale)
        self._answers, self._sent, self._masked = answers, 0, 0
        for n in members:
            work = (n, planned, resources, answers, self._sum)
            start_thread(self._exchange, *work)
        self.control.send("ready")

    def _exchange(
        self,
        n: int,
        planned: RoundTiming,
        resources: Resources,
        answers: Answers,
        sums: Aggregation | None,
    ) -> None:
        """Send a device its part, and wait for what becomes of it."""
        try:
            found: Given | LateError = self._exchanged(n, planned, resources, sums)
        except LateError as error:
            found = error
        except TrainingError as error:  # too few for a secure sum
            self._hang_up(n)
            found = LateError(self.timing.model_down, str(error))
        finally:
            if sums is not None:  # that of this round: a thread may outlive it
                sums.leave(n)
        with self._lock:
            answers[n] = found
            self._lock.notify_all()

    def _exchanged(
        self, n: int, planned: RoundTiming, resources: Resources, sums: Aggregation | None
    ) -> Given:
        client, own, pieces = self.scheme.clients[n], copy_of(self.scheme, n), planned.pieces[n]
        down = self.timing.model_down
        shares = {} if self._in_turn else pieces  # in turn each has all of a link for a moment
        with late_on_failure(down), resources.reserved(n, shares):
            channel = self._channel(n)
            if self._set_up.get(n) is not channel and (fixed := fixed_of(own)):
                channel.send("setup", {}, fixed)
            self._set_up[n] = channel
            channel.send("begin", {}, control_of(client, own, of_fed(client)))
            if sums is not None:
                sums.agree(n, ways_of(channel, down))
            if self._in_turn:  # rank 0 lets one device after the other use the links
                expect_kind(channel.receive(), TURN)
            parameters = parameters_of(own)
            bucket = resources.bucket(n, down, pieces[down])
            sent = channel.send("model", {}, parameters, bucket=bucket)
            if parameters:
                self._note(down, n, 0, planned, (sent.start_s, sent.end_s))
            with self._lock:
                self._sent += sent.payload_bytes
            with late_on_failure(MODEL_UP):
                model = resources.receive(channel, n, MODEL_UP, pieces[MODEL_UP], None)
                state = expect_kind(channel.receive(), "state")
                return Given(expect_kind(model, "model" if sums is None else MASKED), state)

    def _finish(self, message: Message) -> None:
        """Average the parts of those whom rank 0 names, and say whose were whole."""
        wanted, number = members_of(message, len(self.scheme.clients)), self._rounds
        wait_s = message.fields.get("wait_s")
        if not isinstance(wait_s, float) or number is None or not set(wanted) <= set(self._back):
            raise FrameError("the end of a round that is none")
        deadline_s, planned = time.monotonic() + wait_s, self.timing.round(number)
        for n in set(self._back) - set(wanted):
            self._hang_up(n)
        taken: list[int] = []
        lost: list[list[Any]] = []
        for n in wanted:
            try:
                self._take(n, deadline_s, wait_s, planned)
                taken.append(n)
            except LateError as error:
                lost.append([n, error.phase, error.reason])
                self._hang_up(n)
        for n in set(self._back) - set(taken):
            self._back[n]()
        if taken and self._sum is not None:
            lost += self._unmask(self._sum, taken)
        if taken:
            with COMPUTE:
                self.scheme.end([self.scheme.clients[n] for n in taken], Round())
                if self._sum is not None:
                    self._sum.settle()
            self._rounds = number + 1
            if self._kept is not None:
                self._kept.save(self._rounds)
        self._back = {}
        fields = {
            "members": taken,
            "lost": lost,
            "rows": [list(row) for row in self.recorder.take()],
            "model_bytes": self._sent,
            "received": dict(self.received()),
            **strength_of(self.scheme),
        }
        if self._sum is not None:
            fields["secure"] = {
                "down": dict(self._sum.sent),
                "up": dict(self._sum.received),
                "vectors": {MASKED: self._masked},
            }
        self.control.send("averaged", fields)

    def _unmask(self, sums: Aggregation, taken: list[int]) -> list[list[Any]]:
        """Request the sum of those who came to the end; return who was lost meanwhile."""
        lost: list[list[Any]] = []

        def each(names: Sequence[int], work: Callable[[int], Rows]) -> dict[int, Rows]:
            found: dict[int, Rows] = {}

            def run(n: int) -> None:
                try:
                    with late_on_failure(MODEL_UP, SUM_S):
                        found[n] = work(n)
                except LateError as error:
                    lost.append([n, error.phase, error.reason])
                    self._hang_up(n)

            threads = [threading.Thread(target=run, args=(n,)) for n in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return {n: found[n] for n in names if n in found}

        sums.unmask(taken, each, lambda n: ways_of(self._channel(n), MODEL_UP))
        return lost

    def _take(self, n: int, deadline_s: float, wait_s: float, planned: RoundTiming) -> None:
        """Record what a device has sent; raise `LateError` where it is nothing to go by."""
        answers = self._answers
        with self._lock:
            left = max(0.0, deadline_s - time.monotonic())
            if not self._lock.wait_for(lambda: n in answers, left):
                raise LateError(MODEL_UP, f"nothing came within {wait_s:.3g} s")
        found = answers[n]
        if isinstance(found, LateError):
            raise found
        client, own = self.scheme.clients[n], copy_of(self.scheme, n)
        with late_on_failure(MODEL_UP):
            if self._sum is None:
                load_model(found.model.tensors, own)
            kinds = kinds_up(of_fed(client), self._sum is not None)
            load_control(found.state.tensors, client, own, kinds)
            if self._sum is not None:
                self._sum.add(n, found.model)
        transfer = found.model.transfer
        with self._lock:
            if self._sum is None:
                self._sent += transfer.payload_bytes
            else:
                self._masked += transfer.payload_bytes
        if found.model.tensors:
            moments = (transfer.start_s, transfer.end_s)
            self._note(MODEL_UP, n, self.scheme.steps(client) - 1, planned, moments)

    def _test(self, message: Message) -> None:
        """Put the test inputs through the averaged client part, for rank 0 to go on with."""
        for part in parts_of_test(message, self.scheme, self.halves, self.tests):
            self.control.send(TESTS, {}, {"smashed": part})

    def _save(self, message: Message) -> None:  # noqa: ARG002
        path = None if self._kept is None else self._kept.save_model()
        self.control.send("saved", {"path": path})

    def received(self) -> Counter[str]:
        """Return the bytes of tensors that have come, by kind of message."""
        with self._lock:
            channels = [self.control, *self._devices.values()]
            found = Counter(self._past)
        for channel in channels:
            found.update({kind: size for kind, size in channel.received_bytes.items() if size})
        return found

    def _reception(self) -> None:
        """Admit devices, as often as they connect."""
        while True:
            try:
                channel = self.listener.accept()
            except ChannelClosedError:
                return
            start_thread(self._admit, channel)

    def _admit(self, channel: Channel) -> None:
        try:
            hello = expect_kind(channel.receive(CONNECT_S), "hello")
            n = whole_of(hello.fields, "rank", 1, len(self.scheme.clients) + 1) - 1
            client = self.scheme.clients[n]
            if channel.name not in (None, client.name):
                raise FrameError(
                    f"that it is {shown(client.name)}, and its certificate is for "
                    f"{shown(channel.name)}"
                )
            samples = whole_of(hello.fields, "samples", 1)
            if isinstance(client.batches, Elsewhere):
                client.batches.tell(samples, client.batches.classes)
            elif samples != client.samples:
                raise FrameError(f"that it has {samples} samples, and the plan {client.samples}")
            channel.send("welcome")
        except ChannelError as error:
            self.listener.refusals.add(channel.peer, str(error))
            channel.close()
            return
        self._hang_up(n)
        with self._lock:
            self._devices[n] = channel
            self._lock.notify_all()

    def _channel(self, n: int) -> Channel:
        """Wait for a device that is about to connect."""
        with self._lock:
            if not self._lock.wait_for(lambda: n in self._devices, CONNECT_S):
                raise ChannelClosedError("it has not connected to the fed server")
            return self._devices[n]

    def _hang_up(self, n: int) -> None:
        with self._lock:
            channel = self._devices.pop(n, None)
            if channel is not None:
                self._past.update(channel.received_bytes)
        if channel is not None:
            channel.close()

    def _note(
        self, phase: str, n: int, batch: int, planned: RoundTiming, moments: tuple[float, float]
    ) -> None:
        resource, share = self.timing.resource(phase, n), planned.pieces[n][phase].share
        owner = self.scheme.clients[n].name
        start_s, end_s = moments
        self.recorder.add(resource.name, resource.kind, phase, owner, batch, start_s, end_s, share)
