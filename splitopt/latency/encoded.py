"""What crosses a cut in fewer bits: the bytes of splitopt's own codecs, scales included.

The codecs are those of `splitopt.training.codecs`: values of 32 bits go as they are, of 16 as
``fp16``, of 8 and 4 as ``int8`` and ``int4``, whose message has a scale (float32) and a zero point
(1 byte) beside the levels. A mini-batch is one message each way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

CODEC_OF_BITS = {32: "none", 16: "fp16", 8: "int8", 4: "int4"}
"""Bits of a value -> the codec that writes it so."""
_FULL = 32
"""Bits of a value that goes as it is."""
_BESIDE = {8: 5, 4: 5}
"""Bits -> bytes of a message that are no values: scale and zero point."""


def encoded_bytes(
    whole: npt.ArrayLike, bits: Sequence[int], samples: int, batch_size: int | None
) -> Any:
    """Return the bytes for one sample, on average over an epoch, with some bits for each value.

    Parameters
    ----------
    whole
        Shape (L,): bytes of a sample's values of 32 bits.
    bits
        Q of them, keys of `CODEC_OF_BITS`.
    samples, batch_size
        An epoch has as many mini-batches as these make; without a batch size it has one.

    Returns
    -------
    Shape (L, Q). As in training, what would not get smaller goes as it is.
    """
    size, full = np.asarray(whole, dtype=np.float64), batch_size or samples
    messages = ((full, samples // full), (samples % full, 1))
    columns = []
    for each in bits:
        if each == _FULL:
            columns.append(size)
            continue
        total = np.zeros_like(size)
        for count, times in messages:
            plain = count * size
            coded = np.ceil(plain * each / _FULL) + _BESIDE.get(each, 0)
            total += times * np.minimum(plain, coded)
        columns.append(total / samples)
    return np.stack(columns, axis=1)
