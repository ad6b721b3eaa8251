"""What a codec distorts of a batch, measured: what ``precision`` of a scenario takes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from splitopt.errors import InputError, shown
from splitopt.latency.encoded import CODEC_OF_BITS
from splitopt.training.codecs.registry import make_codec


def measured_distortion(tensor: Tensor, bits: Sequence[int]) -> tuple[float, ...]:
    """Return what each of some bits distorts of a tensor: ||x - x'||^2 / ||x||^2.

    Parameters
    ----------
    tensor
        Real values, such as the activations of a batch at a cut, or their gradients.
    bits
        Of a value: 32 (as it is), 16, 8 or 4.

    Raises
    ------
    InputError
        There is no codec of so many bits, or the tensor has no floating-point values.
    """
    if not tensor.is_floating_point() or not tensor.numel():
        raise InputError.at("tensor", "has no floating-point values; give a batch of them")
    found = []
    values = tensor.detach()
    size = float(values.double().square().sum())
    for each in bits:
        if each not in CODEC_OF_BITS:
            known = ", ".join(map(str, CODEC_OF_BITS))
            raise InputError.at("bits", f"has {shown(each)}, there are codecs for {known} bits")
        codec = make_codec(CODEC_OF_BITS[each])
        if codec is None:
            found.append(0.0)
            continue
        back = codec.decode(codec.encode(values), values.shape, values.dtype)
        lost = float((back.double() - values.double()).square().sum())
        found.append(lost / size if size else 0.0)
    return tuple(found)
