"""Whether a model and its parts take samples that are shorter than those it was profiled with."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile
from splitopt.profiles.tracing.running.passes import Outcome, split_pass
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.data.dataset import DataSet
from splitopt.training.data.named import arguments_of, example_of
from splitopt.training.data.positions import Positions
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options
from splitopt.training.preparing.matching import cut_again
from splitopt.training.schemes import Scheme
from splitopt.training.tasks.targets import IGNORED
from splitopt.user_code import reason

_FEW = 2
_NEAR = 1e-4
_MEND = "; leave it out, so that all samples are as long as the longest of the data"


def cuts_batches(options: Options | None) -> bool:
    """Report whether batches are as long as their own longest sample."""
    return options is not None and options.padding == "batch"


def for_any_length(
    split: SplitModel, model: nn.Module, data: DataSet, job: TrainingJob, profile: ModelProfile
) -> tuple[SplitModel, Positions | None]:
    """Return cuts whose parts take samples of any length, and by what batches are cut to theirs.

    Nothing changes, and there is None, where all batches are as long as the longest sample.

    Raises
    ------
    InputError
        The data do not say how long samples are, or shorter ones have other cuts.
    """
    if not cuts_batches(job.options):
        return split, None
    positions = Positions.of(data)
    example = data.train_inputs[:_FEW]
    short = positions.shortened(example, max(1, positions.room - 1))
    with undisturbed(model):
        model.train()
        words = f"the model cannot take {max(1, positions.room - 1)}"
        _passed([model], arguments_of(short), model, words)
    found = cut_again(model, example_of(example), profile, job.stages, example_of(short))
    if found.cuts != split.cuts:
        raise InputError.at(
            "padding",
            "is 'batch', and a graph of the model for samples of any length has other cuts than "
            f"that of the plan{_MEND}",
        )
    return found, positions


def check_shorter(split: SplitModel, scheme: Scheme, positions: Positions | None) -> None:
    """Check that the parts compute with a short batch what the model computes with it.

    Raises
    ------
    InputError
        The scheme puts batches side by side, and targets do not say what of them is padding; or the
        model, or one of its parts, is made for one length.
    """
    if positions is None:
        return
    if scheme.serves_together and positions.beyond not in (None, IGNORED):
        raise InputError.at(
            "padding",
            f"is 'batch', and in a cluster shorter batches are put beside longer ones: targets of "
            f"padding must be {IGNORED} there, they are {positions.beyond}{_MEND}",
        )
    client = scheme.clients[0]
    few = client.batches.inputs[:_FEW]
    lengths = [positions.longest(client.batches.inputs[row : row + 1]) for row in range(len(few))]
    length = min(*lengths, max(1, positions.room - 1))
    short = arguments_of(positions.shortened(few, length).to("cpu"))
    with undisturbed(split.module):
        split.module.train()
        whole = split_pass([split.module], short, split.module)
        for cuts in {own.cuts for own in scheme.clients if own.cuts}:
            names = " and ".join(split.cuts[number - 1] for number in cuts)
            words = f"the parts of the cut at {names} cannot take {length}"
            parts = split.split(split.module, cuts)
            found = _passed(parts, short, split.module, words)
            if not _are_near(found, whole):
                raise InputError.at(
                    "padding",
                    f"is 'batch', and with {length} positions the parts of the cut at {names} do "
                    f"not compute what the model does{_MEND}",
                )


def _passed(
    parts: list[nn.Module], inputs: tuple[Any, ...], module: nn.Module, words: str
) -> Outcome:
    """Return a pass of a short batch; one that fails is an `InputError`."""
    try:
        return split_pass(parts, inputs, module)
    except Exception as error:
        raise InputError.at(
            "padding", f"is 'batch', and {words} positions ({reason(error)}){_MEND}"
        ) from None


def _are_near(one: Outcome, other: Outcome) -> bool:
    """Whether outputs and gradients of two passes are the same but for rounding."""
    if one.gradients.keys() != other.gradients.keys() or len(one.outputs) != len(other.outputs):
        return False
    pairs = [*zip(one.outputs, other.outputs, strict=True)]
    pairs += [(one.gradients[key], value) for key, value in other.gradients.items()]
    return all(
        own.shape == wanted.shape and torch.allclose(own, wanted, rtol=_NEAR, atol=_NEAR)
        for own, wanted in pairs
    )
