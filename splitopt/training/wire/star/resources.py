"""The server and the links that a plan's devices share: one of each, whoever uses them.

Rank 0 holds their clocks. It computes and sends down itself. What devices send up, each at its own
planned pace, it takes out of the link as their shares of it allow, so that no device need be asked.
A share is a reservation, as in the plan: it is the device's as long as it takes part in a round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from splitopt.training.wire.star.pace import bucket_of, scaled_rate
from splitopt.training.wire.star.timing import PHASES, Piece, Timing
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
        self._name_of = {
            (n, phase): timing.shared(phase, n)
            for n in range(len(timing.program.clients))
            for phase in (*PHASES, timing.model_down)
        }
        self._known = {name: SharedResource() for name in self._name_of.values() if name}
        # The server of a cluster works for all of its devices at once: no share is anybody's own.
        self._reserved = set(self._known) - ({"server"} if timing.program.groups else set())

    @contextmanager
    def reserved(self, n: int, pieces: Mapping[str, Piece]) -> Iterator[None]:
        """Reserve the shares of device n of what it uses, until the end of the block."""
        shares: dict[str, float] = {}
        for phase, piece in pieces.items():
            if (name := self._name_of[n, phase]) in self._reserved and piece.seconds > 0:
                shares[name] = max(piece.share, shares.get(name, 0.0))
        with ExitStack() as stack:
            for name, share in shares.items():
                stack.enter_context(self._known[name].reserved(share))
            yield

    def begin(self, n: int, phase: str, since_s: float) -> Use:
        """Begin with a phase at a device's share of what it uses."""
        resource = self._of(n, phase)
        assert resource is not None  # of a phase that nobody shares
        return resource.begin(since_s)

    def bucket(self, n: int, phase: str, piece: Piece) -> Bucket | KernelLink | None:
        """Make the link of one message to a device."""
        return bucket_of(scaled_rate(piece, self.time_scale), self._of(n, phase))

    def receive(
        self, channel: Channel, n: int, phase: str, piece: Piece, wait_s: float | None
    ) -> Message:
        """Wait for a message that a device sends at its pace, and for its share of the link.

        The message is not there before the link has let all of it through.
        """
        link, rate = self._of(n, phase), scaled_rate(piece, self.time_scale)
        if link is None or not rate:
            return channel.receive(wait_s)
        begun: list[Use] = []

        def begin(message: Message) -> None:
            begun.append(link.begin(message.transfer.start_s))

        message = channel.receive(wait_s, begin)
        size = message.transfer.payload_bytes
        if not begun or not size:
            return message
        end_s = max(begun[0].wait(size / rate), message.transfer.end_s)
        return replace(message, transfer=message.transfer._replace(end_s=end_s))

    def _of(self, n: int, phase: str) -> SharedResource | None:
        return self._known.get(self._name_of[n, phase] or "")
