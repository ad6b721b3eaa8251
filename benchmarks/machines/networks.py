"""The six networks whose splits were measured, as the blocks between which they were split.

Layouts of torchvision: AlexNet (Krizhevsky 2014), VGG-16 (Simonyan and Zisserman 2015), ResNet-18
and ResNet-50 (He et al. 2016), Inception v3 (Szegedy et al. 2016), MobileNetV2 (Sandler et al.
2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from splitopt.models import build

IMAGE = (3, 224, 224)
INCEPTION_IMAGE = (3, 299, 299)

Blocks = list[nn.Module]


def names() -> tuple[str, ...]:
    """Names of the networks, as the measurements spell them."""
    return ("AlexNet", "InceptionV3", "MobileNetV2", "ResNet18", "VGG16", "resnet50")


def image(name: str) -> tuple[int, int, int]:
    """Return the shape of the image that a network takes."""
    return INCEPTION_IMAGE if name == "InceptionV3" else IMAGE


def blocks(name: str) -> Blocks:
    """Build the blocks of a network on shapes only; split k lies behind the first k."""
    with torch.device("meta"):
        if name == "AlexNet":
            return _alexnet()
        if name == "InceptionV3":
            return _inception()
        module = build(name.lower(), IMAGE, 1000, device="meta")
    if name in ("VGG16", "MobileNetV2"):
        head = nn.Sequential(module.avgpool, nn.Flatten(), module.classifier)
        return [*module.features, head]
    stem = [module.conv1, module.bn1, module.relu, module.maxpool]
    stages = [getattr(module, f"layer{k}") for k in range(1, 5)]
    head = nn.Sequential(module.avgpool, nn.Flatten(), module.fc)
    if name == "ResNet18":
        return [*stem, *stages, head]
    first, *others = [block for stage in stages for block in stage]
    return [nn.Sequential(*stem, first), *others, head]


def _alexnet() -> Blocks:
    features: Blocks = []
    shapes = ((3, 64, 11, 4, 2, True), (64, 192, 5, 1, 2, True), (192, 384, 3, 1, 1, False))
    for channels, width, kernel, stride, padding, pooled in (
        *shapes,
        (384, 256, 3, 1, 1, False),
        (256, 256, 3, 1, 1, True),
    ):
        features += [nn.Conv2d(channels, width, kernel, stride, padding), nn.ReLU(inplace=True)]
        if pooled:
            features.append(nn.MaxPool2d(3, 2))
    hidden: Blocks = []
    for width in (256 * 36, 4096):
        hidden += [nn.Dropout(), nn.Linear(width, 4096), nn.ReLU(inplace=True)]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten(), *hidden, nn.Linear(4096, 1000))
    return [*features, head]


class Branches(nn.Module):
    """Branches side by side whose outputs are concatenated by channel."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, the sum of the branches' channels, H', W')."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def _conv(
    channels: int,
    width: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(width, eps=0.001),
        nn.ReLU(inplace=True),
    )


def _chain(channels: int, steps: Sequence[tuple[int, int | tuple[int, int]]]) -> nn.Sequential:
    """Convolutions of stride 1 that keep the size: width and kernel of each."""
    found: Blocks = []
    for width, kernel in steps:
        down, across = (kernel, kernel) if isinstance(kernel, int) else kernel
        found.append(_conv(channels, width, kernel, 1, (down // 2, across // 2)))
        channels = width
    return nn.Sequential(*found)


def _pooled(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), _conv(channels, width, 1))


def _mixed_5(channels: int, pooled: int) -> Branches:
    return Branches(
        _conv(channels, 64, 1),
        _chain(channels, [(48, 1), (64, 5)]),
        _chain(channels, [(64, 1), (96, 3), (96, 3)]),
        _pooled(channels, pooled),
    )


def _mixed_6(width: int) -> Branches:
    return Branches(
        _conv(768, 192, 1),
        _chain(768, [(width, 1), (width, (1, 7)), (192, (7, 1))]),
        _chain(768, [(width, 1), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (192, (1, 7))]),
        _pooled(768, 192),
    )


def _mixed_7(channels: int) -> Branches:
    def split(width: int) -> Branches:
        return Branches(_chain(width, [(384, (1, 3))]), _chain(width, [(384, (3, 1))]))

    return Branches(
        _conv(channels, 320, 1),
        nn.Sequential(_conv(channels, 384, 1), split(384)),
        nn.Sequential(_chain(channels, [(448, 1), (384, 3)]), split(384)),
        _pooled(channels, 192),
    )


def _inception() -> Blocks:
    first = [_conv(3, 32, 3, 2), _conv(32, 32, 3), _conv(32, 64, 3, 1, 1), nn.MaxPool2d(3, 2)]
    second = [_conv(64, 80, 1), _conv(80, 192, 3), nn.MaxPool2d(3, 2)]
    shrink_6 = Branches(
        _conv(288, 384, 3, 2),
        nn.Sequential(_chain(288, [(64, 1), (96, 3)]), _conv(96, 96, 3, 2)),
        nn.MaxPool2d(3, 2),
    )
    shrink_7 = Branches(
        nn.Sequential(_conv(768, 192, 1), _conv(192, 320, 3, 2)),
        nn.Sequential(_chain(768, [(192, 1), (192, (1, 7)), (192, (7, 1))]), _conv(192, 192, 3, 2)),
        nn.MaxPool2d(3, 2),
    )
    return [
        *first,
        *second,
        *(_mixed_5(channels, pooled) for channels, pooled in ((192, 32), (256, 64), (288, 64))),
        shrink_6,
        *(_mixed_6(width) for width in (128, 160, 160, 192)),
        shrink_7,
        *(_mixed_7(channels) for channels in (1280, 2048)),
        nn.AdaptiveAvgPool2d(1),
        nn.Dropout(),
        nn.Sequential(nn.Flatten(), nn.Linear(2048, 1000)),
    ]
