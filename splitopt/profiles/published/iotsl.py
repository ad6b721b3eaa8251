"""IoTSL's networks, counted from the layers that the paper prints (sections V-A, V-C and V-D)."""

from __future__ import annotations

from typing import NamedTuple

from splitopt.profiles.counting.layers import Ledger, Tensor, Unit
from splitopt.profiles.published.computed import counting_notes, profile_from_units
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

VGG16 = "iotsl-vgg16"
"""Name of the profile of the network that the paper trains."""

_NOISE, _CLASSES, _SIDE = 10, 10, 28
_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_POOLED_STAGES = 4


class GeneratorNetworks(NamedTuple):
    """The two networks that a device trains; counts are per sample and forward.

    The generator makes 28 x 28 grey images of a class, the critic scores them.
    """

    generator: Unit
    critic: Unit


def iotsl_networks() -> GeneratorNetworks:
    """Count generator and critic of IoTSL's section V-D for 28 x 28 grey images, 10 classes.

    The generator: 10 numbers of noise and 10 of the label, a linear layer to 256 x 4 x 4,
    transposed convolutions to 128 channels (kernel 5, cropped to 7 x 7), 64 (kernel 5) and 1
    (kernel 8, stride 2). The critic: convolutions of kernel 5 and stride 2 to 64, 128 and 256
    channels and a linear layer. How the critic sees the label is not printed: here as one constant
    channel per class beside the image; nor where exactly zeros are padded: here so that the sides
    are 14, 7 and 4. Pixel and spectral normalisation and the sigmoid count as no work.
    """
    made = Ledger()
    x = made.relu(made.linear(Tensor(_NOISE + _CLASSES, 1, 1), 256 * 4 * 4))
    x = made.relu(made.transposed_conv(Tensor(256, 4, 4), 128, 5))
    x = Tensor(x.channels, 7, 7)  # cropped
    x = made.relu(made.transposed_conv(x, 64, 5))
    generator = made.close("generator", made.transposed_conv(x, 1, 8, 2))
    scored = Ledger()
    x = Tensor(1 + _CLASSES, _SIDE, _SIDE)
    for channels in (64, 128, 256):
        x = scored.relu(scored.conv(x, channels, 5, 2, bias=True))
    return GeneratorNetworks(generator, scored.close("critic", scored.linear(x, 1)))


def vgg16_units() -> tuple[Unit, ...]:
    """Count VGG-16 with batch normalisation for 28 x 28 grey images, cut behind every unit.

    The layout is torchvision's, with 10 classes, but for the fifth pooling: after four of them an
    image of 28 x 28 has one value per channel, and nothing is left to pool.
    """
    units = []
    x = Tensor(1, _SIDE, _SIDE)
    for stage, (channels, count) in enumerate(_STAGES, start=1):
        for index in range(1, count + 1):
            conv = Ledger()
            x = conv.relu(conv.batch_norm(conv.conv(x, channels, 3, bias=True)))
            units.append(conv.close(f"conv{stage}_{index}", x))
        if stage <= _POOLED_STAGES:
            pool = Ledger()
            x = pool.max_pool(x, 2, 2, 0)
            units.append(pool.close(f"pool{stage}", x))
    head = Ledger()
    x = head.average_pool(x, 7)
    for features in (4096, 4096):
        x = head.dropout(head.relu(head.linear(x, features)))
    units.append(head.close("classifier", head.linear(x, _CLASSES)))
    return tuple(units)


def iotsl_vgg16() -> ModelProfile:
    """Build the profile of the network that IoTSL trains; its cut is behind ``pool1``."""
    units = vgg16_units()
    provenance = Provenance(
        kind="computed",
        source=(
            "counted from the layers of VGG-16 with batch normalisation for 28 x 28 grey images "
            "and 10 classes; without the fifth pooling, which has nothing to pool there"
        ),
        notes=(
            *counting_notes(units),
            "IoTSL prints 37,824 parameters and 29.8 M operations for the part up to pool1, in "
            "which it counts biases too.",
        ),
    )
    return profile_from_units(VGG16, units, provenance)
