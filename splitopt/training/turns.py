"""Who takes part in a round, and in which order, drawn by the seed of a run and the round's number.

Free of PyTorch: whoever trains draws the same as whoever tells what a round takes, and a run that
goes on from a checkpoint the same as one without a break.
"""

from __future__ import annotations

from collections.abc import Sequence


def seed_of(*words: int) -> int:
    """Mix whole numbers >= 0 into one seed of 63 bits: the same words, the same seed."""
    import numpy as np

    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


_CHOOSING = 1
"""Stands behind the number of a round, so that who is drawn is not what the order is drawn from."""


def permuted(members: Sequence[int], *words: int) -> list[int]:
    """Return members in an order that the words of a seed draw."""
    import numpy as np

    rng = np.random.default_rng(seed_of(*words))
    return [members[place] for place in rng.permutation(len(members))]


def count_of(clients: int, fraction: float | None) -> int:
    """Return how many of so many clients take part in a round (McMahan et al. 2017): at least 1."""
    return clients if fraction is None else max(1, round(fraction * clients))


def chosen(clients: int, fraction: float | None, seed: int, number: int) -> list[int]:
    """Return who takes part in a round (0, 1, ...), as rising indices.

    Every subset of `count_of` clients is equally likely, in every round anew.
    """
    count = count_of(clients, fraction)
    if count == clients:
        return list(range(clients))
    return sorted(permuted(range(clients), seed, number, _CHOOSING)[:count])
