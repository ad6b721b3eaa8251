"""What users call to measure leaks and to certify predictions, without importing torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.extras import need_torch
from splitopt.privacy.leakage.settings import LeakageSettings
from splitopt.privacy.robustness.settings import RobustnessSettings
from splitopt.training.pixel_dp_options import PixelDP

if TYPE_CHECKING:
    from torch import nn

    from splitopt.privacy.leakage.table import LeakageTable
    from splitopt.privacy.robustness.table import RobustnessTable
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


def robustness_table(
    target: nn.Module | str | os.PathLike[str],
    data: Any = None,
    pixel_dp: PixelDP | None = None,
    *,
    settings: RobustnessSettings | None = None,
    model: nn.Module | str | None = None,
    weights: str | os.PathLike[str] | None = None,
    stages: Stages | None = None,
    progress: Callable[[str], object] | None = None,
) -> RobustnessTable:
    """Certify which predictions of a model with a noise layer no small change turns.

    Lemma 1 of SplitFed, with confidence intervals of expected scores; beside accuracy under FGSM
    and PGD, whose gradients are averaged over noise draws.

    Parameters
    ----------
    target
        The folder of a checkpoint of a training with a noise layer; or a module with its weights;
        or the name of a shipped network or ``MODULE:FACTORY``, with `weights`.
    data
        As for `splitopt.training.data.load_data`, with classes; those of the checkpoint by default.
        The first test samples are certified.
    pixel_dp
        The noise layer; a checkpoint has its own.
    settings
        Draws, confidence, radii, attacks.
    model
        Of a checkpoint: the module that it is of, where its name does not say.
    weights
        A safetensors file.
    stages
        As for `splitopt.profiles.trace`.
    progress
        Called with what is done next.

    Raises
    ------
    InputError
        No noise layer, a layer of unknown norm before it, weights of another model, data without
        classes.
    CapabilityError
        PyTorch is not installed.
    """
    need_torch("certifying a model")
    from splitopt.privacy.robustness.loading import robustness

    return robustness(target, data, pixel_dp, settings, model, weights, stages, progress)
