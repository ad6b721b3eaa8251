"""A device with two servers: smashed data go to the main server, its part to the fed server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from splitopt.training.two_servers import FED
from splitopt.training.wire.addresses import CONNECT_S, address_of
from splitopt.training.wire.client_state import (
    control_of,
    kinds_up,
    load_control,
    load_fixed,
    load_model,
    of_fed,
    of_server,
)
from splitopt.training.wire.star.device import TURN, Device, GoneError
from splitopt.training.wire.star.device_links import LOST
from splitopt.training.wire.star.pace import bucket_of
from splitopt.training.wire.star.secure.member import UNMASKING, SumMember
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.errors import ChannelError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.tls import Tls
from splitopt.training.wire.transport.tokens import Token

TAKEN = "taken"
"""What a device says to the main server that has its part, where devices take turns."""

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

    def __init__(
        self,
        *member: object,
        token: Token,
        tls: Tls | None = None,
        sums: SumMember | None = None,
    ) -> None:
        super().__init__(*member, sums=sums)  # type: ignore[arg-type, misc]
        self._token, self._tls = token, tls
        self._fed: Channel | None = None
        self.control = of_server(self.client)

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
        """Receive this device's part of the model from the fed server."""
        with self._from_fed() as fed:
            message = expect_kind(fed.receive(), "setup", "begin")
            if message.kind == "setup":
                load_fixed(message.tensors, self.own)
                message = expect_kind(fed.receive(), "begin")
            load_control(message.tensors, self.client, self.own, of_fed(self.client))
            if self.sums is not None:
                self.sums.agree(
                    self._number, fed.send, lambda kind: expect_kind(fed.receive(), kind)
                )
        if self._turns is not None:
            self._receive(TURN)
        with self._from_fed() as fed:
            if self._turns is not None:
                fed.send(TURN)
            model = expect_kind(fed.receive(), "model")
            load_model(model.tensors, self.own)
        if self._turns is not None:
            self.channel.send(TAKEN)
        return model.transfer.end_s

    def give_part(self, steps: int) -> None:  # noqa: ARG002
        """Send this device's part of the model to the fed server, which records when."""
        with self._from_fed() as fed:
            kind, tensors = self.part()
            fed.send(kind, {}, tensors, bucket=bucket_of(self._pace.model_upload))
            kinds = kinds_up(of_fed(self.client), self.sums is not None)
            fed.send("state", {}, control_of(self.client, self.own, kinds))

    def take_masks_off(self, sums: SumMember) -> None:
        """Answer the fed server, which has the masked vectors."""
        with self._from_fed() as fed:
            message = expect_kind(fed.receive(), UNMASKING)
            fed.send(UNMASKING, {}, sums.answer(message))

    @contextmanager
    def _from_fed(self) -> Iterator[Channel]:
        """Return the connection to the fed server; tell the main server where it breaks."""
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
                if message.kind == "end" and message.fields.get("error"):
                    raise self._ended(message)
        raise GoneError(text) from None
