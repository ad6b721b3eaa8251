"""The 12-layer LeNet of CPSL (Table III)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from splitopt.models.parts import ConvReLU, Dense, expect_side, halved

_WIDTHS = (32, 64, 128)
_DENSE = (382, 192)


def lenet12(shape: Sequence[int], classes: int | None = None) -> nn.Sequential:
    """Build six convolutions, three poolings and three linear layers as a chain of 12 layers.

    Every convolution keeps the size of the image and every pooling halves it, rounding down: on
    28 x 28 images the first linear layer sees 3 x 3 x 128 values and the network has 802,344
    parameters. The paper's 4.3 million do not follow from its table, whatever the padding.

    Parameters
    ----------
    shape
        Channels, height and width of the image; at least 8 x 8.
    classes
        The width of the output, 10 by default. The softmax is left to the loss.
    """
    expect_side(shape, len(_WIDTHS), "lenet12")
    channels, height, width = shape
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, size in enumerate(_WIDTHS, start=1):
        layers[f"conv{2 * stage - 1}"] = ConvReLU(channels, size, 3)
        layers[f"conv{2 * stage}"] = ConvReLU(size, size, 3)
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
        channels = size
    features = channels * halved(height, len(_WIDTHS)) * halved(width, len(_WIDTHS))
    for index, size in enumerate(_DENSE, start=1):
        layers[f"fc{index}"] = Dense(features, size)
        features = size
    layers["fc3"] = Dense(features, classes or 10, relu=False)
    return nn.Sequential(layers)
