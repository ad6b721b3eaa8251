"""What stands between a device's samples and its parameters: clip, sum, add noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.training.codecs.crossing import AS_IT_IS, Crosses
from splitopt.training.model_parts.parts import Part, Pass
from splitopt.training.options import Role
from splitopt.training.privacy.accounting import epsilon_of, noise_for
from splitopt.training.privacy.batches import Exposures, PrivateBatches
from splitopt.training.privacy.entropy import Entropy
from splitopt.training.privacy.per_sample import Gradients, per_sample_gradients
from splitopt.training.privacy_options import Privacy

Criterion = Callable[[Tensor, Tensor], Tensor]

DEVICE = 0
"""The holder of the parts that a device has, and adds noise to."""


class Guard:
    """The mechanism of one device (SplitFed Eq. 2-3), and what it has spent.

    Parameters
    ----------
    privacy
        How it is done.
    batches
        Where the device's batches come from.
    entropy
        The random numbers of the device.

    Attributes
    ----------
    noise_multiplier
        sigma; None until `plan` has found that of ``target_epsilon``.
    planned
        For how many batches in all it was found; None where there is no target.
    """

    def __init__(self, privacy: Privacy, batches: Exposures, entropy: Entropy) -> None:
        self.privacy, self.batches = privacy, batches
        self._entropies = {DEVICE: entropy}
        self.noise_multiplier = privacy.noise_multiplier
        self.planned: int | None = None
        self._one_by_one: set[int] = set()

    def plan(self, batches: int) -> None:
        """Find the noise with which so many batches in all stay within ``target_epsilon``."""
        privacy = self.privacy
        if privacy.target_epsilon is None:
            return
        most = self.batches.exposures_in(batches)
        needed = noise_for(
            privacy.target_epsilon, self.batches.rate, most, privacy.delta, privacy.accountant
        )
        self.noise_multiplier = needed / self._strength(self.batches.smallest)
        self.planned = batches
        if isinstance(self.batches, PrivateBatches):
            self.batches.most = most

    def epsilon(self) -> float:
        """Return the epsilon of everything that was drawn so far, infinite without noise."""
        privacy = self.privacy
        return epsilon_of(
            self._sigma() * self._strength(self.batches.smallest),
            self.batches.rate,
            self.batches.exposures,
            privacy.delta,
            privacy.accountant,
        )

    def covered(self, roles: Sequence[Role]) -> tuple[bool, ...]:
        """Return which parts of a chain are covered."""
        return tuple(holder is not None for holder in self.holders(roles))

    def holders(self, roles: Sequence[Role]) -> tuple[int | None, ...]:
        """Return who adds the noise of each part of a chain, None for one that is not covered.

        All parts of the device are its own (`DEVICE`); each other part is called by its place.
        """
        return tuple(
            DEVICE if role == "device" else place if self.privacy.covers == "model" else None
            for place, role in enumerate(roles)
        )

    def deviation(self, samples: int) -> float:
        """Return the standard deviation of the noise of a sum over a batch of some samples."""
        counted = self.batches.counted(samples)
        return self._sigma() * self.privacy.clip_norm * self._strength(counted)

    def _sigma(self) -> float:
        if self.noise_multiplier is None:
            raise InputError.at("target_epsilon", "has no noise yet; plan the number of batches")
        return self.noise_multiplier

    def _strength(self, samples: int) -> float:
        """Return how many times sigma C the noise of a sum is: n noises are sqrt(n) times one."""
        return math.sqrt(samples) if self.privacy.noise == "per_sample" else 1.0

    def backward(
        self,
        parts: Sequence[Part],
        roles: Sequence[Role],
        passes: Sequence[Pass],
        loss: Tensor,
        crossing: Crosses = AS_IT_IS,
    ) -> list[Tensor]:
        """Go back from the mean loss of a batch, and leave noisy gradients in the covered parts.

        The gradients of other parts are left as they are without privacy.

        Returns
        -------
        The gradients as they arrived over the cuts, in the order of the cuts.
        """
        samples, holders = len(passes[-1].result), self.holders(roles)
        own: list[Gradients] = [{} for _ in parts]
        crossed: list[Tensor] = []
        gradient: Tensor | None = torch.autograd.grad(loss, passes[-1].result)[0]
        for place in range(len(parts) - 1, -1, -1):
            held = passes[place]
            if gradient is not None and holders[place] is not None:
                own[place] = self.gradients(parts[place], held, gradient * samples)
                back = entry_gradient(held, gradient)
            else:
                held.backward(gradient)
                back = held.gradient
            gradient = None
            if place and back is not None:
                gradient = crossing.down(place - 1, back)
                crossed.append(gradient)
        self.release_chain(parts, roles, own, samples)
        return crossed[::-1]

    def release_chain(
        self,
        parts: Sequence[Part],
        roles: Sequence[Role],
        own: Sequence[Gradients],
        samples: int,
    ) -> None:
        """Leave noisy gradients in all covered parts of a chain, clipped by one norm over them.

        Parameters
        ----------
        own
            For each part the gradients of each sample's own loss; empty for a batch of none.
        """
        holders = self.holders(roles)
        norms = [norms_of(one) for one in own if one]
        factors = clip_factors(norms, self.privacy.clip_norm) if norms else None
        for holder in dict.fromkeys(holders):
            if holder is None:
                continue
            places = [place for place, one in enumerate(holders) if one == holder]
            theirs = {p: value for place in places for p, value in own[place].items()}
            some = [parts[place] for place in places]
            self.release(some, theirs, samples, factors=factors, holder=holder)

    def gradients(self, part: Part, held: Pass, gradient: Tensor) -> Gradients:
        """Return what each sample's own loss has as gradients in a part."""
        return per_sample_gradients(part, held, gradient, self._one_by_one)

    def release(
        self,
        parts: Sequence[Part],
        own: Gradients,
        samples: int,
        divisor: int | None = None,
        *,
        factors: Tensor | None = None,
        holder: int = DEVICE,
        deviation: float | None = None,
    ) -> None:
        """Clip, sum, add noise, divide, and leave the result as the gradients of the parts.

        Parameters
        ----------
        parts
            Covered parts of one holder.
        own
            The gradients of each sample's own loss; empty for a batch of none.
        samples
            How many there are.
        divisor
            Of the sum; by default what the batch counts for.
        factors
            By what the gradients of each sample are multiplied, shape (samples,); by default such
            that their norm in these parts is in the limit.
        holder
            Whose random numbers the noise is of, see `holders`.
        deviation
            The standard deviation of the noise of the sum; by default that of `deviation`.
        """
        if own and factors is None:
            factors = clip_factors([norms_of(own)], self.privacy.clip_norm)
        deviation = self.deviation(samples) if deviation is None else deviation
        entropy = self._entropy_of(holder)
        divisor = self.batches.counted(samples) if divisor is None else divisor
        for parameter in _trained(parts):
            total = torch.zeros_like(parameter)
            if factors is not None and parameter in own:
                total = torch.tensordot(factors, own[parameter], dims=1)
            if deviation:
                total = total + entropy.normal(total, deviation)
            parameter.grad = total / divisor

    def _entropy_of(self, holder: int) -> Entropy:
        """Return the random numbers of a holder; in a process that is another one, its own."""
        if holder not in self._entropies:
            self._entropies[holder] = self._entropies[DEVICE].apart(holder)
        return self._entropies[holder]


