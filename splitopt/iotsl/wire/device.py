"""A device in a process of its own: it reads its own samples and no other party's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splitopt.documents.checks import is_number, is_whole
from splitopt.errors import SplitoptError
from splitopt.generators.files import read_parts
from splitopt.iotsl.device import Learning, Order, Samples, expect_generator, imputed, learn
from splitopt.iotsl.messages import GENERATOR, HISTOGRAM, PAIRED
from splitopt.training.data.shards import save_shard
from splitopt.training.wire.star.device import GoneError
from splitopt.training.wire.star.pace import bucket_of
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelClosedError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind

ORDERS, DONE, FAILED = "orders", "imputed", "failed"
"""Kinds of messages beside those that are planned: what to make, what was made, what went wrong."""


class ExchangeDevice:
    """A device that trains its generator, tells, receives others', and makes what it lacks.

    Parameters
    ----------
    name, number
        Of the device, from 0.
    own
        Its samples.
    learning
        What it is to learn.
    channel
        To the server.
    place
        The folder of its own, where its generator is kept.
    target
        The file of its share with what it was given.
    """

    def __init__(
        self,
        name: str,
        number: int,
        own: Samples,
        learning: Learning,
        channel: Channel,
        place: Path,
        target: Path,
    ) -> None:
        self.name, self.number, self.own, self.learning = name, number, own, learning
        self.channel, self.place, self.target = channel, place, target

    def run(self) -> None:
        """Run the exchange until the server ends it.

        Raises
        ------
        GoneError
            The server has ended the connection.
        SplitoptError
            The generator cannot be trained; the server has been told.
        """
        try:
            self._run()
        except ChannelClosedError as error:
            raise GoneError(
                f"{self.name}: the server has ended the connection before the end of the exchange "
                f"({error}); its messages say why"
            ) from None
        except SplitoptError as error:
            if not isinstance(error, GoneError):
                self.channel.send(FAILED, {"message": f"{self.name}: {error}"})
            raise

    def _run(self) -> None:
        rate = self._receive("pace").fields.get("upload")
        if not is_number(rate) or not rate >= 0:
            raise FrameError("a pace that is none")
        path = self.place / "generator.safetensors"
        generator, told = learn(self.own, self.number, self.learning, path)
        bucket = bucket_of(float(rate))
        self.channel.send(HISTOGRAM, {}, told.tensors(), bucket=bucket)
        if generator is None:
            self.channel.send(GENERATOR, {"metadata": None})
        else:
            fields = {"metadata": generator.metadata()}
            self.channel.send(GENERATOR, fields, generator.network.state_dict(), bucket=bucket)
        while (message := self._receive(ORDERS, "end")).kind != "end":
            self._impute(message)

    def _impute(self, message: Message) -> None:
        """Make what the server orders of the generators that follow, and keep it."""
        received, orders = [], read_orders(message.fields.get("orders"), self.learning.classes)
        for order in orders:
            sent = self._receive(PAIRED)
            source = f"the generator of {order.sender}"
            found = read_parts(sent.tensors, sent.fields.get("metadata"), source)
            expect_generator(found, self.learning, None, source)
            received.append((found, order))
        samples = imputed(self.own, received, self.number, self.learning.seed)
        save_shard(self.target, *samples, self.learning.classes)
        self.channel.send(DONE, {"samples": len(samples.targets)})

    def _receive(self, *kinds: str) -> Message:
        message = self.channel.receive()
        if message.kind == "end" and (why := message.fields.get("error")):
            raise GoneError(f"{self.name}: the server has ended the exchange: {why}")
        return expect_kind(message, *kinds)


def read_orders(found: Any, classes: int) -> list[Order]:
    """Read what a device is to make; raise `FrameError` for what is none."""
    try:
        orders = [
            Order(str(sender), {int(label): count for label, count in amounts.items()})
            for sender, amounts in found
        ]
    except (TypeError, ValueError, AttributeError):
        raise FrameError("orders that are none") from None
    for order in orders:
        for label, count in order.amounts.items():
            if not 0 <= label < classes or not is_whole(count, 0) or count > 10**7:
                raise FrameError("an order of samples that cannot be")
    return orders
