"""The ranks of SplitFed with a fed server: rank 0, the devices, and the fed server last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from splitopt.training.schemes.splitfed_v2 import SplitFedV2
from splitopt.training.wire.star.device import member, sums_of
from splitopt.training.wire.star.fed.device import FedDevice
from splitopt.training.wire.star.fed.keeping import Kept
from splitopt.training.wire.star.fed.main import BesideFed, MainServer, MainTurnServer
from splitopt.training.wire.star.fed.server import FedServer, SplitFed
from splitopt.training.wire.star.timing import Timing
from splitopt.training.wire.transport.listener import listen

if TYPE_CHECKING:
    from splitopt.training.preparing.prepare import Prepared
    from splitopt.training.wire.crew import Crew
    from splitopt.training.wire.setting import Setting
    from splitopt.training.wire.transport.channel import Channel


def lead(prepared: Prepared, crew: Crew, setting: Setting) -> BesideFed:
    """Return rank 0."""
    kind = MainTurnServer if isinstance(prepared.scheme, SplitFedV2) else MainServer
    return kind(
        prepared.scheme,
        Timing(prepared.program),
        crew,
        setting.time_scale,
        setting.deadline,
        tests=len(prepared.data.test_targets),
    )


def follow(prepared: Prepared, rank: int, channel: Channel, setting: Setting) -> None:
    """Run a device or the fed server until the end of the run."""
    scheme, token, tls = cast(SplitFed, prepared.scheme), setting.token, setting.tls
    if rank <= len(scheme.clients):
        sums = sums_of(prepared, rank)
        FedDevice(*member(prepared, rank, channel), token=token, tls=tls, sums=sums).run()
        return
    timing, tests = Timing(prepared.program), prepared.data.test_inputs
    kept = partial(Kept, identity=prepared.identity, files=setting.files)
    with listen(setting.host, setting.port, token, tls=tls, no_tls=setting.no_tls) as listener:
        FedServer(scheme, timing, channel, listener, tests, kept).run()
