"""A copy of the model, cut into parts that share its tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.models.adapters.ranks import set_rank
from splitopt.profiles.tracing.cuts.packing import Layout
from splitopt.training.model_parts.averaging import (
    STATISTICS,
    copy_state,
    leading,
    load_state,
    statistics_of,
)
from splitopt.training.model_parts.changing import Cut as Cut
from splitopt.training.model_parts.changing import Examined
from splitopt.training.model_parts.parts import (
    Part,
    parties_of,
    tied_between,
    trained_before,
)
from splitopt.training.options import Options, Role
from splitopt.training.rates import Factor


@dataclass(frozen=True)
class Split:
    """How a model is cut, and what of it is written while it runs.

    Parameters
    ----------
    cut
        Cuts it.
    written
        Names of the model's buffers that forward writes.
    packed
        Number of a cut, from 1 -> the tensors that cross it packed in one, where they are several.
    whole
        What a model is that is not cut, if it is not itself.
    """

    cut: Cut
    written: frozenset[str] = frozenset()
    packed: Mapping[int, Layout] = field(default_factory=dict)
    whole: Callable[[nn.Module], nn.Module] | None = None

    def __call__(self, model: nn.Module, cuts: tuple[int, ...]) -> list[nn.Module]:
        """Cut a model."""
        if not cuts:
            return [model if self.whole is None else self.whole(model)]
        return self.cut(model, cuts)


@dataclass
class Copy:
    """A model and its parts from the input to the output.

    ``roles`` says for each part whether a device or a server holds it, ``statistics`` names the
    buffers that forward writes, and ``fixed`` the entries of the state that training does not
    change. ``rate`` gives the factor of the learning rates in a round, None where there is none.
    ``exchanged`` names the tied weights that parts of different parties train, each of which has a
    copy, as the first of them names them. ``weighed`` has the bytes that `weigh` has noted.
    ``is_thin`` says that its adapters may have a lower rank than those of the common model.
    """

    model: nn.Module
    parts: list[Part]
    roles: tuple[Role, ...]
    statistics: frozenset[str]
    fixed: frozenset[str] = frozenset()
    rate: Factor | None = None
    exchanged: tuple[str, ...] = ()
    weighed: dict[tuple[Role, str], int] = field(default_factory=dict)
    is_thin: bool = False

    @classmethod
    def of(
        cls,
        model: nn.Module,
        cuts: tuple[int, ...],
        roles: Sequence[Role],
        split: Split | Cut,
        options: Options,
        shared: bool = False,
        about: Examined | None = None,
        is_part: bool = False,
        rank: int | None = None,
    ) -> Copy:
        """Copy a model (or take it itself, if `shared`) and cut it into parts.

        ``about`` is what is known of the model, or of the whole that it is a part of; without it
        everything but frozen parameters can change, and all gradients are wanted. ``is_part``
        says that the model is the device's part of one that is cut. ``rank`` is that of the copy's
        adapters, the first rows and columns of the model's; None for as many as these have.
        """
        state = model.state_dict(keep_vars=True)
        fixed = {
            name
            for name, value in state.items()
            if (id(value) in about.fixed if about else _is_frozen(value))
        }
        wanted = (True, *(about.wanted(cuts) if about else [True] * len(cuts)))
        own = model if shared else copy.deepcopy(model)
        if rank is not None:
            set_rank(own, rank)
        own.train()
        modules = [own] if is_part or not (cuts or isinstance(split, Split)) else split(own, cuts)
        if len(roles) != len(modules):
            raise InputError.at(
                "scheme",
                f"has roles for {len(roles)} parts, and the model is cut into {len(modules)}; "
                "choose a scheme that takes these cuts",
            )
        if options.batch_norm == "frozen":
            _freeze_statistics(own)
        crosses = is_part or len(modules) > 1
        penalties = [options.penalty() if crosses else None, *[None] * (len(modules) - 1)]
        parts = [
            Part(module, options.maker(role), needed, elsewhere, penalty)
            for module, role, needed, elsewhere, penalty in zip(
                modules, roles, wanted, trained_before(modules), penalties, strict=True
            )
        ]
        exchanged = tuple(tied_between(modules, parties_of(roles)))
        batch_norm = frozenset(statistics_of(own))
        if options.batch_norm == "frozen":
            fixed |= batch_norm & state.keys()
        written = split.written if isinstance(split, Split) else frozenset()
        every = written | batch_norm
        found = cls(own, parts, tuple(roles), every, frozenset(fixed), options.rate, exchanged)
        found.is_thin = rank is not None
        return found

    def tied(self) -> dict[str, nn.Parameter]:
        """Return the tied weights of which other parties have copies, by their names."""
        own = dict(self.parts[0].module.named_parameters())
        return {name: own[name] for name in self.exchanged}

    def begin_round(self, number: int) -> None:
        """Set the learning rates of a round (0, 1, ...), where they change."""
        if self.rate is not None:
            for part in self.parts:
                part.set_rate(self.rate(number))

    def load(self, state: Mapping[str, Tensor], options: Options) -> None:
        """Begin a round from the common state, by the policies of the options."""
        if options.batch_norm == "local":
            state = {name: value for name, value in state.items() if name not in self.statistics}
        if self.is_thin:
            state = leading(state, self.model.state_dict())
        load_state(self.model, state)
        if options.optimizer_state == "reset":
            for part in self.parts:
                part.reset_optimizer()

    def state(self) -> dict[str, Tensor]:
        """Copy all parameters and buffers."""
        return copy_state(self.model)

    def changed(self) -> dict[str, Tensor]:
        """Copy what training can change: what there is to average."""
        return {name: value for name, value in self.state().items() if name not in self.fixed}

    def moments(self) -> dict[str, Tensor]:
        """Return momentum and moments of the optimizers: ``PARAMETER:NAME`` -> tensor."""
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
        """Bytes of the trained parameters that parties of a role hold: their part of the model."""
        if (role, "bytes") in self.weighed:
            return self.weighed[role, "bytes"]
        return sum(tensor_bytes(value) for value in self._held_by(role) if value.requires_grad)

    def statistics_on(self, role: Role) -> int:
        """Bytes of what forward passes write there, which goes with the model and apart."""
        if (role, "statistics") in self.weighed:
            return self.weighed[role, "statistics"]
        state = self.model.state_dict(keep_vars=True)
        fixed = {id(state[name]) for name in self.fixed}
        return sum(
            tensor_bytes(value)
            for value in self._held_by(role)
            if not value.requires_grad and id(value) not in fixed
        )

    def names_on(self, role: Role) -> frozenset[str]:
        """Names of the entries of the state that parties of a role hold."""
        held = {id(value) for value in self._held_by(role)}
        state = self.model.state_dict(keep_vars=True)
        return frozenset(name for name, value in state.items() if id(value) in held)

    def averaged_on(self, role: Role) -> int:
        """Numbers that parties of a role hold and that averages are of, statistics included."""
        if (role, "numbers") in self.weighed:
            return self.weighed[role, "numbers"]
        state = self.model.state_dict(keep_vars=True)
        fixed = {id(state[name]) for name in self.fixed}
        return sum(value.numel() for value in self._held_by(role) if id(value) not in fixed)

    def weigh(self) -> None:
        """Note what all parts weigh, before those of other parties are given up here."""
        for role in set(self.roles):
            found = {
                "bytes": self.bytes_on(role),
                "statistics": self.statistics_on(role),
                "numbers": self.averaged_on(role),
            }
            self.weighed |= {(role, kind): size for kind, size in found.items()}

    def _held_by(self, role: Role) -> list[Tensor]:
        """Tensors of the state of the parties of a role, each once."""
        held = {
            id(value): value
            for part, own in zip(self.parts, self.roles, strict=True)
            if own == role
            for value in part.module.state_dict(keep_vars=True).values()
        }
        return list(held.values())


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor's values."""
    return tensor.numel() * tensor.element_size()


def _is_frozen(value: Tensor) -> bool:
    return isinstance(value, nn.Parameter) and not value.requires_grad


def _freeze_statistics(model: nn.Module) -> None:
    """Make batch normalisation use its running statistics and leave them as they are."""
    for module in model.modules():
        if isinstance(module, STATISTICS):
            module.eval()
