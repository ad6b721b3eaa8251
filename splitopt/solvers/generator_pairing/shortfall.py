"""Whether caps leave a pairing at all: the fewest senders that classes have to do without."""

from __future__ import annotations

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import IntArray
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
from splitopt.solvers.backends.integer_program import Matrix
from splitopt.solvers.base import Search
from splitopt.solvers.generator_pairing.fleet import Fleet
from splitopt.solvers.generator_pairing.integer_program import add_device

_MOST_NAMED = 3


def pairing_within_caps(fleet: Fleet, search: Search) -> None:
    """Propose a pairing that keeps the caps, whatever it costs.

    Raises
    ------
    InfeasibleError
        There is none; the message names the classes that lack senders when as few as possible do.
    """
    problem = fleet.problem
    assert problem.limits is not None  # the caller saw to it
    matrix = Matrix()
    caps = {j: matrix.row(-np.inf, float(cap)) for j, cap in enumerate(problem.limits.tolist())}
    sends, offers = [], []
    for i in fleet.receivers.tolist():
        own = fleet.offers(i)
        offers.append(own)
        every = np.arange(len(own.senders))
        sends.append(add_device(matrix, own, every, False, caps, short=True))
    answer = matrix.solve(1.0, search.remaining_s, search.seed)
    if answer.values is None:
        return
    found: list[IntArray] = [np.empty(0, dtype=np.int64) for _ in range(problem.devices)]
    for i, columns, own in zip(fleet.receivers.tolist(), sends, offers, strict=True):
        found[i] = own.senders[answer.values[columns] > 0.5]
    decision = GeneratorPairingDecision(tuple(found))
    search.propose(decision)
    if answer.bound > 0.5:  # it counts senders
        raise InfeasibleError(_words(problem, decision, int(np.ceil(answer.bound - 1e-6))))


def _words(problem: GeneratorPairing, decision: GeneratorPairingDecision, least: int) -> str:
    """Name the classes that lack senders in a pairing that comes nearest."""
    short = problem.need.copy()
    for i, senders in enumerate(decision.senders):
        short[i] -= problem.covers[senders].sum(axis=0)
    lacking = np.argwhere(short > 0)
    named = [
        f"class {problem.labels[c]!r} of {problem.called[i]} ({short[i, c]} short)"
        for i, c in lacking[:_MOST_NAMED].tolist()
    ]
    more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
    return (
        f"the caps leave at least {least} of the needed senders missing, however generators are "
        f"sent; the nearest pairing lacks {', '.join(named)}{more}: raise the caps"
    )
