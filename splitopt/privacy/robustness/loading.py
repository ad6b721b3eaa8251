"""From a checkpoint, or a model with weights, and data to a model with noise in it and samples."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from splitopt.errors import InputError, shown
from splitopt.privacy.robustness.certifying import Progress, certified_table
from splitopt.privacy.robustness.settings import RobustnessSettings
from splitopt.privacy.robustness.table import RobustnessTable
from splitopt.profiles.tracing import find_cuts
from splitopt.profiles.tracing.cuts.finding import Stages
from splitopt.training.data import DataSet, load_data
from splitopt.training.data.named import Named
from splitopt.training.model_parts.copies import Split
from splitopt.training.model_parts.modes import evaluating
from splitopt.training.model_parts.weights_file import read_tensors
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.preparing.fitting import check_outputs, fitted, seen_as_one_tensor
from splitopt.training.preparing.pixel import placed
from splitopt.training.preparing.prepare import default_name, make_module
from splitopt.training.preparing.starting import loaded
from splitopt.training.privacy.pixel.noise import NoisyPart
from splitopt.training.saving import checkpoint
from splitopt.training.schemes.base import under
from splitopt.training.tasks.known import CLASSIFICATION
from splitopt.training.wire.compute import one_thread


class Stored(NamedTuple):
    """What a checkpoint says of a training with a noise layer."""

    model: str
    data: Any
    state: Mapping[str, Tensor]
    pixel_dp: PixelDP


@dataclass(frozen=True, eq=False)
class Subject:
    """What is certified.

    Parameters
    ----------
    layer
        The whole model with noise in it.
    inputs, targets
        Labelled samples.
    model, data
        What they are called.
    """

    layer: NoisyPart
    inputs: Tensor
    targets: Tensor
    model: str
    data: str


def read_checkpoint(folder: str | os.PathLike[str]) -> Stored:
    """Read the common model and the noise layer of a training from its checkpoint.

    Raises
    ------
    InputError
        There is no checkpoint, it is damaged, or that training had no noise layer.
    """
    found = checkpoint.load(Path(folder))
    options, origin = found.identity.get("options"), found.history.origin
    given = options.get("pixel_dp") if isinstance(options, Mapping) else None
    if not isinstance(given, Mapping):
        raise InputError(
            f"{folder}: that training had no noise layer, without which nothing is certified; "
            "train with --pixel-dp-after, or name a model with the same flags here"
        )
    if found.identity.get("adapters"):
        raise InputError(f"{folder}: its model has adapters, which are not followed; merge them")
    names = {own.name for own in fields(PixelDP)} - {"insecure_test_seed"}
    own = PixelDP(**{name: value for name, value in given.items() if name in names})
    model = origin.get("model_source") or default_name(str(origin.get("profile", "")))
    data = origin.get("data_source", origin.get("data_name", "digits"))
    return Stored(str(model), data, under(found.state, "model."), own)


def robustness(
    target: nn.Module | str | os.PathLike[str],
    data: Any = None,
    pixel_dp: PixelDP | None = None,
    settings: RobustnessSettings | None = None,
    model: nn.Module | str | None = None,
    weights: str | os.PathLike[str] | None = None,
    stages: Stages | None = None,
    progress: Progress | None = None,
) -> RobustnessTable:
    """Certify a model with a noise layer; see `splitopt.privacy.robustness_table`."""
    chosen = settings or RobustnessSettings()
    state: Mapping[str, Tensor] | None = None
    is_folder = not isinstance(target, nn.Module) and os.path.isdir(target)
    if is_folder:
        if pixel_dp is not None or weights is not None:
            raise InputError(
                f"{target}: is a checkpoint, which has weights and a noise layer; leave others out"
            )
        stored = read_checkpoint(target)  # type: ignore[arg-type]
        state, pixel_dp = stored.state, stored.pixel_dp
        model = stored.model if model is None else model
        data = stored.data if data is None else data
    elif model is not None:
        raise InputError.at("model", "is for a checkpoint, and here the model is named already")
    else:
        model = target if isinstance(target, nn.Module) else str(target)
        if weights is not None:
            state = read_tensors(Path(weights))
    if pixel_dp is None:
        raise InputError.at(
            "pixel_dp_after",
            f"is missing: {_named(target)} is no folder of a checkpoint, and a model by itself has "
            "no noise layer; say behind which layer there is one",
        )
    where = str(target) if is_folder else str(weights)
    with one_thread():
        subject = _subject(model, data, pixel_dp, chosen, state, where, stages)
        with evaluating(subject.layer):
            return certified_table(
                subject.layer, subject.inputs, subject.targets, chosen,
                subject.model, subject.data, progress,
            )  # fmt: skip


def _subject(
    model: nn.Module | str,
    data: Any,
    pixel_dp: PixelDP,
    settings: RobustnessSettings,
    state: Mapping[str, Tensor] | None,
    where: str,
    stages: Stages | None,
) -> Subject:
    read = load_data("digits" if data is None else data, seed=settings.seed)
    _expect_images(read)
    module, name = make_module(model, read, settings.seed)
    if state is not None:
        module = loaded(module, state, where)
    read = fitted(module, read)
    module = seen_as_one_tensor(module, read.train_inputs[:2])
    check_outputs(module, read, CLASSIFICATION)
    split = find_cuts(module, read.train_inputs[:2], stages=stages)
    own = replace(pixel_dp, insecure_test_seed=settings.seed)  # nobody is to be kept from it here
    into = Split(split.split, split.state.written)
    layer = placed(split, into, own, read.train_inputs[:2]).whole(split.module)
    layer.restrain()
    inputs = read.test_inputs[: settings.samples]
    assert isinstance(inputs, Tensor)
    return Subject(layer, inputs, read.test_targets[: settings.samples], name, read.name)


def _named(target: object) -> str:
    return type(target).__name__ if isinstance(target, nn.Module) else shown(str(target))


def _expect_images(data: DataSet) -> None:
    """Raise `InputError` for data whose inputs cannot change a little, or that have no classes."""
    inputs = data.test_inputs
    if isinstance(inputs, Named) or not inputs.is_floating_point() or not data.classes:
        raise InputError.at(
            "data",
            f"{data.name} has not one input of floating-point numbers and a class for each sample, "
            "which certificates are of",
        )
