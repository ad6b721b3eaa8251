"""Elastic weight consolidation where the two parts of a model are on different parties.

At the end of a turn the device sends some samples through both parts once more. The server goes
back with the loss of each sample by itself, so that both parties square the gradients of single
samples with respect to their own weights: each has the diagonal of the Fisher matrix of its own
part, and neither sees the other's. The server keeps what belongs to its part; what belongs to the
device's part is handed to the next device with it.

The sum of quadratic penalties is one: sum_t F_t (w - w_t)^2 has the gradient 2 (S w - T) with
S = sum_t F_t and T = sum_t F_t w_t, so that the penalties of any number of turns are two tensors
for each weight, and one in the online form, where T = S w of the last turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from splitopt.training.data.named import Inputs
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.model_parts.modes import evaluating
from splitopt.training.model_parts.parts import Part, forward_chain
from splitopt.training.privacy.guard import each_loss, entry_gradient
from splitopt.training.privacy.per_sample import per_sample_gradients
from splitopt.training.remembering_options import Remembering

Criterion = Callable[[Tensor, Tensor], Tensor]
_AT_ONCE = 32
"""Samples whose gradients are in memory at a time."""
_PLACES = ("sum", "pull")


class Ewc:
    """The penalties of all turns so far, part by part.

    Parameters
    ----------
    options
        With a lambda.
    modules
        The parts of the common model, the device's first.

    Attributes
    ----------
    turns
        How many turns have left a penalty.
    """

    def __init__(self, options: Remembering, modules: Sequence[nn.Module]) -> None:
        self.options = options
        self.turns = 0
        self._kept = [
            {name: (torch.zeros_like(p.data), torch.zeros_like(p.data)) for name, p in own.items()}
            for own in map(trained, modules)
        ]
        self._one_by_one: set[int] = set()

    def pull(self, place: int, module: nn.Module) -> None:
        """Add the gradient of the penalty to those of a part: lambda (S w - T).

        Parameters
        ----------
        place
            0 for the device's part, 1 for the server's.
        module
            That part of the common model, or a copy of it.
        """
        strength = self.options.ewc or 0.0
        for name, parameter in trained(module).items():
            if parameter.grad is not None:  # an optimizer leaves the others as they are
                weighed, pulled = self._kept[place][name]
                parameter.grad += strength * (weighed * parameter.detach() - pulled)

    def learn(
        self, parts: Sequence[Part], inputs: Inputs, targets: Tensor, criterion: Criterion
    ) -> tuple[int, int, int]:
        """Add the penalty of a turn that is over, at the weights as they are.

        Parameters
        ----------
        parts
            The device's and the server's.
        inputs, targets
            All samples of the device, of which those that are used are spread evenly.
        criterion
            The mean loss of a batch.

        Returns
        -------
        Bytes of the smashed data, of their gradients and of the labels that were sent for it, as
        they are, without a codec.
        """
        count = min(self.options.ewc_samples, len(targets))
        rows = torch.linspace(0, len(targets) - 1, count).round().long().to(targets.device)
        squares = [
            {name: torch.zeros_like(p.data) for name, p in trained(part.module).items()}
            for part in parts
        ]
        sent, back = 0, 0
        for some in torch.split(rows, _AT_ONCE):
            own, more = self._add(parts, (inputs[some], targets[some]), criterion, squares)
            sent, back = sent + own, back + more
        for place, part in enumerate(parts):
            self._settle(place, part.module, {k: v / count for k, v in squares[place].items()})
        self.turns += 1
        return sent, back, tensor_bytes(targets[rows])

    def _add(
        self,
        parts: Sequence[Part],
        batch: tuple[Inputs, Tensor],
        criterion: Criterion,
        squares: list[dict[str, Tensor]],
    ) -> tuple[int, int]:
        """Add the squared gradients of each sample of a batch; return the bytes up and down."""
        device, server = (part.module for part in parts)
        with evaluating(device), evaluating(server):
            passes = forward_chain(parts, batch[0], None)
            losses = each_loss(criterion, passes[-1].result, batch[1])
            gradient: Tensor | None = None
            (gradient,) = torch.autograd.grad(losses.sum(), passes[-1].result)
            back = 0
            for place in range(len(parts) - 1, -1, -1):
                if gradient is None:
                    break
                part, held = parts[place], passes[place]
                found = per_sample_gradients(part, held, gradient, self._one_by_one)
                for name, parameter in trained(part.module).items():
                    squares[place][name] += found[parameter].square().sum(dim=0)
                gradient = entry_gradient(held, gradient) if place else None
                back += 0 if gradient is None else tensor_bytes(gradient)
        return tensor_bytes(passes[0].sent), back

    def _settle(self, place: int, module: nn.Module, fisher: Mapping[str, Tensor]) -> None:
        """Weigh what was there, and add the penalty of this turn."""
        decay, online = self.options.ewc_decay, self.options.ewc_form == "online"
        for name, parameter in trained(module).items():
            weighed, pulled = self._kept[place][name]
            weighed = decay * weighed + fisher[name]
            own = fisher[name] * parameter.detach()
            pulled = weighed * parameter.detach() if online else decay * pulled + own
            self._kept[place][name] = (weighed, pulled)

    def bytes_on(self, place: int) -> int:
        """Bytes that a party keeps for its part, which a device hands on with its part."""
        return self.options.handed_on * sum(tensor_bytes(own) for own, _ in self._values(place))

    def _values(self, place: int) -> list[tuple[Tensor, Tensor]]:
        return list(self._kept[place].values())

    def state_dict(self) -> dict[str, Tensor]:
        """Return the penalties as named tensors."""
        found = {"turns": torch.tensor(self.turns)}
        for place, kept in enumerate(self._kept):
            for name, both in kept.items():
                for what, value in zip(_PLACES, both, strict=True):
                    found[f"{place}.{what}.{name}"] = value
        return found

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` gave."""
        self.turns = int(state["turns"])
        for place, kept in enumerate(self._kept):
            for name, (like, _) in list(kept.items()):
                one, other = (state[f"{place}.{what}.{name}"].to(like) for what in _PLACES)
                kept[name] = (one.clone(), other.clone())


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trained parameters of a part by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
