"""What a module keeps from one pass to the next, and whether a copy of it would have it all.

A part of a split model carries parameters and buffers: they are what is sent, averaged and saved. A
running value that forward keeps as a plain attribute, or as a buffer that is not persistent, is in
none of these, so a model whose results depend on one is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from splitopt.documents.checks import is_number
from splitopt.errors import InputError
from splitopt.profiles.tracing.running.example import (
    Inputs,
    fresh,
    mapped,
    resized,
    tensors_in,
)
from splitopt.profiles.tracing.running.quiet import SEED
from splitopt.profiles.tracing.running.snapshot import Snapshot

_FURTHER = (*range(1, 13), 99, 999, 10**6 - 1)
"""How far a counter is set on to see whether anything depends on it: every few passes, every
hundred or thousand, and beyond a warm-up."""


@dataclass(frozen=True)
class State:
    """What the forward pass of a module writes.

    Parameters
    ----------
    written
        Names of its buffers, and of parameters that are not trained, that have another value after
        forward, in training or in evaluation.
    replaced
        Of these, the ones that forward makes another tensor, instead of writing in place.
    others
        Names of attributes that are numbers or texts and change; they are in no state dict.
    """

    written: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()

    def tensors(self, module: nn.Module) -> dict[str, Tensor]:
        """Return what is written, by name."""
        return {name: tensor for name, tensor in _state(module) if name in self.written}


def state_of(module: nn.Module, inputs: Inputs, before: Snapshot, samples: int) -> State:
    """Run a module in both modes and see what it writes.

    Parameters
    ----------
    module
        It is put back to `before`.
    inputs
        An example, of which batches of `samples` are made.

    Raises
    ------
    InputError
        The results of a pass depend on what an earlier one left outside the state dict.
    """
    batch = resized(inputs, samples)
    for training in (True, False):
        module.train(training)
        with torch.set_grad_enabled(training):
            module(*fresh(batch))
    written, replaced = before.buffers()
    changed = before.attributes()
    _begin(module, before)
    if changed and tensors_in(batch)[0].device.type != "meta":
        _expect_whole(module, variants(batch), before, list(changed))
        _expect_no_schedule(
            module, batch, before, [name for name, plain in changed.items() if plain]
        )
    module.train()
    return State(written, replaced, tuple(name for name, plain in changed.items() if plain))


def variants(batch: Inputs) -> tuple[Inputs, ...]:
    """Make three different batches of one that any model takes that takes this one."""

    def smaller(item: Tensor) -> Tensor:
        return 0.5 * item if item.is_floating_point() else item.flip(0)

    return batch, mapped(batch, smaller), mapped(batch, lambda item: item.flip(0))


def values_of(module: nn.Module) -> dict[str, Tensor]:
    """Copy the values of all buffers, and of parameters that are not trained, by name."""
    return {name: tensor.detach().clone() for name, tensor in _state(module)}


def _state(module: nn.Module) -> list[tuple[str, Tensor]]:
    untrained = [(name, p) for name, p in module.named_parameters() if not p.requires_grad]
    return [*module.named_buffers(), *untrained]


def _begin(module: nn.Module, before: Snapshot) -> None:
    before.restore()
    before.drop_gradients()
    module.train()


def _expect_whole(
    module: nn.Module, batches: Sequence[Inputs], before: Snapshot, suspects: Sequence[str]
) -> None:
    """Reject a module that goes on otherwise where only its state dict is carried on."""
    kept, again, carried = (_results(module, batches, before, how) for how in (False, False, True))
    if not _equal(kept, again):
        return  # it draws what no seed sets, so that nothing can be told
    if not _equal(kept, carried):
        names = ", ".join(suspects[:4])
        raise InputError(
            f"the model keeps {names} from one pass to the next, outside its state dict, where no "
            "copy, checkpoint or other machine has it; make it a buffer: in __init__, "
            f'self.register_buffer("{suspects[0].rpartition(".")[2]}", ...) with its first value'
        )


def _expect_no_schedule(
    module: nn.Module, batch: Inputs, before: Snapshot, numbers: Sequence[str]
) -> None:
    """Reject a module whose results depend on a number that it counts up as an attribute."""

    def outcome(name: str, further: int) -> list[Tensor]:
        _begin(module, before)
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        own = vars(owner).get(leaf)
        if is_number(own):
            setattr(owner, leaf, own + further)
        torch.manual_seed(SEED)
        with torch.no_grad():
            found = [item.detach().clone() for item in tensors_in(module(*fresh(batch)))]
        found += values_of(module).values()
        _begin(module, before)
        return found

    for name in numbers:
        first = outcome(name, 0)
        if not _equal(first, outcome(name, 0)):
            return  # it draws what no seed sets
        if not all(_equal(first, outcome(name, further)) for further in _FURTHER):
            raise InputError(
                f"the model goes by {name}, a number that it changes in forward and keeps outside "
                "its state dict, where no copy, checkpoint or other machine has it; make it a "
                f'buffer: in __init__, self.register_buffer("{name.rpartition(".")[2]}", '
                "torch.zeros((), dtype=torch.long)), and decide by tensors (torch.where)"
            )


def _results(
    module: nn.Module, batches: Sequence[Inputs], before: Snapshot, carrying: bool
) -> list[Tensor]:
    """Run passes in training and one in evaluation; `carrying` only the state dict between."""
    found: list[Tensor] = []
    _begin(module, before)
    with torch.no_grad():
        for number, batch in enumerate((*batches, batches[0])):
            if carrying and number:
                state = {name: value.clone() for name, value in module.state_dict().items()}
                _begin(module, before)
                own = module.state_dict()
                for name in own.keys() & state.keys():
                    own[name].copy_(state[name])
            module.train(number < len(batches))
            torch.manual_seed(SEED)
            found += [item.detach().clone() for item in tensors_in(module(*fresh(batch)))]
    _begin(module, before)
    return found


def _equal(one: Sequence[Tensor], two: Sequence[Tensor]) -> bool:
    return len(one) == len(two) and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-7, equal_nan=True)
        for a, b in zip(one, two, strict=True)
    )
