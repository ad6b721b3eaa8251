"""Whether every device of a scenario finds a server that it reaches and that has a seat for it."""

from __future__ import annotations

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import BoolArray, IntArray
from splitopt.scenario import Scenario

_NAMED = 8
"""Devices that a message names."""


def check_seats(scenario: Scenario, reached: BoolArray) -> None:
    """Raise `InfeasibleError` for devices without a server, or seats that are too few.

    Parameters
    ----------
    reached
        Shape (N, K): which servers each device reaches.
    """
    alone = np.flatnonzero(~reached.any(axis=1))
    if alone.size:
        one = alone.size == 1
        raise InfeasibleError(
            f"{_names(scenario, alone)} {'reaches' if one else 'reach'} no server; name one in "
            f"'servers' of {'the device' if one else 'these devices'}, or leave that out to reach "
            "all"
        )
    seats = [server.seats for server in scenario.servers]
    if all(limit is None for limit in seats):
        return
    # Devices that reach the same servers are one: as many as there are sets of servers.
    kinds, kind, count = np.unique(reached, axis=0, return_inverse=True, return_counts=True)
    room = np.array([len(reached) if limit is None else limit for limit in seats])
    placed, short = _most_placed(kinds, count, np.minimum(room, len(reached)))
    missing = len(reached) - placed
    if not missing:
        return
    among = np.flatnonzero(short[kind.reshape(-1)])
    only = np.flatnonzero(kinds[short].any(axis=0))
    names = ", ".join(scenario.servers[k].name for k in only)
    raise InfeasibleError(
        f"servers: {names} {'has' if only.size == 1 else 'have'} {room[only].sum():,} seats for "
        f"the {among.size:,} devices that reach no other server ({_names(scenario, among)}), which "
        f"is {missing:,} too few; raise 'seats' by that"
    )


def _most_placed(kinds: BoolArray, count: IntArray, room: IntArray) -> tuple[int, BoolArray]:
    """Return how many devices can be placed at most, and which kinds of devices are short of seats.

    The latter are those on the source's side of a smallest cut: the servers they reach are all full
    (Hall's theorem, in the form of max-flow min-cut).

    Parameters
    ----------
    kinds
        Shape (C, K): which servers devices of each kind reach.
    count, room
        Shape (C,) and (K,): devices of each kind, and seats of each server.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    groups, servers = kinds.shape
    size = groups + servers + 2
    sink = size - 1
    capacity = np.zeros((size, size), dtype=np.int32)
    capacity[0, 1 : 1 + groups] = count
    capacity[1 : 1 + groups, 1 + groups : sink] = np.where(kinds, count[:, None], 0)
    capacity[1 + groups : sink, sink] = room
    result = maximum_flow(csr_array(capacity), 0, sink)
    rest = capacity - result.flow.toarray()
    seen, waiting = {0}, [0]
    while waiting:
        for other in np.flatnonzero(rest[waiting.pop()] > 0):
            if int(other) not in seen:
                seen.add(int(other))
                waiting.append(int(other))
    short = np.array([1 + group in seen for group in range(groups)], dtype=np.bool_)
    return int(result.flow_value), short


def _names(scenario: Scenario, rows: IntArray) -> str:
    fleet = scenario.fleet()
    more = ", ..." if rows.size > _NAMED else ""
    return ", ".join(fleet[n].name for n in rows[:_NAMED]) + more
