"""The largest values alone, with their positions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from splitopt.errors import InputError, shown
from splitopt.training.codecs.base import DOWN, UP, Codec, Layout, Way

_FEEDBACK: dict[str, frozenset[Way]] = {
    "": frozenset({DOWN}),
    "feedback": frozenset({UP, DOWN}),
    "forget": frozenset(),
}
"""What may stand behind the fraction -> the ways with error feedback."""
_USAGE = "write topk:FRACTION, such as topk:0.1, alone or with ':feedback' or ':forget' behind it"


@dataclass(frozen=True)
class TopK(Codec):
    """The k = ceil(fraction n) values of largest magnitude out of n; the others come back as 0.

    What is left out is at most 1 - k/n of the squared sum (Stich et al. 2018, arXiv:1809.07599,
    Definition 2.1 and Lemma A.1):

    ``|x - x'|^2 <= (1 - k / n) |x|^2``,

    and what is sent is exact. With error feedback (Seide et al. 2014; Stich et al. 2018, Algorithm
    1 with memory) the sender adds what was left out of one message to the next one, so that all
    that came and what is still kept add up to all that was to be sent. It is for sums: gradients
    are added up by the optimizer. Activations are not, and what was left out of one mini-batch
    would be added to other samples, so that they have it only if it is asked for.

    Parameters
    ----------
    fraction
        Above 0, at most 1.
    feedback
        The ways on which the sender keeps what a message leaves out.
    """

    name = "topk"
    fraction: Fraction = Fraction(1, 10)
    feedback: frozenset[Way] = _FEEDBACK[""]

    @classmethod
    def read(cls, arguments: Sequence[str]) -> TopK:
        """Make one of a fraction, and ``feedback`` for both ways or ``forget`` for neither."""
        if not arguments:
            raise InputError(f"topk needs the fraction that it sends; {_USAGE}")
        text, *rest = arguments
        try:
            number = float(text)
        except ValueError:
            raise InputError(f"topk of {shown(text)}, which is no number; {_USAGE}") from None
        if not 0 < number <= 1:
            raise InputError(f"topk of {shown(text)}, it must be above 0 and at most 1")
        word = ":".join(rest)
        if word not in _FEEDBACK or (rest and not word):
            raise InputError(f"topk:{text} with {shown(word)}; {_USAGE}")
        return cls(Fraction(repr(number)), _FEEDBACK[word])  # as written: 0.1 is one tenth

    def error_bound(self, tensor: Tensor) -> Tensor:
        """Return the bound of the norm of what is left out."""
        count = tensor.numel()
        left = 1 - math.ceil(self.fraction * count) / count if count else 0.0
        whole: Tensor = torch.linalg.vector_norm(tensor.double())
        return whole * (math.sqrt(left) * (1 + 1e-12))

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
