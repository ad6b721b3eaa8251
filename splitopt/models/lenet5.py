"""LeNet-5 (LeCun et al. 1998) as SplitFed trains it: ReLU, max pooling, whole convolutions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from splitopt.errors import InputError
from splitopt.models.parts import ConvReLU, Dense

_WIDTHS = (6, 16)
_DENSE = (120, 84)
_LEAST = 12
_PADDED = 28
"""Images of at most this height get a border of 2, as MNIST's of 28 pixels were centred in 32."""


def lenet5(shape: Sequence[int], classes: int | None = None) -> nn.Sequential:
    """Build two convolutions of 5 x 5, two poolings of 2 x 2 and three linear layers.

    On 1 x 28 x 28 and 1 x 32 x 32 images it has 61,706 parameters, on 3 x 32 x 32 ones 62,006. The
    original has 60,000: 900 weights fewer in its second convolution, 44 in its poolings, and an
    output layer of 850 that is fixed.

    Parameters
    ----------
    shape
        Channels, height and width of the image; at least 12 x 12.
    classes
        The width of the output, 10 by default. The softmax is left to the loss.
    """
    channels, height, width = shape
    if min(height, width) < _LEAST:
        raise InputError.at(
            "input shape",
            f"{','.join(map(str, shape))} is too small for lenet5: its height and width must be "
            f"at least {_LEAST}",
        )
    border = 2 if min(height, width) <= _PADDED else 0
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, size in enumerate(_WIDTHS, start=1):
        layers[f"conv{stage}"] = ConvReLU(channels, size, 5, padding=border)
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
        height, width = ((side + 2 * border - 4) // 2 for side in (height, width))
        channels, border = size, 0
    features = channels * height * width
    for index, size in enumerate(_DENSE, start=1):
        layers[f"fc{index}"] = Dense(features, size)
        features = size
    layers["fc3"] = Dense(features, classes or 10, relu=False)
    return nn.Sequential(layers)
