"""The networks behind the shipped profiles, as chains of units that can be cut apart.

The ResNets are those of He et al., "Deep residual learning for image recognition" (CVPR 2016),
the VGG-19 that of Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
recognition" (ICLR 2015).
"""

from __future__ import annotations

from collections.abc import Sequence

from splitopt.profiles.counting.layers import Ledger, Tensor, Unit

RESNET18_BLOCKS = (2, 2, 2, 2)
RESNET34_BLOCKS = (3, 4, 6, 3)
_STAGE_CHANNELS = (64, 128, 256, 512)
_VGG19_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))


def resnet(blocks: Sequence[int], image: Tensor, classes: int) -> tuple[Unit, ...]:
    """Count a ResNet of basic blocks in the layout of torchvision.

    Parameters
    ----------
    blocks
        The number of basic blocks in each of the four stages.
    image
        The shape of the input.
    classes
        The width of the output.

    Returns
    -------
    The units: ``conv1`` (7x7 convolution, normalisation, ReLU, max pooling), each block, and
    ``fc`` (average pooling and linear layer).
    """
    stem = Ledger()
    x = stem.relu(stem.batch_norm(stem.conv(image, 64, 7, 2)))
    x = stem.max_pool(x, 3, 2, 1)
    units = [stem.close("conv1", x)]
    x = _stages(units, blocks, x, shortcut_kernel=1)
    head = Ledger()
    x = head.linear(head.average_pool(x, 1), classes)
    return (*units, head.close("fc", x))


def resnet_mp_sl(blocks: Sequence[int], image: Tensor, classes: int) -> tuple[Unit, ...]:
    """Count the ResNet of the MP-SL measurements.

    It differs from `resnet`: pooling comes before normalisation and ReLU, the first convolution
    has a bias, a shortcut that changes the shape is a 3x3 convolution, and the stem and the head
    are two units each (``conv1``, ``pool1``; ``avgpool``, ``fc``). The sizes of the weights in
    the published memory table confirm each of these.
    """
    stem = Ledger()
    x = stem.conv(image, 64, 7, 2, bias=True)
    units = [stem.close("conv1", x)]
    pool = Ledger()
    x = pool.relu(pool.batch_norm(pool.max_pool(x, 3, 2, 1)))
    units.append(pool.close("pool1", x))
    x = _stages(units, blocks, x, shortcut_kernel=3)
    average = Ledger()
    x = average.average_pool(x, 1)
    units.append(average.close("avgpool", x))
    head = Ledger()
    x = head.linear(x, classes)
    return (*units, head.close("fc", x))


def vgg19_mp_sl(image: Tensor, classes: int) -> tuple[Unit, ...]:
    """Count the VGG-19 of the MP-SL measurements: 25 units, max pooling with a padding of 1.

    The units are 16 convolutions with ReLU, 5 poolings, the average pooling to 7x7 values and
    the linear layers ``fc6``, ``fc7`` and ``fc8``; dropout belongs to the layer that it feeds.
    """
    units = []
    x = image
    for stage, (channels, count) in enumerate(_VGG19_STAGES, start=1):
        for index in range(1, count + 1):
            conv = Ledger()
            x = conv.relu(conv.conv(x, channels, 3, bias=True))
            units.append(conv.close(f"conv{stage}_{index}", x))
        pool = Ledger()
        x = pool.max_pool(x, 2, 2, 1)
        units.append(pool.close(f"pool{stage}", x))
    average = Ledger()
    x = average.average_pool(x, 7)
    units.append(average.close("avgpool", x))
    for name in ("fc6", "fc7", "fc8"):
        linear = Ledger()
        if name != "fc6":
            x = linear.dropout(x)
        x = linear.linear(x, classes if name == "fc8" else 4096)
        if name != "fc8":
            x = linear.relu(x)
        units.append(linear.close(name, x))
    return tuple(units)


def lenet_cpsl(first_block_padding: int) -> tuple[Unit, ...]:
    """Count the 12-layer network of CPSL's Table III for 28 x 28 grey images and 10 classes.

    Six 3x3 convolutions and two of the three linear layers have a ReLU, all have a bias; poolings
    are 2x2 at stride 2. The paper does not print the padding: with 1 in the first block all
    convolutions keep the size ("same"), with 0 the first two do not ("valid").
    """
    units: list[Unit] = []
    x, index = Tensor(1, 28, 28), 0
    for block, channels in enumerate((32, 64, 128), start=1):
        for _ in range(2):
            index += 1
            conv = Ledger()
            padding = first_block_padding if block == 1 else 1
            x = conv.relu(conv.conv(x, channels, 3, bias=True, padding=padding))
            units.append(conv.close(f"CONV{index}", x))
        pool = Ledger()
        x = pool.max_pool(x, 2, 2, 0)
        units.append(pool.close(f"POOL{block}", x))
    for index, features in enumerate((382, 192, 10), start=1):
        linear = Ledger()
        x = linear.linear(x, features)
        if index < 3:
            x = linear.relu(x)
        units.append(linear.close(f"FC{index}", x))
    return tuple(units)


def _stages(units: list[Unit], blocks: Sequence[int], x: Tensor, shortcut_kernel: int) -> Tensor:
    """Append the basic blocks of the four stages to `units`."""
    for stage, (channels, count) in enumerate(zip(_STAGE_CHANNELS, blocks, strict=True), start=1):
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            ledger = Ledger()
            x = basic_block(ledger, x, channels, stride, shortcut_kernel)
            units.append(ledger.close(f"layer{stage}.{index}", x))
    return x


def basic_block(
    ledger: Ledger, x: Tensor, channels: int, stride: int, shortcut_kernel: int = 1
) -> Tensor:
    """Apply two 3x3 convolutions beside a shortcut, with normalisation and ReLU."""
    y = ledger.relu(ledger.batch_norm(ledger.conv(x, channels, 3, stride)))
    y = ledger.batch_norm(ledger.conv(y, channels, 3))
    if stride != 1 or x.channels != channels:
        ledger.batch_norm(ledger.conv(x, channels, shortcut_kernel, stride))
    return ledger.relu(y)
