"""A copy of the model, cut into parts that share its tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from splitopt.training.averaging import STATISTICS, copy_state, load_state, statistics_of
from splitopt.training.options import Options, Role
from splitopt.training.parts import Part

Cut = Callable[[nn.Module, tuple[int, ...]], list[nn.Module]]
"""Cuts a model after the given numbers of layers into modules that share its tensors."""


@dataclass(frozen=True)
class Split:
    """How a model is cut, and what of it is written while it runs.

    Parameters
    ----------
    cut
        Cuts it.
    written
        Names of the model's buffers that forward writes.
    """

    cut: Cut
    written: frozenset[str] = frozenset()

    def __call__(self, model: nn.Module, cuts: tuple[int, ...]) -> list[nn.Module]:
        """Cut a model."""
        return self.cut(model, cuts)


@dataclass
class Copy:
    """A model and its parts from the input to the output.

    ``roles`` says for each part whether a device or a server holds it, ``statistics`` names the
    buffers that forward writes.
    """

    model: nn.Module
    parts: list[Part]
    roles: tuple[Role, ...]
    statistics: frozenset[str]

    @classmethod
    def of(
        cls,
        model: nn.Module,
        cuts: tuple[int, ...],
        roles: Sequence[Role],
        split: Split | Cut,
        options: Options,
        shared: bool = False,
    ) -> Copy:
        """Copy a model (or take it itself, if `shared`) and cut it into parts."""
        own = model if shared else copy.deepcopy(model)
        own.train()
        modules = split(own, cuts) if cuts else [own]
        if options.batch_norm == "frozen":
            _freeze_statistics(own)
        parts = [Part(m, options.maker(role)) for m, role in zip(modules, roles, strict=True)]
        written = split.written if isinstance(split, Split) else frozenset()
        statistics = written | frozenset(statistics_of(own))
        return cls(own, parts, tuple(roles), statistics)

    def load(self, state: Mapping[str, Tensor], options: Options) -> None:
        """Begin a round from the common state, by the policies of the options."""
        if options.batch_norm == "local":
            state = {name: value for name, value in state.items() if name not in self.statistics}
        load_state(self.model, state)
        if options.optimizer_state == "reset":
            for part in self.parts:
                part.reset_optimizer()

    def state(self) -> dict[str, Tensor]:
        """Copy all parameters and buffers."""
        return copy_state(self.model)

    def moments(self) -> dict[str, Tensor]:
        """Give momentum and moments of the optimizers: ``PARAMETER:NAME`` -> tensor."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        return {
            f"{names[id(parameter)]}:{key}": value
            for part in self.parts
            if part.optimizer is not None
            for parameter, state in part.optimizer.state.items()
            for key, value in state.items()
            if isinstance(value, Tensor)
        }

    def load_moments(self, moments: Mapping[str, Tensor]) -> None:
        """Go on with moments that `moments` of a copy of the same model gave."""
        parameters = dict(self.model.named_parameters())
        holders = {
            parameter: part.optimizer
            for part in self.parts
            if part.optimizer is not None
            for group in part.optimizer.param_groups
            for parameter in group["params"]
        }
        for optimizer in holders.values():
            optimizer.state.clear()
        for key, value in moments.items():
            name, _, slot = key.rpartition(":")
            parameter = parameters[name]
            place = "cpu" if slot == "step" else parameter.device  # where optimizers count steps
            holders[parameter].state[parameter][slot] = value.to(place).clone()

    def bytes_on(self, role: Role) -> int:
        """Bytes of the parameters and buffers that parties of a role hold."""
        held = [
            part.module for part, own in zip(self.parts, self.roles, strict=True) if own == role
        ]
        return sum(tensor_bytes(t) for m in held for t in (*m.parameters(), *m.buffers()))


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor's values."""
    return tensor.numel() * tensor.element_size()


def _freeze_statistics(model: nn.Module) -> None:
    """Make batch normalisation use its running statistics and leave them as they are."""
    for module in model.modules():
        if isinstance(module, STATISTICS):
            module.eval()
