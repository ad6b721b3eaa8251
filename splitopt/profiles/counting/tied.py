"""Cuts between layers that train one weight: which they are, and what is exchanged there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitopt.profiles.table.arrays import Array, Mask
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.tied import COPIES, TiedWeight


def tied_weights(profile: ModelProfile) -> tuple[TiedWeight, ...]:
    """Return the trained weights that several layers of a profile use; none where it says so."""
    tied = None if profile.trace is None else profile.trace.tied
    return () if tied is None else tied.weights


def exchanged_bytes(profile: ModelProfile) -> Array:
    """Shape (L,): bytes that go up, and as many down, in every mini-batch beside what crosses.

    They are the gradients of weights of which both sides of the cut hold a copy.
    """
    tied = None if profile.trace is None else profile.trace.tied
    if tied is None or tied.how != COPIES:
        return np.zeros(profile.layer_count)
    return tied.on_both_sides(profile.layers)


def has_copies(profile: ModelProfile) -> bool:
    """Whether both sides of some cut hold a copy of a trained weight."""
    return bool(exchanged_bytes(profile).any())


def kept_together(profile: ModelProfile) -> Mask:
    """Shape (L,): the cuts with no weight that layers on both sides train."""
    tied = None if profile.trace is None else profile.trace.tied
    if tied is None:
        return np.ones(profile.layer_count, dtype=np.bool_)
    return np.asarray(tied.on_both_sides(profile.layers) == 0)


def held_apart(profile: ModelProfile, own: Sequence[bool]) -> TiedWeight | None:
    """Return the first weight that is trained by layers outside some party's own; None if none is.

    Parameters
    ----------
    own
        Of each layer, whether it is that party's.
    """
    for weight in tied_weights(profile):
        if not all(own[profile.layers.index(name)] for name in weight.layers):
            return weight
    return None
