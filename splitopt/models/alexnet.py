"""AlexNet in the layout of torchvision (Krizhevsky 2014), and in the form for CIFAR."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.models.parts import initialise
from splitopt.models.registry import SMALL_IMAGE

_WIDTHS = (64, 192, 384, 256, 256)
_LEAST = 16


class AlexNet(nn.Module):
    """Convolutions in ``features``, pooling to a fixed size, linear layers in ``classifier``."""

    def __init__(self, features: nn.Sequential, pool: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.avgpool = pool
        self.classifier = classifier
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, classes)."""
        out: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return out


def alexnet(shape: Sequence[int], classes: int | None = None) -> AlexNet:
    """Build five convolutions with their poolings, and the linear layers behind them.

    Parameters
    ----------
    shape
        Channels, height and width of the image, at least 16 x 16. Larger ones than 64 pixels in
        height get torchvision's network with three linear layers: 61,100,840 parameters for 1000
        classes. Smaller ones get the form for CIFAR: a border of 5 around the image, poolings of
        2 x 2, the last of which takes all that is left, and one linear layer: 2,472,266 parameters
        for 10 classes of 3 x 32 x 32 images.
    classes
        The width of the output; 10 or 1000 by default, by the size of the image.
    """
    channels, height, width = shape
    if min(height, width) < _LEAST:
        raise InputError.at(
            "input shape",
            f"{','.join(map(str, shape))} is too small for alexnet: its height and width must be "
            f"at least {_LEAST}",
        )
    small = height <= SMALL_IMAGE
    pool = 2 if small else 3
    one, two, three, four, five = _WIDTHS
    layers: list[nn.Module] = [
        *_convolution(channels, one, 11, stride=4, padding=5 if small else 2),
        nn.MaxPool2d(pool, 2),
        *_convolution(one, two, 5, padding=2),
        nn.MaxPool2d(pool, 2),
        *_convolution(two, three, 3, padding=1),
        *_convolution(three, four, 3, padding=1),
        *_convolution(four, five, 3, padding=1),
    ]
    if small:
        head = nn.Linear(five, classes or 10)
        return AlexNet(nn.Sequential(*layers), nn.AdaptiveMaxPool2d(1), head)
    layers.append(nn.MaxPool2d(pool, 2))
    return AlexNet(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(6), _head(five * 36, classes))


def _convolution(
    channels: int, width: int, kernel: int, *, padding: int, stride: int = 1
) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, width, kernel, stride, padding), nn.ReLU(inplace=True)


def _head(features: int, classes: int | None) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(),
        nn.Linear(features, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Linear(4096, classes or 1000),
    )
