"""The processes of a pipeline other than rank 0: each is an owner or a node."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from splitopt.training.schemes.multihop import Multihop
from splitopt.training.wire.own_parts import forget_others, parts_of
from splitopt.training.wire.pipeline.node import Node
from splitopt.training.wire.pipeline.owner import Owner
from splitopt.training.wire.pipeline.timing import PipelineTiming, pipeline_timing
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import expect_kind
from splitopt.training.wire.transport.listener import listen
from splitopt.training.wire.transport.tls import Tls
from splitopt.training.wire.transport.tokens import Token

if TYPE_CHECKING:
    from splitopt.training.preparing.prepare import Prepared
    from splitopt.training.wire.setting import Setting


def follow(prepared: Prepared, rank: int, channel: Channel, setting: Setting) -> None:
    """Run a rank other than 0 until the end of the run."""
    assert isinstance(prepared.scheme, Multihop)  # the scheme of these plans
    opened = prepared.program.opened
    take_part(
        prepared.scheme,
        rank,
        channel,
        lambda scale: pipeline_timing(opened, scale),
        setting.token,
        setting.host,
        tls=setting.tls,
        no_tls=setting.no_tls,
    )


def take_part(
    scheme: Multihop,
    rank: int,
    control: Channel,
    timing_at: Callable[[float], PipelineTiming],
    token: Token,
    host: str | None = None,
    *,
    tls: Tls | None = None,
    no_tls: bool = False,
) -> None:
    """Run an owner (ranks 1, 2, ... in the order of the clients) or a node (those after them).

    Parameters
    ----------
    scheme
        As one process would have it; only what the rank holds of it is kept.
    rank
        One's own.
    control
        The connection to rank 0.
    timing_at
        Gives what the plan takes at a time scale, which rank 0 says.
    token
        What all parties know.
    host
        Where a node listens; None for the loopback interface.
    tls
        One's own certificate; None for connections without TLS.
    no_tls
        Whether a node may listen without TLS where other machines can reach it.

    Raises
    ------
    ChannelError
        A connection has ended before rank 0 ended the run.
    """
    scale = expect_kind(control.receive(), "pace", "end").fields.get("time_scale")
    if scale is None:
        return  # the run has ended before it began
    if not isinstance(scale, float) or not 0 < scale < math.inf:
        raise FrameError(f"a time scale of {str(scale)[:80]}")
    timing, index = timing_at(scale), rank - 1 - len(scheme.clients)
    places = (0, -1) if index < 0 else (index + 1,)
    mine = scheme.copies()[rank - 1 : rank] if index < 0 else scheme.copies()
    held = [parts_of(own, places) for own in mine]
    for own in held:
        forget_others(own)
    if index < 0:
        client = scheme.clients[rank - 1]
        Owner(client, held[0], scheme.criterion, control, timing, rank - 1, token, tls=tls).run()
        return
    with listen(host, 0, token, tls=tls, no_tls=no_tls) as listener:
        Node(scheme.clients, held, control, listener, timing, index, token, tls=tls).run()
