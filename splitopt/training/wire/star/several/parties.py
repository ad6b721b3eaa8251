"""The ranks of a plan with several servers: rank 0, the devices, the others, and a fed server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from splitopt.training.schemes.parallel_copies import ParallelCopies
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.star import device as star_device
from splitopt.training.wire.star.device import member, sums_of
from splitopt.training.wire.star.fed import parties as fed_parties
from splitopt.training.wire.star.several.device import LedDevice, LedFedDevice, find_server
from splitopt.training.wire.star.several.first import FirstMainServer, FirstServer
from splitopt.training.wire.star.several.other import OtherMainServer, OtherServer, Station
from splitopt.training.wire.star.several.places import members_of, others_of
from splitopt.training.wire.star.timing import Timing
from splitopt.training.wire.told import Told
from splitopt.training.wire.transport.listener import listen

if TYPE_CHECKING:
    from splitopt.training.preparing.prepare import Prepared
    from splitopt.training.wire.setting import Setting
    from splitopt.training.wire.transport.channel import Channel


def lead(prepared: Prepared, crew: Crew, setting: Setting) -> FirstServer:
    """Return rank 0."""
    timing, scale = Timing(prepared.program), setting.time_scale
    given = (prepared.scheme, timing, crew, scale, setting.deadline)
    if not prepared.scheme.options.fed_server:
        return FirstServer(*given)
    return FirstMainServer(*given, tests=len(prepared.data.test_targets))


def follow(prepared: Prepared, rank: int, channel: Channel, setting: Setting) -> None:
    """Run a device, another server or the fed server until the end of the run."""
    program, place = prepared.program, rank - 1 - len(prepared.program.clients)
    others = others_of(program)
    if place < 0:
        _run_device(prepared, rank, channel, setting)
    elif place < len(others):
        _run_server(prepared, others[place], channel, setting)
    else:
        fed_parties.follow(prepared, rank, channel, setting)


def _run_device(prepared: Prepared, rank: int, leader: Channel, setting: Setting) -> None:
    """Run a device, with rank 0 or with the server that rank 0 leads it to."""
    program = prepared.program
    server = program.clients[rank - 1].allocation["server"]
    fed = prepared.scheme.options.fed_server
    if server not in others_of(program):
        (fed_parties if fed else star_device).follow(prepared, rank, leader, setting)
        return
    channel = find_server(prepared, rank, leader, setting, server)
    if channel is None:
        return
    with channel:
        given, sums = member(prepared, rank, channel), sums_of(prepared, rank)
        device: LedDevice | LedFedDevice
        if fed:
            device = LedFedDevice(*given, token=setting.token, tls=setting.tls, sums=sums)
        else:
            device = LedDevice(*given, sums=sums)
        device.leader = leader
        device.run()


def _run_server(prepared: Prepared, name: str, control: Channel, setting: Setting) -> None:
    """Run a server that is not rank 0."""
    program, token, tls = prepared.program, setting.token, setting.tls
    scheme = cast(ParallelCopies, prepared.scheme)
    kind = OtherMainServer if scheme.options.fed_server else OtherServer
    names = [client.name for client in program.clients]
    judge = None if prepared.own is None else Told(prepared).tell
    members = members_of(program, name)
    with (
        listen(setting.host, setting.port, token, tls=tls, no_tls=setting.no_tls) as listener,
        Crew(listener, names, prepared.agreement, judge) as crew,
    ):
        Station(name, members, control, crew, partial(_make, kind, prepared, crew)).run()


def _make(
    kind: type[OtherServer], prepared: Prepared, crew: Crew, scale: float, deadline: Deadline
) -> OtherServer:
    scheme = cast(ParallelCopies, prepared.scheme)
    return kind(scheme, Timing(prepared.program), crew, scale, deadline)
