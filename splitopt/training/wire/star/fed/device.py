"""A device with two servers: smashed data go to the main server, its part to the fed server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, NoReturn

from splitopt.training.two_servers import FED
from splitopt.training.wire.addresses import CONNECT_S, address_of
from splitopt.training.wire.client_state import (
    OF_FED,
    OF_SERVER,
    control_of,
    load_control,
    load_fixed,
    load_model,
    parameters_of,
)
from splitopt.training.wire.star.device import Device, GoneError
from splitopt.training.wire.star.pace import bucket_of
from splitopt.training.wire.star.server import LOST
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.errors import ChannelError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.tls import Tls
from splitopt.training.wire.transport.tokens import Token

_WHY_S = 30.0
"""For so long the main server may take to say why the run has ended."""


class FedDevice(Device):
    """A device that gets its part of the model from the fed server, and gives it back there.

    Parameters
    ----------
    token
        Which the fed server asks for.
    tls
        One's own certificate; None for connections without TLS.
    """

    control: ClassVar[tuple[str, ...]] = OF_SERVER

    def __init__(self, *member: object, token: Token, tls: Tls | None = None) -> None:
        super().__init__(*member)  # type: ignore[arg-type]
        self._token, self._tls = token, tls
        self._fed: Channel | None = None

    def run(self) -> None:
        """Train until the main server ends the run."""
        try:
            super().run()
        finally:
            if self._fed is not None:
                self._fed.close()

    def set_up(self, message: Message) -> None:
        """Connect to the fed server, where the main server says that it is."""
        host, port = address_of(message.fields)
        with self._from_fed():
            self._fed = connect(host, port, self._token, CONNECT_S, tls=self._tls, party=FED)
            hello = {"rank": self.index + 1, "samples": self.client.samples}
            self._fed.send("hello", hello)
            expect_kind(self._fed.receive(CONNECT_S), "welcome")

    def take_part(self) -> float:
        """Take this device's part of the model from the fed server."""
        with self._from_fed() as fed:
            message = expect_kind(fed.receive(), "setup", "begin")
            if message.kind == "setup":
                load_fixed(message.tensors, self.own)
                message = expect_kind(fed.receive(), "begin")
            load_control(message.tensors, self.client, self.own, OF_FED)
            model = expect_kind(fed.receive(), "model")
            load_model(model.tensors, self.own)
        return model.transfer.end_s

    def give_part(self, steps: int) -> None:  # noqa: ARG002
        """Give this device's part of the model to the fed server, which records when."""
        with self._from_fed() as fed:
            bucket = bucket_of(self._pace.model_upload)
            fed.send("model", {}, parameters_of(self.own), bucket=bucket)
            fed.send("state", {}, control_of(self.client, self.own, OF_FED))

    @contextmanager
    def _from_fed(self) -> Iterator[Channel]:
        """Give the connection to the fed server; tell the main server where it breaks."""
        try:
            yield self._fed  # type: ignore[misc]
        except ChannelError as error:
            self._lose(error)

    def _lose(self, error: ChannelError) -> NoReturn:
        """Leave the run, with what the main server says of its end, if it does."""
        text = f"{self.client.name}: the connection to the fed server is lost ({error})"
        with suppress(ChannelError):
            self.channel.send(LOST, {"message": text})
            while True:
                message = self.channel.receive(_WHY_S)
                if message.kind == "end" and (why := message.fields.get("error")):
                    raise GoneError(f"{self.client.name}: the server has ended the run: {why}")
        raise GoneError(text) from None
