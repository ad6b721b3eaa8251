"""Who is who where devices are at several servers: rank 0 is the first of them.

Ranks 1, 2, ... are the devices, then come the other servers, and a fed server is the last.
"""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.training.options import Options
from splitopt.training.program import Program
from splitopt.training.two_servers import FED


def others_of(program: Program) -> tuple[str, ...]:
    """Return the servers with devices of their own, but for the one that rank 0 is."""
    return program.server_names[1:]


def parties_of(program: Program, fed_server: bool = False) -> tuple[str, ...]:
    """Return the names of ranks 1, 2, ... of a plan with several servers.

    Raises
    ------
    InputError
        Two of them have one name.
    """
    devices = tuple(client.name for client in program.clients)
    found = (*devices, *others_of(program), *((FED,) if fed_server else ()))
    for name in found[len(devices) :]:
        if found.count(name) > 1:
            raise InputError.at(
                "servers",
                f"one is called {name}, as another party is; over connections each needs a name "
                "of its own",
            )
    return found


def check_several(program: Program, options: Options) -> None:
    """Raise `InputError` for what servers that share the devices of a plan do not do together."""
    names = program.server_names
    if len(names) < 2:
        return
    privacy = options.privacy
    if (
        privacy is not None
        and privacy.covers == "model"
        and any(one.cuts for one in program.clients)
    ):
        raise InputError.at(
            "covers",
            f"is 'model', and the plan has devices at {' and '.join(names)}, of which rank 0 alone "
            "adds noise to its part; cover the client part, or train without --wire",
        )
    if options.secure_aggregation and not options.fed_server:
        raise InputError.at(
            "secure_aggregation",
            f"needs one party that is sent all masked parts, and the plan has devices at "
            f"{' and '.join(names)}; add a fed server (fed_server, --fed-server), or leave it out",
        )


def members_of(program: Program, server: str) -> tuple[int, ...]:
    """Return the indices of the devices of a server."""
    return tuple(n for n, one in enumerate(program.clients) if one.allocation["server"] == server)


def server_rank(program: Program, n: int) -> int:
    """Return the rank of the server of a device; 0 where there is one server for all."""
    names = program.server_names
    if len(names) < 2:
        return 0
    place = names.index(program.clients[n].allocation["server"])
    return len(program.clients) + place if place else 0
