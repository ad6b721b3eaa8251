"""Samples with several inputs: a batch of named tensors, which only a first part takes apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles.tracing.running.example import Layout, layout_of, placed
from splitopt.profiles.tracing.running.positional import in_order

PADDING = "padding mask"
"""The name of a mask of what is no padding, until it is known what the model calls it; no argument
can be called so."""
MASKS = ("attention_mask", "mask")
"""Arguments of models that such a mask goes to."""


class Named:
    """Tensors by name whose first axes are the same samples.

    It has what batches, partitions and devices ask of a tensor of inputs: a length, rows by an
    index, a place. Parts behind a cut never see it, since what crosses a cut is a tensor.

    Parameters
    ----------
    tensors
        Name -> tensor of shape (n, ...). Names are those of the arguments of the model's forward
        pass, or the numbers 0, 1, ... for arguments by position.
    layout
        Where each stands among the arguments of a model; in the given order until that is known.

    Raises
    ------
    InputError
        No tensor, or tensors of different lengths.
    """

    def __init__(self, tensors: Mapping[str, Tensor], layout: Layout | None = None) -> None:
        sizes = {name: len(value) if value.dim() else 0 for name, value in tensors.items()}
        if not sizes:
            raise InputError.at("inputs", "are empty; give at least one")
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{size} of {name}" for name, size in sizes.items())
            raise InputError.at("inputs", f"have {listed}; give as many samples of each")
        self.tensors = dict(tensors)
        self.layout: Layout = layout or tuple((name, None) for name in tensors)

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, rows: slice | Tensor) -> Named:
        return self.map(lambda value: value[rows])

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The tensors in the order of the model's arguments, with defaults between them."""
        return placed(self.tensors, self.layout)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return next(iter(self.tensors.values())).device

    def map(self, change: Callable[[Tensor], Tensor]) -> Named:
        """Return a batch whose tensors are changed one by one."""
        return Named({k: change(value) for k, value in self.tensors.items()}, self.layout)

    def to(self, place: torch.device | str) -> Named:
        """Return it on a device."""
        return self.map(lambda value: value.to(place))

    def arranged(self, module: nn.Module, *, keeps_padding: bool = False) -> Inputs:
        """Return it with the layout of a model's arguments, and a mask of padding under its name.

        A single input of a model that takes no mask is a plain tensor. With `keeps_padding` the
        mask of padding stays beside the arguments as well, so that batches can be cut by it.

        Raises
        ------
        InputError
            The model takes no such arguments.
        """
        tensors = with_mask(self.tensors, module)
        kept = {PADDING: self.tensors[PADDING]} if keeps_padding else {}
        if isinstance(tensors, Tensor):
            return Named({"0": tensors, **kept}, (("0", None),)) if kept else tensors
        return Named({**tensors, **kept}, layout_of(module, tuple(tensors)))


def with_mask(tensors: Mapping[str, Tensor], module: nn.Module) -> Tensor | dict[str, Tensor]:
    """Return inputs whose mask of padding, if there is one, has the name of the model's argument.

    It is left out where the model takes none; a single input then stands alone.
    """
    if PADDING not in tensors:
        return dict(tensors)
    takes = [item.name for item in in_order(signature(module.forward).parameters.values())]
    wanted = next((name for name in MASKS if name in takes[1:] and name not in tensors), None)
    inputs = {name: value for name, value in tensors.items() if name != PADDING}
    if wanted is None:
        return inputs[""] if tuple(inputs) == ("",) else inputs
    first = takes[0]
    named = {name or first: value for name, value in inputs.items()}
    return {**named, wanted: tensors[PADDING]}


Inputs = Tensor | Named
"""The inputs of some samples: one tensor, or several."""


def tensors_of(inputs: Inputs) -> dict[str, Tensor]:
    """Return the tensors of inputs by name; a single one has the empty name."""
    return inputs.tensors if isinstance(inputs, Named) else {"": inputs}


def arguments_of(inputs: Inputs) -> tuple[Any, ...]:
    """Return what a model is called with."""
    return inputs.arguments if isinstance(inputs, Named) else (inputs,)


def example_of(inputs: Inputs) -> Tensor | dict[str, Tensor]:
    """Return inputs as an example to trace a model with."""
    if not isinstance(inputs, Named):
        return inputs
    places = {name for name, _ in inputs.layout}  # a mask of padding may stand beside them
    return {name: value for name, value in inputs.tensors.items() if name in places}


def changed(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """Change every tensor of inputs."""
    return inputs.map(change) if isinstance(inputs, Named) else change(inputs)


def zipped(many: Sequence[Inputs]) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    """Yield each name with the tensors that several inputs of one kind have under it."""
    found = [tensors_of(inputs) for inputs in many]
    for name in found[0]:
        yield name, tuple(tensors[name] for tensors in found)


def joined(many: Sequence[Inputs], join: Callable[[tuple[Tensor, ...]], Tensor]) -> Inputs:
    """Join inputs of one kind tensor by tensor, such as by `torch.stack` or `torch.cat`."""
    first = many[0]
    tensors = {name: join(each) for name, each in zipped(many)}
    return Named(tensors, first.layout) if isinstance(first, Named) else tensors[""]


def shapes_of(inputs: Inputs) -> tuple[tuple[str, tuple[int, ...], torch.dtype], ...]:
    """Return name, shape and type of the inputs of one sample."""
    return tuple(
        (name, tuple(value.shape[1:]), value.dtype) for name, value in tensors_of(inputs).items()
    )
