"""The server of an exchange: it receives histograms and generators, and sends generators on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from splitopt.errors import TrainingError
from splitopt.generators import load_generator
from splitopt.generators.files import read_parts
from splitopt.iotsl.device import Order, Told, expect_generator
from splitopt.iotsl.messages import GENERATOR, HISTOGRAM, HISTOGRAM_BYTES, PAIRED, Sent, down, up
from splitopt.iotsl.steps import Learned, Setting
from splitopt.iotsl.wire.device import DONE, FAILED, ORDERS
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.star.pace import bucket_of
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, Transfer, expect_kind

Answer = TypeVar("Answer")


class ExchangeServer:
    """Rank 0 of an exchange; the devices are ranks 1, 2, ...

    Parameters
    ----------
    setting
        Of the run.
    crew
        The devices.
    time_scale
        Seconds of the wall for each planned one of a transfer; 0 for as fast as can be.

    Attributes
    ----------
    messages
        What was sent so far, with its seconds.
    """

    def __init__(self, setting: Setting, crew: Crew, time_scale: float) -> None:
        self.setting, self.crew, self.time_scale = setting, crew, time_scale
        self.messages: list[Sent] = []

    def receive_all(self) -> list[Learned]:
        """Wait for histogram and generator of each device, and keep the generators.

        Raises
        ------
        TrainingError
            A device is gone, or says that it cannot go on.
        """
        found = self._with_each(self._receive)
        for _, messages in found:
            self.messages += messages
        return [learned for learned, _ in found]

    def send_all(self, orders: list[list[Order]]) -> list[int]:
        """Send each device the generators that it is to receive; return how many samples it has."""
        found = self._with_each(lambda number: self._send(number, orders[number]))
        for _, messages in found:
            self.messages += messages
        return [samples for samples, _ in found]

    def _receive(self, number: int) -> tuple[Learned, list[Sent]]:
        setting, name = self.setting, self.setting.names[number]
        planned = up(setting.scenario, number, HISTOGRAM, HISTOGRAM_BYTES * setting.classes)
        rate = self._rate(planned)
        self._channel(number).send("pace", {"upload": rate})
        message = self._hear(number, HISTOGRAM)
        told = _told(message, setting.classes)
        messages = [self._measured(planned, message.transfer)]
        setting.progress("generators", name, 1, 1)
        message = self._hear(number, GENERATOR)
        metadata = message.fields.get("metadata")
        if metadata is None:
            return (None, told), messages
        source = f"the generator of {name}"
        generator = read_parts(message.tensors, metadata, source)
        expect_generator(generator, setting.learning[number], None, source)
        generator.save(setting.folder.generator(name))
        planned = up(setting.scenario, number, GENERATOR, setting.planned_bytes)
        return (generator, told), [*messages, self._measured(planned, message.transfer)]

    def _send(self, number: int, orders: list[Order]) -> tuple[int, list[Sent]]:
        setting, channel, messages = self.setting, self._channel(number), []
        rows = [[one.sender, {str(k): n for k, n in one.amounts.items()}] for one in orders]
        channel.send(ORDERS, {"orders": rows})
        planned = down(setting.scenario, number, PAIRED, setting.planned_bytes)
        for order in orders:
            generator = load_generator(setting.folder.generator(order.sender))
            sent = channel.send(
                PAIRED,
                {"metadata": generator.metadata()},
                generator.network.state_dict(),
                bucket=bucket_of(self._rate(planned)),
            )
            messages.append(self._measured(planned, sent))
        samples = self._hear(number, DONE).fields.get("samples")
        if type(samples) is not int or samples < 1:
            raise FrameError("a number of samples that is none")
        return samples, messages

    def _with_each(self, act: Callable[[int], Answer]) -> list[Answer]:
        """Call a function for each device, all at the same time: none waits for another one."""
        count = len(self.setting.names)
        with ThreadPoolExecutor(count) as pool:
            waiting = [pool.submit(self._guarded, act, number) for number in range(count)]
            try:
                return [one.result() for one in waiting]
            except BaseException:
                self.crew.hang_up()  # whoever waits for another device goes on
                raise

    def _guarded(self, act: Callable[[int], Answer], number: int) -> Answer:
        try:
            return act(number)
        except ChannelError as error:
            name = self.setting.names[number]
            raise TrainingError(
                f"{name} is gone before the end of the exchange ({error}); start the run again "
                "with --resume: generators that are trained are kept"
            ) from None

    def _channel(self, number: int) -> Channel:
        channel = self.crew.channel(number + 1)
        if channel is None:
            raise TrainingError(f"{self.setting.names[number]} has left the exchange")
        return channel

    def _hear(self, number: int, kind: str) -> Message:
        message = self._channel(number).receive()
        if message.kind == FAILED:
            raise TrainingError(str(message.fields.get("message"))[:500])
        return expect_kind(message, kind)

    def _rate(self, planned: Sent) -> float:
        """Return the byte/s of the wall at which a message travels, 0 for as fast as can be."""
        if not self.time_scale or not planned.planned_s:
            return 0.0
        return planned.planned_bytes / planned.planned_s / self.time_scale

    def _measured(self, planned: Sent, transfer: Transfer) -> Sent:
        seconds = None
        if self.time_scale:
            seconds = (transfer.end_s - transfer.start_s) / self.time_scale
        return replace(planned, bytes=transfer.payload_bytes, measured_s=seconds)


def _told(message: Message, classes: int) -> Told:
    """Read what a device tells; raise `FrameError` for what is no histogram."""
    counts, quality = message.tensors.get("counts"), message.tensors.get("quality")
    if counts is None or quality is None or set(message.tensors) != {"counts", "quality"}:
        raise FrameError("a histogram without counts or qualities")
    rows, shares = counts.numpy(), quality.numpy().astype(np.float64)
    fits = rows.shape == shares.shape == (classes,) and rows.dtype == np.int64
    if not fits or (rows < 0).any() or not ((shares >= 0) & (shares <= 1)).all():
        raise FrameError("a histogram that cannot be")
    return Told(rows, shares)
