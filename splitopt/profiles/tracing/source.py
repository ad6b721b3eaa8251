"""The model that a command line names: a shipped network, or a factory in the user's code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import ModuleType
from typing import Any, cast

from torch import nn

from splitopt.errors import InputError, shown
from splitopt.models import build, default_shape, is_token_model, model_names
from splitopt.plugins import attribute_of, imported
from splitopt.profiles.tracing.pretrained import folder_of, is_pretrained, open_pretrained
from splitopt.user_code import beside, reason


def read_shape(text: str) -> tuple[int, ...]:
    """Read ``3,32,32``, the shape of one sample."""
    try:
        shape = tuple(int(side) for side in text.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not shape or any(side < 1 for side in shape):
        raise InputError.at(
            "--input-shape",
            f"{shown(text)} must be whole numbers >= 1 with commas between, such as 3,32,32",
        )
    return shape


def open_model(
    target: str,
    shape: Sequence[int] | None = None,
    classes: int | None = None,
    device: str = "cpu",
) -> tuple[nn.Module, str, tuple[int, ...], str]:
    """Build the model that a target names.

    Parameters
    ----------
    target
        The name of a shipped network; ``hf:FOLDER`` with a model of HuggingFace; or
        ``MODULE:FACTORY`` or ``FILE.py:FACTORY``, where the factory is a module, a class of one or
        a function that returns one, called without arguments. It is the user's code, and is run.
    shape, classes, device
        As for `splitopt.models.build`; a shape is needed for a factory, and for token ids.

    Returns
    -------
    The module, a short name for it, the shape and the name of the type of one sample.
    """
    if ":" not in target:
        if target not in model_names() and ("." in target or "/" in target):
            raise InputError(
                f"{target!r} names no factory; write MODULE:FACTORY, such as {target}:Net"
            )
        module = build(target, shape, classes, device=device)
        size = tuple(default_shape(target) if shape is None else shape)
        return module, target, size, "int64" if is_token_model(target) else "float32"
    if classes is not None:
        where = "num_labels in its config.json" if is_pretrained(target) else "your factory"
        raise InputError(f"--classes is for shipped models; let {where} set the classes")
    if is_pretrained(target):
        return _pretrained(target, shape, device)
    if shape is None:
        raise InputError(
            "--input-shape is missing; give the shape of one sample, such as --input-shape 3,32,32"
        )
    place, _, attribute = target.rpartition(":")
    with beside(place) if place.endswith(".py") else nullcontext():
        found = _called(_attribute(imported(place), attribute, target), target)
    return found.to(device), attribute.rpartition(".")[2].lower(), tuple(shape), "float32"


def _pretrained(
    target: str, shape: Sequence[int] | None, device: str
) -> tuple[nn.Module, str, tuple[int, ...], str]:
    found = open_pretrained(target)
    size = found.shape if shape is None else tuple(shape)
    if size is None:
        raise InputError(
            "--input-shape is missing; give the number of tokens of one sample, such as "
            "--input-shape 16"
        )
    return found.module.to(device), folder_of(target).resolve().name, size, found.type_name


def open_named(target: str) -> Any:
    """Import ``FILE.py:NAME`` or ``MODULE:NAME``; the user's code is run, what it names is not."""
    place, _, attribute = target.rpartition(":")
    return _attribute(imported(place), attribute, target)


def open_function(target: str) -> Callable[..., Any]:
    """Import ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``; the user's code is run, not called."""
    found = open_named(target)
    if not callable(found):
        raise InputError(f"{target!r} is a {type(found).__name__}; name a function")
    return cast("Callable[..., Any]", found)


def _attribute(module: ModuleType, attribute: str, target: str) -> Any:
    known = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    ]
    hint = f"; its modules are {', '.join(known)}" if known else ""
    return attribute_of(module, attribute, target, hint)


def _called(found: Any, target: str) -> nn.Module:
    if not isinstance(found, nn.Module):
        if not callable(found):
            raise InputError(
                f"{target!r} is a {type(found).__name__}; name a torch.nn.Module or a function "
                "that returns one"
            )
        factory: Callable[[], Any] = found
        try:
            found = factory()
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{target!r} cannot be built ({reason(error)}); a factory is called without "
                "arguments"
            ) from None
    if not isinstance(found, nn.Module):
        raise InputError(f"{target!r} gives a {type(found).__name__} and not a torch.nn.Module")
    return found
