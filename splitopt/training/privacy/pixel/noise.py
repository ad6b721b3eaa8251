"""The noise layer: a part of a model that adds noise in its middle, and its like of a whole."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from splitopt.training.model_parts.parts import Restrained
from splitopt.training.pixel_dp_options import Mechanism, PixelDP
from splitopt.training.privacy.pixel.mechanisms import noise_scale
from splitopt.training.privacy.pixel.sensitivity import Sensitivity


class PixelEntropy:
    """Secret random numbers for noise layers, from 256 bits of the operating system.

    Copies of a model draw from the same: it is not copied, it is in no state, and it cannot be
    sent.

    Parameters
    ----------
    test_seed
        Draw from this seed instead, in tests and for certificates; whoever knows it can repeat
        what is drawn.
    number
        Of who draws, which sets apart what several draw from one test seed.
    """

    def __init__(self, test_seed: int | None = None, number: int | None = None) -> None:
        words: int | list[int] = secrets.randbits(256) if test_seed is None else test_seed
        if test_seed is not None and number is not None:
            words = [test_seed, number]
        self._draws = np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))

    def noise(self, like: Tensor, mechanism: Mechanism, scale: float) -> Tensor:
        """Return noise in the shape and place of a tensor."""
        draw = self._draws.normal if mechanism == "gaussian" else self._draws.laplace
        drawn = torch.from_numpy(draw(0.0, scale, tuple(like.shape)))
        return drawn.to(device=like.device, dtype=like.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> PixelEntropy:
        """Return itself: what is drawn once is never drawn again."""
        return self

    def __repr__(self) -> str:
        """Return a text that holds nothing of the state."""
        return "PixelEntropy(secret)"

    def __reduce__(self) -> NoReturn:
        """Raise `TypeError`: it is not sent or kept."""
        raise TypeError("the secret random numbers of a noise layer are neither sent nor kept")


class NoisyPart(Restrained):
    """A module with noise in its middle, whose scale follows a proved sensitivity.

    Parameters
    ----------
    before, behind
        What runs before the noise, and what runs on what has noise; None for nothing.
    settings
        The mechanism.
    entropy
        Where noise comes from.
    example
        Two samples, whose values do not matter.

    Raises
    ------
    InputError
        `before` has a layer of unknown norm.
    """

    def __init__(
        self,
        before: nn.Module,
        behind: nn.Module | None,
        settings: PixelDP,
        entropy: PixelEntropy,
        example: Tensor,
    ) -> None:
        super().__init__()
        self.before, self.behind = before, nn.Identity() if behind is None else behind
        self.settings = settings
        self.is_on = True
        self.entropy, self._example = entropy, torch.zeros_like(example)
        self._per_unit = noise_scale(settings)
        self._sensitivity: Sensitivity | None = None
        self._known: tuple[bytes, float] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Add noise drawn anew; the backward pass of a forward pass has the noise of that one."""
        value = self.before(x)
        if self.is_on:
            value = _WithNoise.apply(value, self)  # type: ignore[no-untyped-call]
        found: Tensor = self.behind(value)
        return found

    def noise(self, like: Tensor) -> Tensor:
        """Draw noise of the scale that the weights ask for."""
        return self.entropy.noise(like, self.settings.mechanism, self.scale())

    def scale(self) -> float:
        """Return the standard deviation (Gaussian) or scale b (Laplace) for these weights."""
        return self._per_unit * self.sensitivity()

    def sensitivity(self) -> float:
        """Return the proved sensitivity that the noise is made for, computed as weights change."""
        mark = self._mark()
        if self._known is None or self._known[0] != mark:
            normalised = self.settings.keep == "normalise"
            self._known = mark, self.bounds().value(normalised=normalised)
        return self._known[1]

    def bounds(self) -> Sensitivity:
        """Return what is known of the layers before the noise."""
        if self._sensitivity is None:  # of a new module, or of a copy
            example = self._example.to(next(self.before.parameters(), self._example).device)
            self._sensitivity = Sensitivity(self.before, example, self.settings.norm)
        return self._sensitivity

    def restrain(self) -> None:
        """Bring the norms of the weights before the noise to 1, where they are to be kept."""
        if self.settings.keep == "normalise":
            self.bounds().normalise()

    def _mark(self) -> bytes:
        """Return a digest of the weights that the sensitivity depends on."""
        found = hashlib.blake2b()
        for value in self.before.parameters():
            found.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return found.digest()

    def side_by_side(
        self, own: Sequence[nn.Module], stacked: Callable[[nn.Module], nn.Module]
    ) -> NoisyStack:
        """Return this part for several copies in one call of every layer, each with its noise."""
        return NoisyStack(self, own, stacked)


class NoisyStack(Restrained):
    """Copies of a part side by side, whose noise is drawn and scaled for each by itself.

    Parameters
    ----------
    part
        Whose tensors hold the values of all copies: shape (copies, ...).
    own
        The part of each copy. What they hold is overwritten with the values of the stack.
    stacked
        Makes a module that calls another one for all copies.
    """

    def __init__(
        self,
        part: NoisyPart,
        own: Sequence[nn.Module],
        stacked: Callable[[nn.Module], nn.Module],
    ) -> None:
        super().__init__()
        self.before, self.behind = stacked(part.before), stacked(part.behind)
        self._together = part.before
        self._own = [module for module in own if isinstance(module, NoisyPart)]

    def forward(self, x: Tensor) -> Tensor:
        """Add to every copy's values noise of the scale that its own weights ask for."""
        value = self.before(x)
        self._spread()
        each = zip(self._own, value.detach().unbind(), strict=True)
        noise = torch.stack([own.noise(like) for own, like in each])
        found: Tensor = self.behind(value + noise)
        return found

    def restrain(self) -> None:
        """Bring the norms of every copy's weights to 1, where they are to be kept."""
        self._spread()
        for own in self._own:
            own.restrain()
        with torch.no_grad():
            for tensor, *each in self._rows():
                tensor.copy_(torch.stack(each))

    def _spread(self) -> None:
        """Copy the values of the stack into every copy, for which its sensitivity is."""
        with torch.no_grad():
            for tensor, *each in self._rows():
                for own, value in zip(each, tensor.unbind(), strict=True):
                    own.copy_(value)

    def _rows(self) -> Iterator[tuple[Tensor, ...]]:
        """Return a tensor of the stack with those of all copies, before the noise."""
        each = [own.before.parameters() for own in self._own]
        return zip(self._together.parameters(), *each, strict=True)


class _WithNoise(torch.autograd.Function):
    """Noise as a step of its own.

    ``torch.func`` refuses functions of this form with a RuntimeError. It would call the part a
    second time for the gradients of single samples, with other noise than that of the forward pass.
    """

    @staticmethod
    def forward(_: Any, value: Tensor, layer: NoisyPart) -> Tensor:
        return value + layer.noise(value)

    @staticmethod
    def backward(_: Any, *gradients: Any) -> Any:
        return gradients[0], None
