"""The largest values alone, with their positions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from splitopt.errors import InputError, shown
from splitopt.training.codecs.base import Codec, Layout

_USAGE = "write topk:FRACTION, such as topk:0.1, or topk:FRACTION:forget without error feedback"


@dataclass(frozen=True)
class TopK(Codec):
    """The k = ceil(fraction n) values of largest magnitude out of n; the others come back as 0.

    What is left out is at most 1 - k/n of the squared sum (Stich et al. 2018, arXiv:1809.07599,
    Definition 2.1 and Lemma A.1):

        |x - x'|^2 <= (1 - k / n) |x|^2,

    and what is sent is exact. With error feedback (Seide et al. 2014; Stich et al. 2018, Algorithm
    1 with memory) the sender adds what was left out of one message to the next one, so that all
    that came and what is still kept add up to all that was to be sent.

    Parameters
    ----------
    fraction
        Above 0, at most 1.
    feedback
        Whether the sender keeps what a message leaves out.
    """

    name = "topk"
    fraction: Fraction = Fraction(1, 10)
    feedback: bool = True

    @classmethod
    def read(cls, arguments: Sequence[str]) -> TopK:
        """Make one of a fraction, and ``forget`` for none of the error feedback."""
        if not arguments:
            raise InputError(f"topk needs the fraction that it sends; {_USAGE}")
        text, *rest = arguments
        try:
            number = float(text)
        except ValueError:
            raise InputError(f"topk of {shown(text)}, which is no number; {_USAGE}") from None
        if not 0 < number <= 1:
            raise InputError(f"topk of {shown(text)}, it must be above 0 and at most 1")
        if rest not in ([], ["forget"]):
            raise InputError(f"topk:{text} with {shown(':'.join(rest))}; {_USAGE}")
        return cls(Fraction(repr(number)), not rest)  # as written: 0.1 is one tenth

    def layout(self, shape: Sequence[int], dtype: torch.dtype) -> Layout:
        """Return k values in their own type, and k positions in the narrowest type that has n."""
        count = math.prod(shape)
        kept = (math.ceil(self.fraction * count),)
        return {"values": (dtype, kept), "positions": (_position_dtype(count), kept)}

    def encode(self, tensor: Tensor) -> dict[str, Tensor]:
        """Write the largest values by their positions, the first one first."""
        flat = tensor.reshape(-1)
        kept = math.ceil(self.fraction * flat.numel())
        places = torch.topk(flat.abs(), kept, sorted=False).indices.sort().values
        return {"values": flat[places], "positions": places.to(_position_dtype(flat.numel()))}

    def decode(
        self, message: Mapping[str, Tensor], shape: Sequence[int], dtype: torch.dtype
    ) -> Tensor:
        """Return the values at their positions, and 0 elsewhere."""
        places = message["positions"].to(torch.int64)
        count = math.prod(shape)
        if len(places) and not 0 <= int(places.min()) <= int(places.max()) < count:
            raise ValueError("positions outside of the tensor")
        found = torch.zeros(count, dtype=dtype, device=places.device)
        found[places] = message["values"]
        return found.reshape(tuple(shape))


def _position_dtype(count: int) -> torch.dtype:
    for kind in (torch.int16, torch.int32):
        if count <= torch.iinfo(kind).max + 1:
            return kind
    return torch.int64
