"""Residual networks in the layout of torchvision (He et al., CVPR 2016), for both image sizes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from splitopt.models.parts import initialise
from splitopt.models.registry import SMALL_IMAGE

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_BOTTLENECK_FROM = 50
_WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, width, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.downsample is not None:
            x = self.downsample(x)
        out: Tensor = self.relu(y + x)
        return out


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones beside a shortcut; the stride is on the 3x3."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = self.expansion * width
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, 4 width, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.downsample is not None:
            x = self.downsample(x)
        out: Tensor = self.relu(y + x)
        return out


class ResNet(nn.Module):
    """A stem, four stages of residual blocks, average pooling and a linear layer.

    The stem is that of ImageNet (7x7 convolution of stride 2 and max pooling) or, with `small`,
    that of CIFAR (3x3 convolution that keeps the size, no pooling).
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        counts: Sequence[int],
        channels: int,
        classes: int,
        *,
        small: bool,
    ) -> None:
        super().__init__()
        kernel, stride = (3, 1) if small else (7, 2)
        self.conv1 = nn.Conv2d(channels, 64, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = None if small else nn.MaxPool2d(3, stride=2, padding=1)
        wide = 64
        for stage, (width, count) in enumerate(zip(_WIDTHS, counts, strict=True), start=1):
            blocks = []
            for index in range(count):
                blocks.append(block(wide, width, 2 if stage > 1 and index == 0 else 1))
                wide = width * block.expansion
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(wide, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for stage in range(1, len(_WIDTHS) + 1):
            x = getattr(self, f"layer{stage}")(x)
        out: Tensor = self.fc(self.avgpool(x).flatten(1))
        return out


def resnet(shape: Sequence[int], classes: int | None, depth: int) -> ResNet:
    """Build a ResNet of 18 or 34 (basic blocks), 50 or 101 (bottlenecks) layers.

    Parameters
    ----------
    shape
        Channels, height and width of the image; up to 64 pixels in height take the stem of CIFAR.
    classes
        The width of the output; 10 or 1000 by default, by the size of the image.
    depth
        The number in the network's name.
    """
    small = shape[1] <= SMALL_IMAGE
    block = Bottleneck if depth >= _BOTTLENECK_FROM else BasicBlock
    width = classes or (10 if small else 1000)
    return ResNet(block, _BLOCKS[depth], shape[0], width, small=small)


def _shortcut(channels: int, width: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and channels == width:
        return None
    conv = nn.Conv2d(channels, width, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width))
