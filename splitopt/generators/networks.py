"""The modules of a `NetworkSpec`: a conditional generator and its critic (IoTSL, Section V-D)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from splitopt.generators.spec import NetworkSpec

_SMALL = 1e-8


class Generator(nn.Module):
    """Makes an image of a noise vector and a label.

    Noise and label, as one value for each class, go through a fully connected layer and become a
    small map; transposed convolutions enlarge it. ReLU and pixel norm (each pixel is divided by
    the root of the mean square of its channels) stand behind each layer, and a sigmoid behind the
    last one.

    Parameters
    ----------
    spec
        The network.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        channels, rows, columns = spec.start
        self.spec = spec
        self.first = nn.Linear(spec.noise + spec.classes, channels * rows * columns)
        self.ups = nn.ModuleList()
        for up in spec.ups:
            self.ups.append(
                nn.ConvTranspose2d(channels, up.channels, up.kernel, up.stride, up.padding)
            )
            channels = up.channels

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images of shape (n, channels, rows, columns), from 0 to 1.

        Parameters
        ----------
        noise
            Shape (n, noise).
        labels
            Shape (n,), whole numbers below the number of classes.
        """
        label = functional.one_hot(labels, self.spec.classes).to(noise.dtype)
        value = self.first(torch.cat([noise, label], dim=1))
        value = _normed(functional.relu(value.unflatten(1, self.spec.start)))
        last = len(self.ups) - 1
        for index, (layer, up) in enumerate(zip(self.ups, self.spec.ups, strict=True)):
            value = layer(value)
            if up.crop is not None:
                value = value[:, :, : up.crop[0], : up.crop[1]]
            value = torch.sigmoid(value) if index == last else _normed(functional.relu(value))
        return value


class Critic(nn.Module):
    """Scores an image and the label that it is said to have.

    The paper does not say how the label comes in. Here it is one more channel for each class, of
    ones for the label and zeros for the others. Convolutions with ReLU, then a fully connected
    layer with one output; each weight is divided by its largest singular value, as a matrix with a
    row for each output channel.

    Parameters
    ----------
    spec
        The network.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.downs = nn.ModuleList()
        channels = spec.shape[0] + spec.classes
        for down in spec.downs:
            layer = nn.Conv2d(channels, down.channels, down.kernel, down.stride, down.padding)
            self.downs.append(spectral_norm(layer))
            channels = down.channels
        self.last = spectral_norm(nn.Linear(spec.flat, 1))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return scores, shape (n,), of images (n, channels, rows, columns) with labels (n,)."""
        planes = functional.one_hot(labels, self.spec.classes).to(images.dtype)
        planes = planes[:, :, None, None].expand(-1, -1, *images.shape[2:])
        value = torch.cat([images, planes], dim=1)
        for layer in self.downs:
            value = functional.relu(layer(value))
        scores: Tensor = self.last(value.flatten(1))
        return scores.squeeze(1)


def noise_of(spec: NetworkSpec, count: int, draws: torch.Generator) -> Tensor:
    """Draw Bernoulli noise, shape (count, noise): zeros and ones, either with probability 1/2."""
    return torch.randint(2, (count, spec.noise), generator=draws).to(torch.get_default_dtype())


def build(spec: NetworkSpec, seed: int, critics: int) -> tuple[Generator, list[Critic]]:
    """Build a generator and so many critics, whose weights a seed draws."""
    with _seeded(seed):
        return Generator(spec), [Critic(spec) for _ in range(critics)]


def _normed(value: Tensor) -> Tensor:
    """Divide each pixel by the root of the mean square of its channels (Karras et al. 2018)."""
    return value * torch.rsqrt(value.square().mean(dim=1, keepdim=True) + _SMALL)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Make layers draw their weights by a seed, and leave the global state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        yield
