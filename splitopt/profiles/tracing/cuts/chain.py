"""A module as a chain of values, and the parts between them.

The values are numbered from 1; the last is what the module returns. Value 0 is the input. A part
from value `first` to value `last` computes the one from the other; its parameters are those of the
module itself, under the same names, so that the state dicts of all parts together are the
module's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from splitopt.profiles.tracing.cuts.packing import Layout


class Chain(ABC):
    """Where a module can be cut, and how it is built from parts.

    Attributes
    ----------
    method
        ``sequential``, ``fx``, ``export`` or ``stages``: how the values were found.
    names
        The names of the values 1 to the last.
    notes
        What a careful reader has to know about how they were found.
    trainable
        Whether the parts can be trained with: false for a graph of ``export`` that is that of one
        mode.
    most
        How many tensors may make up a value.
    """

    method: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    trainable: bool = True
    most: int = 1

    @abstractmethod
    def part(self, first: int, last: int, *, copy: bool = False, apart: bool = False) -> nn.Module:
        """Build the module from value `first` to value `last`, where 0 is the input.

        With `copy` it works on a copy of what it is given, for parts that begin in place. A value
        of several tensors is one packed tensor, or with `apart` several arguments and a tuple.
        """

    def layout(self, value: int) -> Layout | None:  # noqa: ARG002
        """Return how the tensors of a value are packed in one; None where it is one by itself."""
        return None

    @abstractmethod
    def on(self, module: nn.Module) -> Chain:
        """Return the same chain over a copy of the module, whose parts have that copy's tensors."""

    @property
    def length(self) -> int:
        """The number of values, the module's output among them."""
        return len(self.names)


def is_kept(module: nn.Module, name: str) -> bool:
    """Whether a dotted name is that of a buffer in the state dict of a module."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    return leaf in owner._buffers and leaf not in owner._non_persistent_buffers_set


def attach(root: nn.Module, name: str, value: Any, *, persistent: bool = False) -> None:
    """Put a module, parameter, buffer or tensor under a dotted name, with empty modules between."""
    *path, leaf = name.split(".")
    for step in path:
        below = root._modules.get(step)
        if below is None:
            below = nn.Module()
            root.add_module(step, below)
        root = below
    if getattr(root, leaf, None) is value:
        return  # a module that is there already brought it along
    if isinstance(value, nn.Module):
        root.add_module(leaf, value)
    elif isinstance(value, nn.Parameter):
        root.register_parameter(leaf, value)
    elif isinstance(value, Tensor):
        root.register_buffer(leaf, value, persistent=persistent)
    else:
        setattr(root, leaf, value)


class Calls(nn.Module):
    """Modules and functions, one after the other; the modules keep their dotted names."""

    def __init__(
        self, steps: Sequence[tuple[str, Callable[..., Any]]], *, copy: bool = False
    ) -> None:
        super().__init__()
        for name, step in steps:
            if isinstance(step, nn.Module):
                attach(self, name, step)
        self.copy = copy
        # In a tuple, modules are not registered a second time under another name.
        self._steps = tuple(step for _, step in steps)

    def forward(self, *inputs: Any) -> Any:
        """Apply the steps in turn."""
        if self.copy:
            inputs = tuple(item.clone() for item in inputs)
        first, *others = self._steps
        value = first(*inputs)
        for step in others:
            value = step(value)
        return value


class StepChain(Chain):
    """A chain of modules or functions that follow each other."""

    def __init__(
        self,
        method: str,
        steps: Sequence[tuple[str, Callable[..., Any]]],
        notes: Sequence[str] = (),
    ) -> None:
        self.method, self.notes = method, tuple(notes)
        self._steps = tuple(steps)
        self.names = tuple(name for name, _ in steps)

    def steps(self, first: int, last: int) -> tuple[tuple[str, Callable[..., Any]], ...]:
        """Return the steps between two values, by name."""
        return self._steps[first:last]

    def part(
        self,
        first: int,
        last: int,
        *,
        copy: bool = False,
        apart: bool = False,  # noqa: ARG002
    ) -> nn.Module:
        """Build the module that applies the steps between two values."""
        return Calls(self.steps(first, last), copy=copy)

    def on(self, module: nn.Module) -> StepChain:
        """Find the steps of a copy by their names; what is no submodule is the same in all."""
        named = dict(module.named_modules(remove_duplicate=False))
        steps = [
            (name, named.get(name, step) if isinstance(step, nn.Module) else step)
            for name, step in self._steps
        ]
        return StepChain(self.method, steps, self.notes)
