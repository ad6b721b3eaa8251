"""A small convolutional network for small images, which trains in seconds on one core."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from splitopt.models.parts import ConvReLU, Dense, expect_side, halved

_WIDTHS = (8, 16)
_DENSE = 64


def cnn(shape: Sequence[int], classes: int | None = None) -> nn.Sequential:
    """Build two convolutions, each with a pooling behind it, and two linear layers.

    It has 52,138 parameters on 28 x 28 images in gray and 6,058 on 8 x 8 ones.

    Parameters
    ----------
    shape
        Channels, height and width of the image; at least 4 x 4.
    classes
        The width of the output, 10 by default. The softmax is left to the loss.
    """
    expect_side(shape, len(_WIDTHS), "cnn")
    channels, height, width = shape
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, size in enumerate(_WIDTHS, start=1):
        layers[f"conv{stage}"] = ConvReLU(channels, size, 3)
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
        channels = size
    features = channels * halved(height, len(_WIDTHS)) * halved(width, len(_WIDTHS))
    layers["fc1"] = Dense(features, _DENSE)
    layers["fc2"] = Dense(_DENSE, classes or 10, relu=False)
    return nn.Sequential(layers)
