"""Algorithm 2's gradient flow (DP-MORA Eq. 28-33), all devices stepped together.

`advance` is what every device and the server would do in one process; the devices as objects of
their own are in the module `agents`, and both do the same arithmetic in the same order.
"""

from __future__ import annotations

from typing import Any

from splitopt.problems.compiling import compiled

SHARE_FLOOR = 1e-9
"""Shares stay within [this, 1]: the paper's open interval (0, 1) has no nearest point."""
RUNAWAY = 1e30
"""A price beyond this says that the flow diverges."""

RUNNING, SETTLED, DIVERGED = 0, 1, 2


@compiled
def advance(
    need: Any,
    share: Any,
    price: Any,
    memory: Any,
    settled: Any,
    starts: Any,
    neighbours: Any,
    step: float,
    tolerance: float,
    limit: int,
) -> tuple[int, int, int, int]:
    """Run up to `limit` steps of the flow; the state arrays are changed in place.

    Parameters
    ----------
    need
        Shape (N,): seconds at the full resource, in the unit of the prices. Private to each device.
    share
        Shape (N,): the shares mu. Private to each device.
    price, memory, settled
        Shape (N,) or (N + 1,), the last entry being the server's: lambda, z, and the last vote.
    starts, neighbours
        The graph.
    step
        The integration step eta.
    tolerance
        The flow has settled when no node's squared gradients add up to more than this part of it.
    limit
        Largest number of steps.

    Returns
    -------
    tuple
        Steps, rounds of hearing the neighbours, votes that changed, and how it ended.

    Notes
    -----
    The arrays come one by one: held in a tuple they take a sixth longer to compile.
    """
    devices, nodes = len(share), len(price)
    part = tolerance / nodes
    share_velocity, price_velocity = share.copy(), price.copy()
    memory_velocity = memory.copy()
    heard, votes = 0, 0
    for taken in range(limit):
        heard += 1
        unsettled = False
        for n in range(nodes):
            price_gap, memory_gap = 0.0, 0.0
            for place in range(starts[n], starts[n + 1]):
                price_gap += price[n] - price[neighbours[place]]
                memory_gap += memory[n] - memory[neighbours[place]]
            surplus = 1.0 / devices - share[n] if n < devices else 0.0
            # At rest the prices of neighbours are equal, as the memories stand still; and since the
            # gaps of the memories add up to zero over all nodes, so do the surpluses: the shares
            # add up to one.
            price_velocity[n] = -price_gap - memory_gap + surplus
            memory_velocity[n] = price_gap
            square = price_velocity[n] * price_velocity[n]
            square = square + memory_velocity[n] * memory_velocity[n]
            if n < devices:
                # A step against the gradient of need / share - price * share, kept within bounds.
                target = share[n] + need[n] / (share[n] * share[n]) + price[n]
                share_velocity[n] = min(max(target, SHARE_FLOOR), 1.0) - share[n]
                square += share_velocity[n] * share_velocity[n]
            vote = square <= part
            if vote != settled[n]:
                settled[n] = vote
                votes += n < devices
            if not vote:
                unsettled = True
        if not unsettled:
            return taken, heard, votes, SETTLED
        runaway = False
        for n in range(nodes):
            if n < devices:
                share[n] += step * share_velocity[n]
            price[n] += step * price_velocity[n]
            memory[n] += step * memory_velocity[n]
            runaway |= not abs(price[n]) + abs(memory[n]) <= 1e30
        if runaway:
            return taken + 1, heard, votes, DIVERGED
    return limit, heard, votes, RUNNING
