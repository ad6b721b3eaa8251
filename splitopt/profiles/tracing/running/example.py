"""Example inputs: made from a shape, and cut or repeated to any number of samples."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError, shown
from splitopt.profiles.table.trace_record import InputRecord
from splitopt.profiles.tracing.running.positional import in_order

Inputs = tuple[Any, ...]
"""The arguments of a module by position: tensors, and defaults of arguments between them."""
Layout = tuple[tuple[str, Any], ...]
"""The arguments of a module by position: the name of an input, or of an argument that is none with
its default."""
MOST_NUMBERS = 2**28
"""Of a batch that is made: 1 GiB in float32, a hundred images of a megapixel in colours."""


def inputs_of(example: Any, module: nn.Module | None = None) -> Inputs:
    """Return one tensor or several as the arguments of a module; the first axis is the batch.

    Parameters
    ----------
    example
        A tensor, a tuple of them in the order of the module's arguments, or a dict by their names.
    module
        Whose arguments they are; needed for a dict.

    Raises
    ------
    InputError
        It holds no tensors, or none of a batch, or names that the module does not take.
    """
    if isinstance(example, Mapping):
        given = tuple(example.values())
    else:
        given = tuple(example) if isinstance(example, tuple | list) else (example,)
    if not given:
        raise InputError.at("example", "is empty; give a tensor, or several in a tuple or a dict")
    for item in given:
        if not isinstance(item, Tensor):
            raise InputError.at(
                "example",
                f"must be a tensor, a dict or a tuple of tensors, found {type(item).__name__}",
            )
        if item.ndim == 0 or item.shape[0] == 0:
            raise InputError.at(
                "example",
                f"has the shape {tuple(item.shape)}; the first axis must be a batch of samples",
            )
    if not isinstance(example, Mapping):
        return given
    assert module is not None  # whoever takes a dict knows whose arguments it holds
    return placed(example, layout_of(module, tuple(example)))


def layout_of(module: nn.Module, names: Sequence[str]) -> Layout:
    """Return the positions of named inputs among the arguments of a module's forward pass.

    Arguments by keyword alone have positions, too, see `in_order`. Names that are the numbers 0,
    1, ... say positions themselves.

    Raises
    ------
    InputError
        The module takes no such argument, or it needs others.
    """
    if set(names) == {str(place) for place in range(len(names))}:
        return tuple((str(place), None) for place in range(len(names)))
    known = in_order(inspect.signature(module.forward).parameters.values())
    there = {item.name for item in known}
    _refuse_behind_all(module, names)
    takes = f"{type(module).__name__} takes {', '.join(item.name for item in known) or 'nothing'}"
    for name in names:
        if name not in there:
            raise InputError.at(
                "inputs",
                f"{shown(name)} is no argument that the model takes; {takes}; name the "
                "inputs like the arguments of forward",
            )
    last = max(place for place, item in enumerate(known) if item.name in names)
    missing = [item.name for item in known if item.name not in names and item.default is item.empty]
    if missing:
        raise InputError.at(
            "inputs",
            f"have no {missing[0]!r}, which the model needs; {takes}; name the inputs like the "
            "arguments of forward",
        )
    return tuple(
        (item.name, None if item.name in names else item.default) for item in known[: last + 1]
    )


def _refuse_behind_all(module: nn.Module, names: Sequence[str]) -> None:
    """Reject an input by keyword alone behind arguments of any number, which has no position."""
    kinds = {item.name: item.kind for item in inspect.signature(module.forward).parameters.values()}
    collecting = next((k for k, kind in kinds.items() if kind is kind.VAR_POSITIONAL), None)
    for name in names:
        kind = kinds.get(name)
        if collecting is not None and kind is inspect.Parameter.KEYWORD_ONLY:
            raise InputError.at(
                "inputs",
                f"{shown(name)} stands behind *{collecting} in forward of {type(module).__name__}, "
                f"so that it has no position; write a plain * there, or the names of *{collecting}",
            )


def placed(tensors: Mapping[str, Any], layout: Layout) -> Inputs:
    """Return named inputs by position, with the defaults of the arguments between them."""
    return tuple(tensors.get(name, default) for name, default in layout)


def made(
    shape: Sequence[int], dtype: str = "float32", samples: int = 2, device: str = "cpu"
) -> Tensor:
    """Draw a batch of a shape: normal numbers, or 0 and 1 where the type is of integers.

    Parameters
    ----------
    shape
        The shape of one sample.
    dtype
        The name of a torch type, such as ``float32`` or ``int64`` for token ids.
    samples
        The size of the batch.
    device
        Where it is made.
    """
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise InputError.at("input dtype", f"{dtype!r} is unknown; use float32 or int64 (tokens)")
    size = (samples, *shape)
    if math.prod(size) > MOST_NUMBERS:
        raise InputError.at(
            "input shape",
            f"a batch of {samples} has {math.prod(size):.3g} numbers, at most {MOST_NUMBERS:,} are "
            "made; give the shape of one sample",
        )
    generator = None if device == "meta" else torch.Generator(device).manual_seed(0)
    if kind.is_floating_point:
        return torch.randn(size, dtype=kind, device=device, generator=generator)
    return torch.randint(0, 2, size, dtype=kind, device=device, generator=generator)


def made_like(records: Sequence[InputRecord], samples: int = 2) -> Any:
    """Draw a batch of what a profile says that its model takes: a dict, or a tuple by position."""
    drawn = [made(item.shape, item.dtype, samples) for item in records]
    if all(item.name is None for item in records):
        return tuple(drawn)
    return {item.name: value for item, value in zip(records, drawn, strict=True)}


def moved(example: Any, device: str) -> Any:
    """Return an example on a device; what is no tensor of it stays, to be refused."""
    if isinstance(example, Mapping):
        return {name: moved(item, device) for name, item in example.items()}
    if isinstance(example, tuple | list):
        return tuple(moved(item, device) for item in example)
    return example.to(device) if isinstance(example, Tensor) else example


def mapped(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """Change every tensor of a batch; what is no tensor stays."""
    return tuple(change(item) if isinstance(item, Tensor) else item for item in inputs)


def resized(inputs: Inputs, samples: int) -> Inputs:
    """Repeat or drop samples so that every input is a batch of that many."""

    def fit(item: Tensor) -> Tensor:
        times = -(-samples // item.shape[0])
        return torch.cat([item.detach()] * times)[:samples]

    return mapped(inputs, fit)


def fresh(inputs: Inputs) -> Inputs:
    """Copy a batch, so that a module that works in place does not write over it."""
    return mapped(inputs, lambda item: item.detach().clone())


def tensors_in(value: Any) -> list[Tensor]:
    """List the tensors of what a module takes or returns: a tensor, or containers of some."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []
