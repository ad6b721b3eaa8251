"""The functions that measure what is leaked: what users call, without torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.extras import need_torch
from splitopt.privacy.leakage.settings import LeakageSettings

if TYPE_CHECKING:
    from torch import nn

    from splitopt.privacy.leakage.table import LeakageTable
    from splitopt.profiles.tracing.cuts.finding import Stages
    from splitopt.training.tasks import Task


def leakage_table(
    model: nn.Module | str,
    data: Any = "digits",
    cuts: Sequence[int | str] | None = None,
    *,
    settings: LeakageSettings | None = None,
    task: Task | str = "classification",
    stages: Stages | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> LeakageTable:
    """Measure what a server can recover of the data at each cut of a model.

    Reconstruction: gradient matching (DP-MORA, Eq. 13-18) and feature inversion, by an attacker who
    has the client part (white box) and one who has not (black box). Inference: distance
    correlation, labels from the gradients at the cut, membership.

    Parameters
    ----------
    model
        A module with the weights to attack, or the name of a shipped network, whose weights are
        drawn by the seed. It is copied, not changed.
    data
        As for `splitopt.training.data.load_data`. Inputs must be floating-point numbers.
    cuts
        Numbers of cuts from 1 or names of layers; all cuts of the profile by default, which a
        column for a profile needs.
    settings
        Which attacks, on how many samples, for how long.
    task
        What the model is trained for, which says what its loss is.
    stages
        As for `splitopt.profiles.trace`.
    cache
        A folder in which each result is kept as soon as it is there: the same call again goes on
        where it was stopped.
    progress
        Called after each attack with how many are done, how many there are, and what it was.

    Returns
    -------
    LeakageTable
        ``table.onto(profile)`` is the profile with the measured leakage.

    Raises
    ------
    InputError
        A model that cannot be cut or does not fit the data, tokens in place of numbers, no such
        cut.
    CapabilityError
        PyTorch is not installed.
    """
    need_torch("measuring leakage")
    from splitopt.privacy.leakage.measured import measured

    place = None if cache is None else Path(cache)
    return measured(
        model, data, cuts, settings or LeakageSettings(), task, stages, place, progress
    ).table
