"""What training can change of a model, and which cuts a gradient has to come back over.

The one rule for everything that travels. A model is the parameters that are trained: they go to the
devices before a round, come back after it and are averaged. Beside it go, apart, the *statistics*:
what a forward pass in training mode writes, such as the running statistics of batch normalisation.
All else is *fixed*: frozen parameters and buffers that nothing writes are the same everywhere, are
delivered once before the first round, and are never averaged. A gradient comes back over a cut only
if something before the cut is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles.tracing.cuts.finding import FEW
from splitopt.profiles.tracing.running.example import fresh, resized
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.training.data.named import Inputs, arguments_of
from splitopt.training.model_parts.averaging import statistics_of

Cut = Callable[[nn.Module, tuple[int, ...]], list[nn.Module]]
"""Cuts a model after the given numbers of layers into modules that share its tensors."""


class Crossed(NamedTuple):
    """What crosses a cut: shape and dtype of one sample, and whether a gradient comes back."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    is_wanted: bool


class Examined:
    """A model, looked at by a forward pass.

    Parameters
    ----------
    model
        The model, which is left as it was.
    inputs
        Some samples.
    split
        How it is cut.

    Attributes
    ----------
    fixed
        The ids of the tensors of its state that training does not change.

    Raises
    ------
    InputError
        Nothing of the model is trained.
    """

    def __init__(self, model: nn.Module, inputs: Inputs, split: Cut) -> None:
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError.at(
                "model",
                "has no parameter that is trained: all are frozen (requires_grad is False), or "
                "there is none; leave some to be trained",
            )
        self._model, self._split = model, split
        self._example = resized(arguments_of(inputs), FEW)
        self._crossed: dict[tuple[int, ...], tuple[Crossed, ...]] = {}
        self.fixed = frozenset(id(tensor) for tensor in self._never_written())

    def wanted(self, cuts: tuple[int, ...]) -> tuple[bool, ...]:
        """Return for each cut whether a gradient has to come back over it."""
        return tuple(crossed.is_wanted for crossed in self.crossed(cuts))

    def crossed(self, cuts: tuple[int, ...]) -> tuple[Crossed, ...]:
        """Return what crosses each cut; the first dimension of a batch are its samples."""
        if cuts not in self._crossed:
            found = []
            with undisturbed(self._model), torch.enable_grad():
                self._model.train()
                value: tuple[Any, ...] = fresh(self._example)
                for part in self._split(self._model, cuts)[:-1] if cuts else []:
                    value = (part(*value),)
                    sent = value[0]
                    found.append(Crossed(tuple(sent.shape[1:]), sent.dtype, sent.requires_grad))
            self._crossed[cuts] = tuple(found)
        return self._crossed[cuts]

    def _never_written(self) -> list[Tensor]:
        """Return the tensors of the state that are neither trained nor written by a forward pass.

        Batch normalisation writes its statistics without a trace in their versions, and may write
        the values that were there; so values are compared too, and its statistics are known.
        """
        model = self._model
        written = set(statistics_of(model))
        before = {
            name: (value, value._version, value.detach().clone())
            for name, value in _state(model).items()
            if not (value.requires_grad or name in written)
        }
        with undisturbed(model), torch.no_grad():
            model.train()
            model(*fresh(self._example))
            after = _state(model)
            return [
                value
                for name, (value, version, was) in before.items()
                if after.get(name) is value and value._version == version and value.equal(was)
            ]


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of the state, themselves and not what they hold."""
    return dict(model.state_dict(keep_vars=True))
