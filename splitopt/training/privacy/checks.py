"""What DP-SGD cannot be done with, refused by name before the first round.

The bound on what one sample can change rests on each sample having a gradient of its own. So no
layer of any part may mix samples, and nothing but gradients may carry samples out of a covered
part, such as running statistics.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles.tracing.running.example import fresh
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.training.data.named import Inputs, arguments_of, joined, tensors_of
from splitopt.training.model_parts.averaging import STATISTICS, statistics_of
from splitopt.training.model_parts.copies import Split
from splitopt.training.options import Options
from splitopt.training.privacy_options import Privacy

_LOG = logging.getLogger(__name__)


def check_model(model: nn.Module, options: Options) -> None:
    """Reject normalisations that mix the samples of a batch, or keep statistics of them.

    With ``batch_norm="frozen"`` they do neither.

    Raises
    ------
    InputError
        There is one; the message names it and what to take instead.
    """
    if options.batch_norm == "frozen":
        return
    for name, module in model.named_modules():
        if not isinstance(module, STATISTICS):
            continue
        kind = type(module).__name__
        is_instance = isinstance(module, nn.modules.instancenorm._InstanceNorm)
        if is_instance and not module.track_running_stats:
            continue
        features = module.num_features
        instead = (
            f"{kind} without track_running_stats"
            if is_instance
            else f"GroupNorm({_groups(features)}, {features})"
        )
        why = "keeps statistics of" if is_instance else "mixes"
        raise InputError.at(
            "privacy",
            f"the layer {name or 'of the model'} is {kind}, which {why} the samples of a batch; "
            f"take {instead} in its place, or --batch-norm frozen",
        )


def check_parts(
    split: Split, model: nn.Module, cuts: tuple[int, ...], covered: Sequence[bool]
) -> None:
    """Reject covered parts that forward writes to, without any parameter, or tied to other parts.

    Raises
    ------
    InputError
        They are so.
    """
    parts = split(model, cuts) if cuts else [model]
    inside = [part for part, is_covered in zip(parts, covered, strict=True) if is_covered]
    outside = [part for part, is_covered in zip(parts, covered, strict=True) if not is_covered]
    trained = _trained(inside)
    if not trained:
        raise InputError.at(
            "privacy",
            "covers no parameter: the parts that devices hold train none; cover all parts with "
            "--dp-covers model, or train without privacy",
        )
    names = {id(p): name for name, p in model.named_parameters()}
    for one in trained & _trained(outside):
        raise InputError.at(
            "privacy",
            f"covers the parts of devices, but {names.get(one, 'a parameter')} is in another part "
            "too; cover all parts with --dp-covers model",
        )
    held = {id(value) for part in inside for value in part.state_dict(keep_vars=True).values()}
    state = model.state_dict(keep_vars=True)
    for name in sorted(split.written - set(statistics_of(model))):
        if name in state and id(state[name]) in held:
            raise InputError.at(
                "privacy",
                f"forward writes the buffer {name} from the samples, which leaves the device "
                "without noise; take a layer that keeps nothing",
            )


def check_samples_apart(model: nn.Module, inputs: Inputs, options: Options) -> None:
    """Reject a model in which what becomes of one sample depends on another one.

    The first sample is sent through the model beside two different ones.

    Raises
    ------
    InputError
        It depends on it; the message names the first layer where it does.
    """
    pair = _beside(inputs)
    if pair is None:
        return
    seen: list[dict[str, Tensor]] = []
    with undisturbed(model), torch.no_grad():
        model.train()
        if options.batch_norm == "frozen":
            for module in model.modules():
                if isinstance(module, STATISTICS):
                    module.eval()
        for given in pair:
            torch.manual_seed(0)
            seen.append(_rows(model, arguments_of(given)))
    one, other = seen
    for name, row in one.items():
        if name in other and not torch.allclose(row, other[name], rtol=1e-4, atol=1e-6):
            kind = type(model.get_submodule(name)).__name__
            raise InputError.at(
                "privacy",
                f"the layer {name or 'that is the model'} ({kind}) mixes the samples of a batch; "
                "take one that treats each sample by itself",
            )


def check_delta(privacy: Privacy, samples: dict[str, int]) -> None:
    """Warn where delta is so large that it would allow to publish a sample."""
    for name, count in samples.items():
        if privacy.delta >= 1 / count:
            _LOG.warning(
                "delta %g is not below 1/%d, one over the samples of %s: that allows to publish "
                "one of them whole; choose a smaller one",
                privacy.delta,
                count,
                name,
            )


def _groups(features: int) -> int:
    """Return into how many groups channels are usually put: the largest up to 32 that divides."""
    return max(n for n in range(1, min(32, features) + 1) if features % n == 0)


def _trained(parts: Iterable[nn.Module]) -> set[int]:
    return {id(p) for part in parts for p in part.parameters() if p.requires_grad}


def _beside(inputs: Inputs) -> tuple[Inputs, Inputs] | None:
    """Return two batches of two that differ in their second sample alone; None if all are alike."""
    for index in range(1, len(inputs)):
        one, other = inputs[:1], inputs[index : index + 1]
        pairs = zip(tensors_of(one).values(), tensors_of(other).values(), strict=True)
        if any(not torch.equal(a, b) for a, b in pairs):
            return joined([one, one], torch.cat), joined([one, other], torch.cat)
    return None


def _rows(model: nn.Module, given: tuple[Any, ...]) -> dict[str, Tensor]:
    """Return the first row of what every layer gives, in the order in which they are done."""
    found: dict[str, Tensor] = {}
    hooks = []
    for name, module in model.named_modules():

        def note(_: nn.Module, __: object, result: object, name: str = name) -> None:
            if isinstance(result, Tensor) and len(result) == 2 and name not in found:
                found[name] = result[0].detach().double().clone()

        hooks.append(module.register_forward_hook(note))
    try:
        model(*fresh(given))
    finally:
        for hook in hooks:
            hook.remove()
    return found
