"""The one primitive of the backend: a part of a model, and a batch on its way through it.

A model cut at some layers is a chain of parts on different parties. A batch goes forward through
the parts; what crosses a cut is detached, as if it had gone over a network. The loss is taken at
the last part, and the gradient of what crossed each cut goes back the same way. Every scheme of
split learning is built from `Part.forward`, `Pass.backward` and `Part.step`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from splitopt.training.codecs.crossing import AS_IT_IS, Crosses
from splitopt.training.data.named import Inputs, Named, arguments_of, changed
from splitopt.training.randomness import Stream

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Restrained(nn.Module):
    """A module whose weights obey a rule that every step of an optimizer may break."""

    def restrain(self) -> None:
        """Make the weights obey it again, in place."""

    def side_by_side(
        self, own: Sequence[nn.Module], stacked: Callable[[nn.Module], nn.Module]
    ) -> nn.Module:
        """Return this module, with the values of several copies, as one that obeys for each.

        Parameters
        ----------
        own
            The module of each copy.
        stacked
            Makes a module that calls another one for all copies.
        """
        raise NotImplementedError


Penalty = Callable[[Inputs, Tensor], Tensor]
"""From what came into a part and what it made of it to a number that is added to the loss."""


@dataclass(frozen=True)
class Pass:
    """One batch inside one part, between its forward and its backward.

    ``entry`` is what came in, cut off from where it came from; ``result`` what the part made of
    it, still with the graph that leads back to the entry. ``penalty`` is what the party that holds
    the part adds to the loss by itself.
    """

    entry: Inputs
    result: Tensor
    penalty: Tensor | None = None

    @property
    def sent(self) -> Tensor:
        """What goes on to the next part: values only."""
        return self.result.detach()

    @property
    def gradient(self) -> Tensor | None:
        """The gradient of the loss at the entry, after the backward of this part.

        None where nothing before the entry is trained, so that nobody needs it; zeros where the
        loss does not depend on the entry.
        """
        if isinstance(self.entry, Named):  # data
            return None
        if self.entry.requires_grad and self.entry.grad is None:
            return torch.zeros_like(self.entry)
        return self.entry.grad

    def backward(self, gradient: Tensor | None) -> None:
        """Go back through the part with the gradient of the loss with respect to ``result``.

        Where nothing up to the end of the part is trained, there is nowhere to go back to and no
        gradient comes.
        """
        if self.result.requires_grad:
            assert gradient is not None  # who is behind knows that it is wanted
            if self.penalty is None:
                self.result.backward(gradient)  # type: ignore[no-untyped-call]
            else:
                torch.autograd.backward([self.result, self.penalty], [gradient, None])


class Part:
    """A run of layers that one party holds, with the optimizer of its parameters.

    Parameters
    ----------
    module
        The layers.
    make_optimizer
        Called with the parameters; a part without any has no optimizer.
    wanted
        Whether the part before needs the gradient of what it sends here.
    elsewhere
        The ids of tied weights, which a part before steps: it has the gradients of both.
    penalty
        What is added to the loss of every batch; None for nothing.

    Attributes
    ----------
    pull
        Called before every step to add to the gradients; None for nothing.
    instead
        Weights of others, by their names in ``module``, with which forward computes in place of
        its own: copies of tied weights of the device that is served. Their gradients are theirs.
    """

    def __init__(
        self,
        module: nn.Module,
        make_optimizer: MakeOptimizer,
        wanted: bool = True,
        elsewhere: frozenset[int] = frozenset(),
        penalty: Penalty | None = None,
    ) -> None:
        self.wanted = wanted
        self.penalty = penalty
        self.pull: Callable[[], None] | None = None
        self.instead: Mapping[str, nn.Parameter] = {}
        self.elsewhere = elsewhere
        self.module = module
        self.make_optimizer = make_optimizer
        self.optimizer: torch.optim.Optimizer | None = None
        self.factor = 1.0
        # An operation in place must not write over what came in, whose gradient is wanted.
        self._writes_in_place = any(getattr(m, "inplace", False) for m in module.modules())
        self.reset_optimizer()

    def reset_optimizer(self) -> None:
        """Start with a fresh optimizer, without momentum or moments of earlier steps."""
        own = (p for p in self.module.parameters() if id(p) not in self.elsewhere)
        parameters = [p for p in own if p.requires_grad]
        self.optimizer = self.make_optimizer(parameters) if parameters else None
        groups = [] if self.optimizer is None else self.optimizer.param_groups
        self._rates = [(group, group["lr"]) for group in groups if "lr" in group]
        self.set_rate(self.factor)

    def set_rate(self, factor: float) -> None:
        """Multiply the learning rates that the optimizer was made with, here and after resets."""
        if factor != self.factor or factor != 1.0:
            for group, rate in self._rates:
                group["lr"] = rate * factor
        self.factor = factor

    def forward(self, batch: Inputs, stream: Stream | None = None, first: bool = False) -> Pass:
        """Send a batch through the layers.

        Parameters
        ----------
        batch
            The data, of which there may be several inputs, or what the part before has sent.
        stream
            What the layers draw from; the global generator if None.
        first
            Whether the batch is data, whose gradient nobody needs.
        """
        entry = changed(batch, Tensor.detach)
        inside = entry
        if isinstance(entry, Tensor) and self.wanted and not first:
            entry.requires_grad_()
            inside = entry.clone() if self._writes_in_place else entry
        with stream.active() if stream is not None else nullcontext():
            if self.instead:
                result = functional_call(self.module, dict(self.instead), arguments_of(inside))
            else:
                result = self.module(*arguments_of(inside))
        return Pass(entry, result, None if self.penalty is None else self.penalty(entry, result))

    def step(self) -> None:
        """Update the parameters and forget their gradients."""
        if self.pull is not None:
            self.pull()
        if self.optimizer is not None:
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        if isinstance(self.module, Restrained):
            self.module.restrain()


def trained_before(modules: Sequence[nn.Module]) -> list[frozenset[int]]:
    """Return for each part of a model the ids of the weights that a part before trains as well."""
    seen: frozenset[int] = frozenset()
    found = []
    for module in modules:
        found.append(seen)
        seen |= {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    return found


def tied_between(modules: Sequence[nn.Module], parties: Sequence[Hashable]) -> dict[str, Tensor]:
    """Return the weights that parts of different parties train, by their names in the first part.

    ``parties`` says who holds each part.
    """
    first: dict[int, tuple[str, Hashable]] = {}
    found: dict[str, Tensor] = {}
    for module, party in zip(modules, parties, strict=False):
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                own_name, owner = first.setdefault(id(parameter), (name, party))
                if owner != party:
                    found[own_name] = parameter
    return found


def parties_of(roles: Sequence[Hashable]) -> list[Hashable]:
    """Return who holds each part: all parts on a device are one party's, others one's each."""
    return [role if role == "device" else (role, place) for place, role in enumerate(roles)]


def forward_chain(
    parts: Sequence[Part], batch: Inputs, stream: Stream | None, crossing: Crosses = AS_IT_IS
) -> list[Pass]:
    """Send a batch of data through all parts, and return its pass through each of them.

    ``crossing`` says what arrives of what is sent over a cut.
    """
    passes: list[Pass] = []
    for number, part in enumerate(parts):
        entering = crossing.up(number - 1, passes[-1].sent) if passes else batch
        passes.append(part.forward(entering, stream, first=not passes))
    return passes


def backward_chain(
    passes: Sequence[Pass], loss: Tensor, crossing: Crosses = AS_IT_IS
) -> list[Tensor]:
    """Go back from the loss through all parts.

    Returns
    -------
    The gradients as they arrived over the cuts, in the order of the cuts, without those that nobody
    needs.
    """
    loss.backward()  # type: ignore[no-untyped-call]
    crossed = []
    for cut in range(len(passes) - 2, -1, -1):
        gradient = passes[cut + 1].gradient
        if gradient is not None:
            gradient = crossing.down(cut, gradient)
            crossed.append(gradient)
        passes[cut].backward(gradient)
    return crossed[::-1]
