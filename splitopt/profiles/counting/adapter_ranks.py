"""The profile of a model whose adapters have another rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from splitopt.errors import InputError
from splitopt.models.adapters.choice import Adapters
from splitopt.profiles.table.adapter_ranks import AdapterRanks
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.profile import ModelProfile

_ROUNDING = 1e-12
"""Relative difference of two counts that are the same."""


def at_rank(profile: ModelProfile, rank: int) -> ModelProfile:
    """Return the profile of the same model with adapters of another rank.

    Columns are those that tracing at that rank gives. Measured seconds, counts of operators and
    curves are of the profile's own rank, and are left out. The factor of the adapters' product,
    alpha / rank, stays what it is.

    Raises
    ------
    InputError
        The profile does not say what a rank costs, or a layer is too small for this one.
    """
    known = ranks_in(profile)
    if rank > known.most:
        raise InputError(
            f"adapters of rank {rank} are too large for {profile.name!r}, whose smallest layer "
            f"with an adapter takes at most {known.most}; choose at most that"
        )
    if rank == known.rank:
        return profile
    more = rank - known.rank
    columns = {name: getattr(profile, name) + more * own for name, own in known.per_rank.items()}
    record = profile.trace
    if record is not None and record.adapters is not None:
        record = replace(record, adapters=_with_rank(record.adapters, rank))
    return replace(
        profile,
        **columns,
        machines={},
        operators=None,
        curves=None,
        trace=record,
        adapter_ranks=replace(known, rank=rank),
    )


def ranks_in(profile: ModelProfile) -> AdapterRanks:
    """Return what a rank costs; raise `InputError` where the profile does not say it."""
    if profile.adapter_ranks is None:
        raise InputError(
            f"profile {profile.name!r} does not say what a rank of adapters costs; profile the "
            "model anew with 'splitopt profile --adapters RANK'"
        )
    return profile.adapter_ranks


def per_rank(low: ModelProfile, high: ModelProfile, ranks: int) -> dict[str, Array]:
    """Return what a rank adds to each column, of two profiles that are so many ranks apart."""
    found = {}
    for name, column in low.columns.items():
        added = (high.columns[name] - column) / ranks
        added[np.abs(added) <= _ROUNDING * column] = 0.0
        if added.any():
            found[name] = added
    return found


def keeping_ranks(
    profile: ModelProfile, change: Callable[[ModelProfile], ModelProfile]
) -> ModelProfile:
    """Return a changed profile that still says what a rank costs.

    Parameters
    ----------
    profile
        Any profile; one that does not say it is only changed.
    change
        What it becomes, with columns that are affine functions of those that it had.
    """
    known = profile.adapter_ranks
    if known is None:
        return change(profile)
    step = 1 if known.rank < known.most else -1
    if known.rank + step < 1:
        return change(replace(profile, adapter_ranks=None))
    own = change(replace(profile, adapter_ranks=None))
    other = change(replace(at_rank(profile, known.rank + step), adapter_ranks=None))
    return replace(own, adapter_ranks=replace(known, per_rank=per_rank(own, other, step)))


def _with_rank(adapters: Adapters, rank: int) -> Adapters:
    """Return adapters of another rank and the same factor."""
    alpha = None if adapters.alpha is None else adapters.alpha * rank / adapters.rank
    return replace(adapters, rank=rank, alpha=alpha)
