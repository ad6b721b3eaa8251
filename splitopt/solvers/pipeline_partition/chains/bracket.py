"""Compiled loops: the least period, by bisection with jumps between the values it can have.

The period of a chain is one of finitely many values: what a run of layers or a link costs. So a cap
that admits no chain raises the lower end to the next such value, and one that admits a chain lowers
the upper end to the chain's own period; when the ends meet, the optimum is proved.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled
from splitopt.solvers.pipeline_partition.chains.layout import LINKS, SERIAL_FULL, Chains
from splitopt.solvers.pipeline_partition.chains.reach import reach, trace
from splitopt.solvers.pipeline_partition.chains.tables import computing, occupied
from splitopt.solvers.pipeline_partition.chains.windows import Windows, open_windows

LOW, HIGH, TOP, RELAXED, STEP, PHASE, TESTS = range(7)
"""Places in the state: proved lower bound, period of the chain at hand, largest possible period,
smallest cap not refuted by windows, step of the gallop, what to do next, and tests done."""

SHRINK, GALLOP, BISECT, DONE, INFEASIBLE, TOO_LARGE = (float(phase) for phase in range(6))

_SHRUNK = 1e-3
"""Relative width at which the cheap bisection over windows gives way to exact tests."""
_ROUNDING = 1e-12
"""Relative room for sums that are added up in another order."""
FIRST_STEP = 2e-3
"""Relative step above the lower end with which the gallop begins."""
_CLOSE = 1e-6
"""Relative width from which on the next value is worth a scan over all runs with interfaces."""


@compiled
def ends_of_range(chains: Chains, nodes: int) -> tuple[float, float]:
    """Bound the period of every chain of at most so many nodes from below and above, in s."""
    kinds, layers = chains.layer_s.shape
    heaviest, total, slowest = 0.0, 0.0, 0.0
    for layer in range(layers):
        least = np.inf
        for kind in range(kinds):
            least = min(least, chains.layer_s[kind, layer])
        heaviest = max(heaviest, least)
        total += least
    for kind in range(kinds):
        slowest = max(slowest, computing(chains, kind, 0, layers))
        if chains.interface != LINKS:
            slowest += 2 * (chains.up.max() + chains.down.max()) / chains.rate[kind]
    if chains.levels.shape[0]:
        slowest = max(slowest, chains.levels[-1])
    return max(heaviest, total / nodes * (1 - _ROUNDING)), slowest * (1 + _ROUNDING)


@compiled
def next_value(chains: Chains, cap: float, upper: float, windows: Windows) -> float:
    """Find the smallest value above `cap` that a run or a link can cost.

    The windows must have been opened with this very cap. With interfaces, values at `upper` or
    above are not looked for: infinity stands for them.
    """
    found = np.inf
    place = np.searchsorted(chains.levels, cap, side="right")
    if place < chains.levels.shape[0]:
        found = chains.levels[place]
    kinds, width = chains.memory_end.shape
    for kind in range(kinds):
        for start in range(width - 1):
            end, last = windows.ends[kind, start], chains.memory_end[kind, start]
            if end < last and chains.interface < SERIAL_FULL:
                value = computing(chains, kind, start, end + 1)
                if value > cap:
                    found = min(found, value)
            if chains.interface != LINKS:
                for stop in range(start + 1, last + 1):
                    if computing(chains, kind, start, stop) >= min(found, upper):
                        break
                    value = occupied(chains, kind, start, stop)
                    if value > cap:
                        found = min(found, value)
    return found


@compiled
def _middle(low: float, high: float) -> float:
    """Take a value between two ends, strictly below the upper one."""
    if low > 0.0 and high > 2.0 * low:
        middle = float(np.sqrt(low) * np.sqrt(high))
    else:
        middle = low + 0.5 * (high - low)
    return middle if low <= middle < high else low


@compiled
def _above(chains: Chains, cap: float, state: FloatArray, windows: Windows) -> float:
    """Give a lower end that a refuted cap proves."""
    after = float(np.nextafter(cap, np.inf))
    upper = min(state[HIGH], state[TOP])
    if chains.interface != LINKS and cap > 0.0 and upper - cap > _CLOSE * upper:
        return after
    return float(max(after, next_value(chains, cap, upper * (1 + 1e-9), windows)))


@compiled
def advance(
    chains: Chains,
    windows: Windows,
    state: FloatArray,
    kinds: IntArray,
    cuts: IntArray,
    tests: int,
    most_places: int,
) -> int:
    """Do up to so many tests; give the length of the best chain if a better one was found.

    Parameters
    ----------
    state
        Shape (7,), see `LOW`; it carries over from call to call.
    kinds, cuts
        The chain that was found, in reverse.
    tests
        How many caps to test.
    most_places
        Places in windows that may be held; `TOO_LARGE` if a test needs more.

    Returns
    -------
    length
        Number of nodes of the chain in `kinds`; 0 if there is no new one.
    """
    length = 0
    for _ in range(tests):
        if state[PHASE] == SHRINK:
            _shrink(chains, windows, state)
        elif state[PHASE] == GALLOP or state[PHASE] == BISECT:
            found = _test(chains, windows, state, kinds, cuts, most_places)
            length = found if found > 0 else length
        else:
            break
        state[TESTS] += 1
    return length


@compiled
def _shrink(chains: Chains, windows: Windows, state: FloatArray) -> None:
    """Bisect by windows alone: cheap, and mostly close to the optimum."""
    if state[RELAXED] == np.inf:
        cap = state[TOP]
    elif state[RELAXED] - state[LOW] <= _SHRUNK * state[RELAXED]:
        state[PHASE] = GALLOP
        return
    else:
        cap = _middle(state[LOW], state[RELAXED]) if state[LOW] > 0.0 else 0.0
    if open_windows(chains, cap, windows):
        state[RELAXED] = cap
    elif cap >= state[TOP]:
        state[PHASE] = INFEASIBLE
    else:
        state[LOW] = min(_above(chains, cap, state, windows), state[RELAXED])


@compiled
def _test(
    chains: Chains,
    windows: Windows,
    state: FloatArray,
    kinds: IntArray,
    cuts: IntArray,
    most_places: int,
) -> int:
    """Test one cap exactly and move the ends."""
    if state[PHASE] == GALLOP:
        cap = min(state[TOP], max(state[RELAXED], state[LOW] * (1 + state[STEP])))
        state[STEP] *= 3
    else:
        cap = _middle(state[LOW], state[HIGH])
    length = 0
    if open_windows(chains, cap, windows):
        if windows.offset[-1] > most_places:
            state[PHASE] = TOO_LARGE
            return 0
        vertex, reached = reach(chains, cap, windows)
        if vertex >= 0:
            length, period = trace(chains, cap, windows, reached, vertex, kinds, cuts)
            state[HIGH] = min(cap, period)
            state[PHASE] = BISECT
    if length == 0:
        if cap >= state[TOP]:
            state[PHASE] = INFEASIBLE
            return 0
        state[LOW] = _above(chains, cap, state, windows)
        if state[PHASE] == GALLOP and state[LOW] > state[TOP]:
            state[PHASE] = INFEASIBLE
            return 0
    if state[LOW] >= state[HIGH]:
        state[LOW] = state[HIGH]
        state[PHASE] = DONE
    return length
