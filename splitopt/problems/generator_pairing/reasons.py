"""Why no pairing can cover every class, as far as it shows without a search."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.generator_pairing.data import GeneratorPairingData


def obvious_reason(problem: GeneratorPairingData) -> str | None:
    """Report which class cannot be covered and what would have to change; None if all may be."""
    known = problem.called
    supply = problem.covers.sum(axis=0)
    for c, label in enumerate(problem.labels):
        receivers = np.flatnonzero(problem.need[:, c])
        if not receivers.size:
            continue
        if supply[c] == 0:
            return _nobody(problem, c, known[int(receivers[0])], receivers.size)
        wanted = int(problem.need[receivers[0], c])
        others = supply[c] - problem.covers[receivers, c]
        if (short := np.flatnonzero(others < wanted)).size:
            first = int(short[0])
            return (
                f"class {label!r}: {known[int(receivers[first])]} needs {_many(wanted, 'sender')}, "
                f"and {int(others[first])} of the other devices have a generator for it; lower "
                "sources or least_quality, or give more devices samples of it"
            )
        if problem.caps is not None and (reason := _caps_of_class(problem, c, receivers)):
            return reason
    return None


def _nobody(problem: GeneratorPairingData, c: int, receiver: str, count: int) -> str:
    label = problem.labels[c]
    more = f" and {count - 1} more" if count > 1 else ""
    if not problem.classes[:, c].any():
        return (
            f"class {label!r}: no device has a sample of it; give one some, or take it out of "
            "labels"
        )
    trained = problem.classes if problem.generates is None else problem.generates
    if not trained[:, c].any():
        return (
            f"class {label!r}: no device has a generator for it, and {receiver}{more} lack it; "
            "train one on it"
        )
    assert problem.quality is not None  # what is trained falls short of a least quality
    best = float(problem.quality[trained[:, c], c].max())
    return (
        f"class {label!r}: no generator is of the least quality {problem.least_quality:g}, the "
        f"best has {best:g}, and {receiver}{more} lack it; lower least_quality"
    )


def _caps_of_class(problem: GeneratorPairingData, c: int, receivers: IntArray) -> str | None:
    """Report that the generators of one class cannot be sent as often as it is needed.

    A generator goes to a device once, and not to its own: of k receivers that need n senders each,
    the sends of all senders j, at most min(cap_j, those that j can reach), are at least n k.
    """
    senders = np.flatnonzero(problem.covers[:, c])
    reach = receivers.size - (problem.need[senders, c] > 0)
    sends = int(np.minimum(problem.caps[senders], reach).sum())
    wanted = int(problem.need[receivers, c].sum())
    if sends >= wanted:
        return None
    return (
        f"class {problem.labels[c]!r}: {receivers.size} devices lack it and need "
        f"{_many(wanted, 'send')} together, and the caps allow {sends} by the "
        f"{senders.size} that have a generator for it; raise the caps to {wanted} in all"
    )


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
