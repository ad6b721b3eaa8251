"""Clients that are alike, trained side by side: one call of a layer serves the copies of them all.

Training many small clients one after the other, a machine spends its time on starting operations
and not on arithmetic. Where copies of several clients are cut at the same layers and their batches
have the same sizes, their tensors are stacked along a new first dimension and every layer is called
once for all of them by `torch.func.vmap`. Optimizers work entry by entry, so that they need not
know. What is learned is what the clients learn one by one, up to the order in which sums are taken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from splitopt.errors import InputError
from splitopt.training.data.named import Inputs, arguments_of, joined
from splitopt.training.model_parts.copies import Copy, Cut, Split
from splitopt.training.model_parts.parts import Part, Restrained, trained_before
from splitopt.training.options import Options

Criterion = Callable[[Tensor, Tensor], Tensor]
T = TypeVar("T")


class Stacked(nn.Module):
    """Calls a module whose tensors hold the values of several copies: shape (copies, ...).

    It takes a batch for each copy and gives a result for each: (copies, batch, ...).
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *batches: Any) -> Tensor:
        """Call the module for every copy with its own values and its own batch."""
        mapped = (0, *(0 if isinstance(one, Tensor) else None for one in batches))
        call = vmap(self._one, in_dims=mapped, randomness="error")
        found: Tensor = call(dict(_tensors(self.module)), *batches)
        return found

    def _one(self, values: dict[str, Tensor], *batch: Any) -> Tensor:
        found: Tensor = functional_call(self.module, values, batch)
        return found


class Stack:
    """Copies with the same cuts as one copy, whose tensors hold the values of them all.

    Parameters
    ----------
    copies
        Of the same model with the same cuts.
    cuts, split, options
        As the copies were made with.
    """

    def __init__(
        self, copies: Sequence[Copy], cuts: tuple[int, ...], split: Split | Cut, options: Options
    ) -> None:
        self.copies = copies
        self.options = options
        first = copies[0]
        model = copy.deepcopy(first.model)
        with torch.no_grad():
            for (_, tensor), *each in self._rows(model):
                tensor.data = torch.stack([value for _, value in each])
        modules = split(model, cuts) if cuts or isinstance(split, Split) else [model]
        held = zip(*(own.parts for own in copies), strict=True)
        parts = [
            Part(_together(module, own), options.maker(role), own[0].wanted, elsewhere)
            for module, role, own, elsewhere in zip(
                modules, first.roles, held, trained_before(modules), strict=True
            )
        ]
        self.together = Copy(model, parts, first.roles, first.statistics, first.fixed)

    def _rows(self, model: nn.Module) -> Iterator[tuple[tuple[str, Tensor], ...]]:
        return zip(_tensors(model), *(_tensors(own.model) for own in self.copies), strict=True)

    def gather(self) -> None:
        """Copy what the copies are now."""
        with torch.no_grad():
            for (_, tensor), *each in self._rows(self.together.model):
                tensor.copy_(torch.stack([value for _, value in each]))
        for part, own in zip(self.together.parts, self.copies[0].parts, strict=True):
            part.reset_optimizer()
            part.set_rate(own.factor)
        moments = [own.moments() for own in self.copies]
        self.together.load_moments(
            {
                key: first if is_count(key) else torch.stack([one[key] for one in moments])
                for key, first in moments[0].items()
            }
        )

    def scatter(self) -> None:
        """Make the copies what they have become together."""
        with torch.no_grad():
            for (_, tensor), *each in self._rows(self.together.model):
                for (_, own), value in zip(each, tensor.unbind(), strict=True):
                    own.copy_(value)
        moments = self.together.moments()
        for k, copied in enumerate(self.copies):
            copied.load_moments(
                {key: value if is_count(key) else value[k] for key, value in moments.items()}
            )


def _together(module: nn.Module, own: Sequence[Part]) -> nn.Module:
    """Return a module for all copies at once, whose parts of it are given."""
    if isinstance(module, Restrained):
        return module.side_by_side([part.module for part in own], Stacked)
    return Stacked(module)


def alike(keys: Sequence[object], items: Sequence[T]) -> list[list[T]]:
    """Group items whose keys are equal, in the order in which each key comes first."""
    groups: dict[object, list[T]] = {}
    for key, item in zip(keys, items, strict=True):
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def refuse_unless_possible(
    model: nn.Module, inputs: Inputs, targets: Tensor, criterion: Criterion
) -> None:
    """Call the model and the loss for two copies at once, and change nothing.

    Raises
    ------
    InputError
        The model draws random numbers, or does what cannot be done for several copies at once.
    """
    both = copy.deepcopy(model)
    for _, tensor in _tensors(both):
        tensor.data = torch.stack([tensor.data, tensor.data])
    try:
        with torch.no_grad():
            found = Stacked(both)(*arguments_of(joined([inputs, inputs], torch.stack)))
            vmap(criterion, randomness="error")(found, torch.stack([targets, targets]))
    except RuntimeError as error:
        said = str(error).strip().partition("\n")[0]
        why = "draws random numbers, as dropout does, and every client has its own"
        if "random" not in said:
            why = f"cannot be called for several clients at once by torch.func ({said})"
        raise InputError.at("batched", f"the model {why}; train it without") from None


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers, each once."""
    return [*model.named_parameters(), *model.named_buffers()]


def is_count(key: str) -> bool:
    """Whether a moment is an optimizer's count of steps, which copies that are alike share."""
    return key.endswith(":step")
