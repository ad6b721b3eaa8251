"""Where the noise layer of PixelDP goes: from the name of a layer to parts with noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.model_parts.copies import Copy, Cut, Split
from splitopt.training.model_parts.modes import evaluating
from splitopt.training.model_parts.noise_layer import NoiseLayer
from splitopt.training.options import Options
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.privacy.pixel.noise import NoisyPart, PixelEntropy
from splitopt.training.schemes import Client, Scheme
from splitopt.training.schemes.naming import is_own

BATCH = 512
"""Test samples that are sent through a noise layer at once."""


@dataclass
class FarPart:
    """What another party says of the part with the noise layer, where it alone has that part.

    Parameters
    ----------
    layers
        The layers before the noise with their norms, as histories have them.
    strength
        Gives sensitivity and scale of the noise by the weights as they are.
    smashed
        Gives what the part makes of the test data under noise, see `Placed.smashed`.

    All are None where the part is here.
    """

    layers: list[dict[str, Any]] | None = None
    strength: Callable[[], dict[str, float]] | None = None
    smashed: Callable[[], Iterator[Tensor]] | None = None


@dataclass(frozen=True, eq=False)
class Placed(NoiseLayer):
    """A noise layer behind a cut of a model.

    Parameters
    ----------
    settings
        The mechanism.
    number
        Of the cut, from 1.
    split
        Cuts a model without noise.
    example
        Two samples.
    entropy
        Where all copies of the layer draw from.
    testing
        Where tests between rounds draw from.
    far
        What is known of the part where another party has it.
    """

    settings: PixelDP
    number: int
    split: Split
    example: Tensor
    entropy: PixelEntropy
    testing: PixelEntropy = field(default_factory=PixelEntropy)
    far: FarPart = field(default_factory=FarPart)

    def set_apart(self, own: Copy, n: int) -> None:
        """Make the copy of client n draw from its own part of a test seed, where there is one."""
        part, seed = own.parts[0].module, self.settings.insecure_test_seed
        if seed is not None and isinstance(part, NoisyPart):
            part.entropy = PixelEntropy(seed, n + 1)

    def tested(self, model: nn.Module) -> NoisyPart:
        """Return the whole model with noise that takes nothing from what clients draw."""
        found = self.whole(model)
        found.entropy = self.testing
        return found

    def without(self, split: Split | Cut) -> Split | Cut:  # noqa: ARG002
        """Return how the model is cut without the layer."""
        return self.split

    def smashed(self, model: nn.Module, cuts: tuple[int, ...], inputs: Tensor) -> Iterator[Tensor]:
        """Yield what the first part of a model makes of inputs, in evaluation mode, under noise.

        For every `BATCH` of them as many draws as tests average over, one after the other.
        """
        (part, *_) = self._cut(model, cuts)
        assert isinstance(part, NoisyPart)  # noise is in the first part
        part.entropy = self.testing
        place = next((tensor.device for tensor in part.parameters()), torch.device("cpu"))
        for first in range(0, len(inputs), BATCH):
            some = inputs[first : first + BATCH].to(place)
            for _ in range(self.settings.draws):
                with evaluating(part), torch.no_grad():
                    found: Tensor = part(some)
                yield found

    def into(self) -> Split:
        """Return the split whose first parts have noise in them or at their end; or the whole."""
        return replace(self.split, cut=self._cut, whole=self.whole)

    def _cut(self, model: nn.Module, cuts: tuple[int, ...]) -> list[nn.Module]:
        if cuts[0] == self.number:
            before, *others = self.split(model, cuts)
            return [self._part(before, None), *others]
        before, behind, *others = self.split(model, (self.number, *cuts))
        return [self._part(before, behind), *others]

    def whole(self, model: nn.Module) -> NoisyPart:
        """Return the whole model with noise in it; its tensors are those of the model."""
        before, behind = self.split(model, (self.number,))
        return self._part(before, behind)

    def _part(self, before: nn.Module, behind: nn.Module | None) -> NoisyPart:
        return NoisyPart(before, behind, self.settings, self.entropy, self.example)


def placed(split: SplitModel, into: Split, settings: PixelDP, example: Any) -> Placed:
    """Return the noise layer behind a layer of a model.

    Parameters
    ----------
    split
        The model and its cuts.
    into
        How copies of it are cut.
    settings
        Which layer, and the mechanism.
    example
        Samples of the data.

    Raises
    ------
    InputError
        The model has no such cut, it takes no single tensor of floating-point numbers, or the norm
        of a layer before the noise is not known.
    """
    if settings.after not in split.cuts:
        why = split.refused.get(settings.after)
        raise InputError.at(
            "after",
            f"is {settings.after!r}, which is no cut of the model{'' if why is None else ': '}"
            f"{why or ''}; noise can stand behind {', '.join(split.cuts[:12])}",
        )
    if settings.after in split.layouts:
        raise InputError.at(
            "after",
            f"is {settings.after!r}, where several tensors cross, and noise is for one; place it "
            "elsewhere",
        )
    if not isinstance(example, Tensor) or not example.is_floating_point():
        raise InputError.at(
            "pixel_dp",
            "hides changes of one input of floating-point numbers, and these data have whole "
            "numbers, such as tokens, or several inputs; train without",
        )
    number = split.cuts.index(settings.after) + 1
    two = example[:1].repeat(2, *[1] * (example.dim() - 1))
    seed = settings.insecure_test_seed
    found = Placed(settings, number, into, two, PixelEntropy(seed), PixelEntropy(seed, 0))
    found.whole(split.module).bounds()  # refuses layers of unknown norm
    return found


def with_noise(
    clients: Sequence[Client],
    kind: type[Scheme],
    split: SplitModel,
    into: Split,
    options: Options,
    model: nn.Module,
) -> Placed | None:
    """Return the noise layer that the options ask for, None without one; check that it fits.

    The norms of the model's weights are brought to 1 in place where they are to be kept so.

    Raises
    ------
    InputError
        As `placed`; a scheme of others; or devices that do not hold the layer.
    """
    settings = options.pixel_dp
    if settings is None:
        return None
    if not is_own(kind):
        raise InputError.at(
            "pixel_dp",
            f"is for splitopt's own schemes, and {kind.name} may cut where no noise is known of; "
            "choose another scheme",
        )
    found = placed(split, into, settings, clients[0].batches.inputs)
    for client in clients:
        if client.cuts and client.cuts[0] < found.number:
            raise InputError.at(
                "after",
                f"is {settings.after!r}, but {client.name} is cut before it, behind "
                f"{split.cuts[client.cuts[0] - 1]!r}; noise must stand in the part of every device",
            )
    found.whole(model).restrain()
    return found


def set_apart(scheme: Scheme) -> None:
    """Make every client's part draw noise by itself, where a test seed repeats what it draws.

    Then several processes draw what one does. Without such a seed it makes no difference who of one
    process draws which secret numbers.
    """
    if scheme.noise is not None and scheme.options.pixel_dp is not None:
        if scheme.options.pixel_dp.insecure_test_seed is None:
            return
        for n, own in enumerate(scheme.copies()[-len(scheme.clients) :]):
            scheme.noise.set_apart(own, n)


def described(scheme: Scheme) -> dict[str, Any]:
    """Return what a history says of the noise layer, as plain data; nothing where there is none."""
    if not isinstance(scheme.noise, Placed):
        return {}
    layers = scheme.noise.far.layers
    layers = layers_of(scheme.noise, scheme.model) if layers is None else layers
    return {"pixel_dp": {**scheme.noise.settings.identity(), "layers": layers}}


def layers_of(noise: Placed, model: nn.Module) -> list[dict[str, Any]]:
    """Return the layers before the noise with their norms, as plain data."""
    bounds = noise.whole(model).bounds()
    return [
        {"layer": own.name.removeprefix("part_"), "kind": own.kind, "norm": own.bound.value}
        for own in bounds.bounds(normalised=noise.settings.keep == "normalise")
    ]


def averaged(layer: NoisyPart, inputs: Tensor, draws: int, batch: int = BATCH) -> Tensor:
    """Compute expected scores: softmax over the classes, averaged over noise draws.

    Parameters
    ----------
    layer
        A whole model with noise, in evaluation mode.
    inputs
        Shape (n, ...).
    draws
        How many.

    Returns
    -------
    Tensor
        Shape (n, classes).
    """
    rows = []
    with torch.no_grad():
        for first in range(0, len(inputs), batch):
            some = inputs[first : first + batch]
            scores = [layer(some).softmax(dim=1) for _ in range(draws)]
            rows.append(torch.stack(scores).mean(dim=0))
    return torch.cat(rows)


def averaged_behind(
    behind: nn.Module, smashed: Iterator[Tensor], samples: int, draws: int
) -> Tensor:
    """Compute the expected scores of `averaged` from what `Placed.smashed` gives.

    Parameters
    ----------
    behind
        The rest of the model, in evaluation mode.
    samples, draws
        How many of each there are.
    """
    rows = []
    with torch.no_grad():
        for _ in range(-(-samples // BATCH)):
            scores = [behind(next(smashed)).softmax(dim=1) for _ in range(draws)]
            rows.append(torch.stack(scores).mean(dim=0))
    return torch.cat(rows)
