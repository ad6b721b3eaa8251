"""Messages between rank 0 and the devices: sent at their planned pace, counted and recorded.

A device that fails is dropped, and the others go on.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor

from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.schemes.base import Scheme, TrainingError
from splitopt.training.two_servers import SERVER as MAIN
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.dropping import LateError, late_on_failure
from splitopt.training.wire.encoded import without_tied
from splitopt.training.wire.leader import Leader
from splitopt.training.wire.private import count_lost
from splitopt.training.wire.recorder import Recorder
from splitopt.training.wire.star.resources import Resources
from splitopt.training.wire.star.secure.aggregation import Aggregation
from splitopt.training.wire.star.secure.member import MASKED
from splitopt.training.wire.star.timing import SERVER, RoundTiming, Timing
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.threads import start_thread

Found = TypeVar("Found")

_PACED = ("smashed", "model", MASKED)
"""Messages of a device that a plan pays for; all others are control."""

LOST = "lost"
"""What a device sends that has lost another server."""

TIED = "tied"
"""What gradients of tied weights are counted as, beside the messages that they go with."""

_LOG = logging.getLogger(__name__)


class DeviceLinks(Leader):
    """Rank 0 with connections to the devices of a plan with a server.

    Parameters
    ----------
    scheme, time_scale, deadline
        As for `Leader`.
    timing
        What the plan's phases take.
    crew
        The devices, as ranks 1, 2, ... in the order of the clients.
    """

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
        self._arrived: dict[tuple[int, str, int], float] = {}
        self.planned: RoundTiming = timing.round(0)
        self._sum: Aggregation | None = None

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
                if self._sum is not None:
                    self._sum.leave(n)
                answers.put((n, error))

        for n in indices:  # daemons: an interruption waits for nobody's planned seconds
            start_thread(run, n)
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

    @contextmanager
    def computing(self, n: int, batch: int, arrival_s: float, samples: int) -> Iterator[None]:
        """Wait for the server's planned time since an arrival, and record it for a client.

        The block computes; the time is over when the client's share of the server has done as much
        as planned, or when the block ends if that is later.
        """
        piece = self.planned.pieces[n][SERVER]
        use = self.resources.begin(n, SERVER, arrival_s)
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
        bucket = self.resources.bucket(n, phase, piece) if batch is not None else None
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
                message = self.resources.receive(self._channel(n), n, phase, piece, wait_s)
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

    def batches_of(self, n: int) -> int:
        """Return how many batches a client may have drawn in this round."""
        return self.scheme.steps(self.scheme.clients[n])

    def _drop(self, n: int, error: LateError) -> None:
        count_lost(self.scheme.clients[n], self.batches_of(n))
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
