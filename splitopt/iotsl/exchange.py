"""What devices and server do with each other before the split training, all in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from splitopt.generators import load_generator
from splitopt.iotsl.device import Order, imputed, learn
from splitopt.iotsl.messages import (
    GENERATOR,
    HISTOGRAM,
    HISTOGRAM_BYTES,
    PAIRED,
    Sent,
    down,
    up,
)
from splitopt.iotsl.steps import Learned, Setting
from splitopt.training.data.shards import save_shard


class Exchange(Protocol):
    """Devices and server in the exchange; ``messages`` is what was sent so far."""

    messages: list[Sent]

    def receive_all(self) -> list[Learned]:
        """Have each device train its generator, and return what the server gets of it."""
        ...

    def send_all(self, orders: list[list[Order]]) -> list[int]:
        """Have each device make what it lacks, and return how many samples it has then."""
        ...


class LocalExchange:
    """The exchange in one process, one device after the other.

    Parameters
    ----------
    setting
        Of the run.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.messages: list[Sent] = []

    def receive_all(self) -> list[Learned]:
        """Train the generator of each device."""
        setting, found = self.setting, []
        wanted, scenario = setting.learning, setting.scenario
        for number, (name, own) in enumerate(zip(setting.names, setting.own(), strict=True)):

            def tell(row: object, of: int, name: str = name) -> None:
                setting.progress("generators", name, getattr(row, "step", 0), of)

            generator, told = learn(
                own, number, wanted[number], setting.folder.generator(name), tell
            )
            found.append((generator, told))
            size = HISTOGRAM_BYTES * setting.classes
            self._send(up(scenario, number, HISTOGRAM, size), told.tensors())
            if generator is not None:
                planned = up(scenario, number, GENERATOR, setting.planned_bytes)
                self._send(planned, generator.network.state_dict())
        return found

    def send_all(self, orders: list[list[Order]]) -> list[int]:
        """Make the samples that devices lack, and write the shares that result."""
        setting, found = self.setting, []
        for number, (own, wanted) in enumerate(zip(setting.own(), orders, strict=True)):
            name = setting.names[number]
            setting.progress("imputation", name, number, len(setting.names))
            received = []
            for order in wanted:
                generator = load_generator(setting.folder.generator(order.sender))
                received.append((generator, order))
                planned = down(setting.scenario, number, PAIRED, setting.planned_bytes)
                self._send(planned, generator.network.state_dict())
            made = imputed(own, received, number, setting.job.seed)
            save_shard(setting.folder.place("imputed") / f"{name}.npz", *made, setting.classes)
            found.append(len(made.targets))
        return found

    def _send(self, planned: Sent, tensors: Mapping[str, Tensor]) -> None:
        self.messages.append(replace(planned, bytes=bytes_of(tensors)))


def bytes_of(tensors: Mapping[str, Tensor]) -> int:
    """Return the bytes of the values of tensors, which is what is counted on the wire."""
    return sum(value.nbytes for value in tensors.values())
