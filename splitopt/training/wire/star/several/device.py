"""A device of a server other than rank 0: rank 0 says where its server is, and how the run ends."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from splitopt.training.wire.addresses import CONNECT_S, address_of
from splitopt.training.wire.crew import join
from splitopt.training.wire.star.device import Device, GoneError
from splitopt.training.wire.star.fed.device import FedDevice
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelError
from splitopt.training.wire.transport.frames import expect_kind

if TYPE_CHECKING:
    from splitopt.training.preparing.prepare import Prepared
    from splitopt.training.wire.setting import Setting

PLACE = "server"
"""Rank 0's word where the server of a device listens."""

_WHY_S = 30.0
"""For so long rank 0 may take to say why the run has ended."""


def find_server(
    prepared: Prepared, rank: int, leader: Channel, setting: Setting, server: str
) -> Channel | None:
    """Connect to one's server where rank 0 says that it is; None where the run ends before.

    Raises
    ------
    GoneError
        The run has ended before, for a reason.
    """
    message = expect_kind(leader.receive(), PLACE, "end")
    if message.kind == "end":
        if why := message.fields.get("error"):
            name = prepared.scheme.clients[rank - 1].name
            raise GoneError(f"{name}: the server has ended the run: {why}")
        return None
    host, port = address_of(message.fields)
    told = None if prepared.own is None else prepared.own.told()
    agreement, tls = prepared.agreement, setting.tls
    return join(host, port, setting.token, rank, agreement, CONNECT_S, tls, told, server)


class _Led(Device):
    """A device whose server is not rank 0, at the other end of ``leader``."""

    leader: Channel

    def _hear_why(self) -> None:
        """Raise `GoneError` with the reason that its server or rank 0 has sent."""
        super()._hear_why()
        with suppress(ChannelError):
            while True:
                message = self.leader.receive(_WHY_S)
                if message.kind == "end" and message.fields.get("error"):
                    raise self._ended(message)


class LedDevice(_Led):
    """A device that one server serves, which is not rank 0."""


class LedFedDevice(_Led, FedDevice):
    """The same, whose part the fed server has."""
