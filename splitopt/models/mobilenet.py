"""MobileNetV2 in the layout of torchvision (Sandler et al., CVPR 2018), for both image sizes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from splitopt.models.parts import initialise
from splitopt.models.registry import SMALL_IMAGE

# expansion, channels, blocks, stride of the first block (Table 2 of the paper)
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAST = 1280


class ConvNormReLU(nn.Sequential):
    """A convolution, batch normalisation and ReLU6."""

    def __init__(
        self, channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        conv = nn.Conv2d(
            channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        super().__init__(conv, nn.BatchNorm2d(width), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Widen, convolve each channel by itself, narrow; with a shortcut where the shape stays."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [ConvNormReLU(channels, inner, 1)]
        layers += [
            ConvNormReLU(inner, inner, 3, stride, groups=inner),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        ]
        self.conv = nn.Sequential(*layers)
        self.keeps_shape = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, width, H / stride, W / stride)."""
        y: Tensor = self.conv(x)
        return x + y if self.keeps_shape else y


class MobileNetV2(nn.Module):
    """A stem, 17 inverted residuals, a 1x1 convolution, average pooling and a linear layer."""

    def __init__(self, channels: int, classes: int, *, small: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormReLU(channels, 32, 3, 1 if small else 2)]
        width = 32
        for expansion, size, count, stride in _STAGES:
            # 32 x 32 images are halved three times instead of five: the stem and the second
            # stage keep the size
            first = 1 if small and size == _STAGES[1][1] else stride
            for index in range(count):
                layers.append(InvertedResidual(width, size, first if index == 0 else 1, expansion))
                width = size
        layers.append(ConvNormReLU(width, _LAST, 1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(_LAST, classes))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, classes)."""
        out: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return out


def mobilenet_v2(shape: Sequence[int], classes: int | None = None) -> MobileNetV2:
    """Build MobileNetV2 of width 1.

    Parameters
    ----------
    shape
        Channels, height and width of the image; up to 64 pixels in height the stem and the second
        stage keep the size.
    classes
        The width of the output; 10 or 1000 by default, by the size of the image.
    """
    small = shape[1] <= SMALL_IMAGE
    return MobileNetV2(shape[0], classes or (10 if small else 1000), small=small)
