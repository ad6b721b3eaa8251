"""Who takes part in a round, and in which order, drawn by the seed of a run and the round's number.

Free of PyTorch: whoever trains draws the same as whoever tells what a round takes, and a run that
goes on from a checkpoint the same as one without a break.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


def seed_of(*words: int) -> int:
    """Mix whole numbers >= 0 into one seed of 63 bits: the same words, the same seed."""
    import numpy as np

    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


class TurnsOfClient(NamedTuple):
    """What a client does in a round whose turns are not one with all of its batches.

    Parameters
    ----------
    turns
        How often its turn comes, and so how often the device part comes and goes.
    passes
        What its samples go forward and back beside the training, as a fraction of a round.
    replayed
        Samples that the server trains on beside those that arrive, as a fraction of these.
    handed_down, handed_up
        How many times the bytes of the device part's weights go with it, over all turns.
    """

    turns: int = 1
    passes: float = 0.0
    replayed: float = 0.0
    handed_down: int = 0
    handed_up: int = 0


def interleaved(steps: Sequence[int], batches: int | None) -> list[tuple[int, int]]:
    """Return who has a turn and with how many mini-batches, until all have made their own.

    Parameters
    ----------
    steps
        Mini-batches of each in a round.
    batches
        Of a turn; None for all of them.
    """
    left, found = list(steps), list[tuple[int, int]]()
    while any(left):
        for place, rest in enumerate(left):
            if rest:
                own = rest if batches is None else min(rest, batches)
                found.append((place, own))
                left[place] -= own
    return found


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
