"""VGG in the layout of torchvision (Simonyan and Zisserman, ICLR 2015), for both image sizes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from splitopt.models.parts import expect_side, halved, initialise
from splitopt.models.registry import SMALL_IMAGE

_WIDTHS = (64, 128, 256, 512, 512)
_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Convolutions in ``features``, pooling to a fixed size, linear layers in ``classifier``."""

    def __init__(self, features: nn.Sequential, pooled: int, width: int, classes: int) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(pooled)
        self.classifier = nn.Sequential(
            nn.Linear(_WIDTHS[-1] * pooled**2, width),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(width, classes),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, classes)."""
        out: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return out


def vgg(shape: Sequence[int], classes: int | None, depth: int) -> VGG:
    """Build a VGG without batch normalisation.

    Parameters
    ----------
    shape
        Channels, height and width of the image, at least 32 x 32. Up to 64 pixels in height the
        two hidden linear layers have 512 units on what the poolings leave, otherwise 4096 units
        on 7 x 7 values per channel.
    classes
        The width of the output; 10 or 1000 by default, by the size of the image.
    depth
        The number in the network's name: 11, 16 or 19.
    """
    expect_side(shape, len(_WIDTHS), f"vgg{depth}")
    small = shape[1] <= SMALL_IMAGE
    layers: list[nn.Module] = []
    channels = shape[0]
    for width, count in zip(_WIDTHS, _CONVOLUTIONS[depth], strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    features = nn.Sequential(*layers)
    if small:
        return VGG(features, halved(min(shape[1:]), len(_WIDTHS)), 512, classes or 10)
    return VGG(features, 7, 4096, classes or 1000)
