"""The server and the links that a plan's devices share: one of each, whoever uses them.

Rank 0 holds their clocks. It computes and sends down itself. What devices send up, each at its own
planned pace, it takes out of the link as their shares of it allow, so that no device need be asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from splitopt.training.wire.star.pace import bucket_of, scaled_rate
from splitopt.training.wire.star.timing import PHASES, SERVER, Piece, Timing
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.frames import Message
from splitopt.training.wire.transport.links import KernelLink
from splitopt.training.wire.transport.pacing import Bucket
from splitopt.training.wire.transport.sharing import SharedResource, Use


class Resources:
    """What is shared in the rounds of a plan.

    Parameters
    ----------
    timing
        Which phase shares what.
    time_scale
        Seconds of the wall for each planned one.
    """

    def __init__(self, timing: Timing, time_scale: float) -> None:
        self.time_scale = time_scale
        phases = (*PHASES, timing.model_down)
        known = {name: SharedResource() for phase in phases if (name := timing.shared(phase))}
        self._of = {phase: known.get(timing.shared(phase) or "") for phase in phases}

    @contextmanager
    def computing(self, piece: Piece, arrival_s: float) -> Iterator[Use]:
        """Have the share of the server that a piece is planned with."""
        server = self._of[SERVER]
        assert server is not None  # every plan shares it
        with server.use(piece.share, since_s=arrival_s) as use:
            yield use

    def bucket(self, phase: str, piece: Piece) -> Bucket | KernelLink | None:
        """Make the link of one message to a device."""
        return bucket_of(scaled_rate(piece, self.time_scale), self._of[phase], piece.share)

    def receive(self, channel: Channel, phase: str, piece: Piece, wait_s: float) -> Message:
        """Wait for a message that a device sends at its pace, and for its share of the link.

        The share is in use from the first byte on, and the message is not there before the link
        has let all of it through.
        """
        link, rate = self._of[phase], scaled_rate(piece, self.time_scale)
        if link is None or not rate:
            return channel.receive(wait_s)
        begun: list[Use] = []
        with ExitStack() as stack:

            def begin(message: Message) -> None:
                if message.transfer.payload_bytes:
                    use = link.use(piece.share, since_s=message.transfer.start_s)
                    begun.append(stack.enter_context(use))

            message = channel.receive(wait_s, begin)
            if not begun:
                return message
            due_s = begun[0].wait(message.transfer.payload_bytes / rate)
        end_s = max(due_s, message.transfer.end_s)
        return replace(message, transfer=message.transfer._replace(end_s=end_s))