def norms_of(own: Gradients) -> Tensor:
    """Return the norm of each sample's gradients over some parameters, shape (samples,)."""
    # without a copy of what is as large as the batch times the part
    each = [torch.linalg.vector_norm(value.detach().flatten(1), dim=1) for value in own.values()]
    found: Tensor = torch.linalg.vector_norm(torch.stack(each), dim=0)
    return found


def clip_factors(norms: Sequence[Tensor], limit: float) -> Tensor:
    """Return by what each sample's gradients are multiplied so that their norm is in the limit.

    Parameters
    ----------
    norms
        Of each sample's gradients in one part or several, each of shape (samples,).
    limit
        On the norm over all of them together.
    """
    whole = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack([*norms]), dim=0)
    return limit / whole.clamp(min=limit)


def own_losses(criterion: Criterion) -> Criterion:
    """Return a loss that is the mean of the losses that samples have by themselves.

    So the gradient of the mean is, row by row, 1/n of the gradient of a sample's own loss, also
    where a batch's mean counts something else, such as the tokens that are known.
    """
    return lambda outputs, targets: each_loss(criterion, outputs, targets).mean()


def each_loss(criterion: Criterion, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss that each sample has by itself, shape (n,)."""
    rows = range(len(outputs))
    each = [criterion(outputs[row : row + 1], targets[row : row + 1]) for row in rows]
    return torch.stack([loss.reshape(()) for loss in each])


def _trained(parts: Sequence[Part]) -> list[nn.Parameter]:
    """Return the trained parameters of some parts, each once."""
    found = {p: None for part in parts for p in part.module.parameters() if p.requires_grad}
    return list(found)


def entry_gradient(held: Pass, gradient: Tensor) -> Tensor | None:
    """Return the gradient at what came into a part, and leave its parameters' alone."""
    entry = held.entry
    if not (isinstance(entry, Tensor) and entry.requires_grad):
        return None
    (found,) = torch.autograd.grad(held.result, entry, gradient, allow_unused=True)
    return torch.zeros_like(entry) if found is None else found
