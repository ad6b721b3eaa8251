"""How several tensors that cross a cut packed in one are written: each by itself.

What travels down are the gradients of those that have one. Real numbers travel in the type of their
own tensor, which may be narrower than the one that they are packed in. What holds no real numbers,
such as a mask, goes as it is whatever the codec: its bytes are no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splitopt.profiles.tracing.cuts.packing import Layout as Packing
from splitopt.profiles.tracing.cuts.packing import Section
from splitopt.training.codecs.base import DOWN, Codec, Layout, Way


@dataclass(frozen=True)
class Sections:
    """The tensors of a layout on their way, and the codec of those of real numbers, if any."""

    packing: Packing
    way: Way
    codec: Codec | None

    def layout(self, shape: Sequence[int], dtype: torch.dtype) -> Layout:
        """Return what the message of a packed tensor of this shape and dtype is made of."""
        found: Layout = {}
        for name, section, _ in self._sent():
            own, kind = (shape[0], *section.shape), section.sent_as(dtype)
            codec = self._codec(section, own, kind)
            if codec is None:
                found[name] = (kind, (shape[0], section.words))
            else:
                parts = codec.layout(own, kind)
                found |= {f"{name}.{part}": value for part, value in parts.items()}
        return found

    def bytes(self, shape: Sequence[int], dtype: torch.dtype) -> int:
        """Return the bytes of the message."""
        parts = self.layout(shape, dtype).values()
        return sum(kind.itemsize * math.prod(inner) for kind, inner in parts)

    def encode(self, tensor: Tensor) -> dict[str, Tensor]:
        """Write a packed tensor as those of `layout`."""
        found: dict[str, Tensor] = {}
        for name, section, start in self._sent():
            kind = section.sent_as(tensor.dtype)
            part = tensor.narrow(1, start, section.words).to(kind)
            own = (len(tensor), *section.shape)
            codec = self._codec(section, own, kind)
            if codec is None:
                found[name] = part.contiguous()
            else:
                written = codec.encode(part.reshape(own))
                found |= {f"{name}.{key}": value for key, value in written.items()}
        return found

    def decode(
        self, message: Mapping[str, Tensor], shape: Sequence[int], dtype: torch.dtype
    ) -> Tensor:
        """Return the packed tensor; gradients that nobody needs are 0.

        Raises
        ------
        ValueError
            The values of a section cannot be those of a tensor of its shape.
        """
        first = next(iter(message.values()))
        found = torch.zeros(tuple(shape), dtype=dtype, device=first.device)
        for name, section, start in self._sent():
            own, kind = (shape[0], *section.shape), section.sent_as(dtype)
            codec = self._codec(section, own, kind)
            if codec is None:
                part = message[name]
            else:
                prefix = f"{name}."
                parts = {
                    key.removeprefix(prefix): value
                    for key, value in message.items()
                    if key.startswith(prefix)
                }
                part = codec.decode(parts, own, kind)
            # Bytes are copied, which a sum with the zeros would not do.
            found.narrow(1, start, section.words).copy_(part.reshape(shape[0], section.words))
        return found

    def numbers(self, tensor: Tensor) -> list[Tensor]:
        """Return the sections of a packed tensor that the codec writes."""
        return [
            tensor.narrow(1, start, section.words).to(section.sent_as(tensor.dtype))
            for _, section, start in self._sent()
            if not section.is_exact
        ]

    def restored(self, changed: Tensor, before: Tensor | None) -> Tensor:
        """Copy into a packed tensor what another has where no numbers are sent; 0 by default."""
        sent = {start for _, section, start in self._sent() if not section.is_exact}
        for section, start in zip(self.packing.sections, self.packing.starts, strict=True):
            if start in sent:
                continue
            place = changed.narrow(1, start, section.words)
            if before is None:
                place.zero_()
            else:
                place.copy_(before.narrow(1, start, section.words))
        return changed

    def _sent(self) -> list[tuple[str, Section, int]]:
        """Return the sections that travel this way: name, section, and where it begins."""
        pairs = enumerate(zip(self.packing.sections, self.packing.starts, strict=True))
        return [
            (str(number), section, start)
            for number, (section, start) in pairs
            if self.way != DOWN or section.is_learned
        ]

    def _codec(self, section: Section, shape: Sequence[int], dtype: torch.dtype) -> Codec | None:
        """Return the codec of a section, None if it goes as it is."""
        if self.codec is None or section.is_exact:
            return None
        whole = dtype.itemsize * math.prod(shape)
        return self.codec if self.codec.bytes(shape, dtype) < whole else None
