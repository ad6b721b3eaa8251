"""Building a shipped network by its name, for the size of input that it is to take."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.extras import need_torch

SMALL_IMAGE = 64
"""Images of at most this height get the form of a network that CIFAR is trained with."""


@dataclass(frozen=True)
class Entry:
    """One shipped network.

    Parameters
    ----------
    module, factory
        Where the function that builds it stands; it takes ``shape`` and ``classes``.
    shape
        The input of one sample that it takes by default.
    arguments
        Further arguments of the function.
    tokens
        Whether the input is a sequence of token ids and not an image.
    """

    module: str
    factory: str
    shape: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    tokens: bool = False


_IMAGENET = (3, 224, 224)
_MODELS = {
    "cnn": Entry("cnn", "cnn", (1, 28, 28)),
    "lenet5": Entry("lenet5", "lenet5", (1, 28, 28)),
    "lenet12": Entry("lenet", "lenet12", (1, 28, 28)),
    "alexnet": Entry("alexnet", "alexnet", _IMAGENET),
    "resnet18": Entry("resnet", "resnet", _IMAGENET, {"depth": 18}),
    "resnet34": Entry("resnet", "resnet", _IMAGENET, {"depth": 34}),
    "resnet50": Entry("resnet", "resnet", _IMAGENET, {"depth": 50}),
    "resnet101": Entry("resnet", "resnet", _IMAGENET, {"depth": 101}),
    "vgg11": Entry("vgg", "vgg", _IMAGENET, {"depth": 11}),
    "vgg16": Entry("vgg", "vgg", _IMAGENET, {"depth": 16}),
    "vgg19": Entry("vgg", "vgg", _IMAGENET, {"depth": 19}),
    "mobilenetv2": Entry("mobilenet", "mobilenet_v2", _IMAGENET),
    "gpt": Entry("gpt", "gpt", (128,), tokens=True),
}


def model_names() -> tuple[str, ...]:
    """Names that `build` knows."""
    return tuple(_MODELS)


def default_shape(name: str) -> tuple[int, ...]:
    """Return the shape of one sample that a shipped network takes if none is asked for."""
    return entry_of(name).shape


def is_token_model(name: str) -> bool:
    """Whether the input of a shipped network is a sequence of token ids."""
    return entry_of(name).tokens


def build(
    name: str,
    shape: Sequence[int] | None = None,
    classes: int | None = None,
    *,
    device: str = "cpu",
) -> Any:
    """Build a shipped network with fresh weights.

    Parameters
    ----------
    name
        One of `model_names`.
    shape
        The shape of one sample: channels, height and width of an image, or the number of tokens.
        Images of at most 64 pixels in height get the form that CIFAR is trained with (a stem
        that keeps the size, a small head), larger ones that of ImageNet.
    classes
        The width of the output: 10 for small images, 1000 for large ones and 256 tokens (bytes)
        by default.
    device
        Where the weights are made; ``"meta"`` makes shapes only, which costs no memory.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    CapabilityError
        PyTorch is not installed.
    InputError
        No such network, or a shape or number of classes that it cannot take.
    """
    entry = entry_of(name)
    size = tuple(entry.shape if shape is None else shape)
    if len(size) != len(entry.shape) or any(side < 1 for side in size):
        wanted = "the number of tokens" if entry.tokens else "channels,height,width"
        raise InputError.at(
            "input shape",
            f"{','.join(map(str, size))} does not fit {name}, which takes {wanted}, "
            f"such as {','.join(map(str, entry.shape))}",
        )
    if classes is not None and classes < 1:
        raise InputError.at("classes", f"is {classes}; a network has at least one output")
    need_torch(f"building {name}")
    import torch

    factory = getattr(importlib.import_module(f"splitopt.models.{entry.module}"), entry.factory)
    with torch.device(device):
        return factory(shape=size, classes=classes, **entry.arguments)


def entry_of(name: str) -> Entry:
    """Return the registry's line of a shipped network; raise `InputError` if there is none."""
    if name not in _MODELS:
        raise InputError(
            f"there is no shipped model {shown(name)}{did_you_mean(name, _MODELS) or '.'} The "
            f"shipped ones are {', '.join(_MODELS)}; a model of your own is named MODULE:FACTORY"
        )
    return _MODELS[name]
