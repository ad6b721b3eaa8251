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
from splitopt.profiles.tracing.cuts.varying import of_words
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
        for name, section, _ in self._sent(shape[1]):
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
        for name, section, start in self._sent(tensor.shape[1]):
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
        for name, section, start in self._sent(shape[1]):
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
            for _, section, start in self._sent(tensor.shape[1])
            if not section.is_exact
        ]

    def restored(self, changed: Tensor, before: Tensor | None) -> Tensor:
        """Copy into a packed tensor what another has where no numbers are sent; 0 by default."""
        packing = of_words(self.packing, changed.shape[1])
        sent = {s for _, own, s in self._sent(changed.shape[1]) if not own.is_exact}
        for section, start in zip(packing.sections, packing.starts, strict=True):
            if start in sent:
                continue
            place = changed.narrow(1, start, section.words)
            if before is None:
                place.zero_()
            else:
                place.copy_(before.narrow(1, start, section.words))
        return changed

    def front(self, rest: Tensor, words: int) -> Tensor:
        """Return what a packed tensor of samples of so many words has of that of longer ones."""
        if not self.packing.room or rest.shape[1] == words:
            return rest
        found = rest.new_zeros((len(rest), words))
        for own, whole in self._blocks(found, rest):
            own.copy_(whole)
        return found

    def widened(self, value: Tensor, rest: Tensor | None) -> Tensor:
        """Return a packed tensor of the longest samples, with one of shorter ones in its place.

        All else is that of `rest`, 0 without it.
        """
        if not self.packing.room:
            return value
        rows = max(len(value), 0 if rest is None else len(rest))
        found = value.new_zeros((rows, self.packing.words))
        if rest is not None:
            found[: len(rest)] = rest
        for own, whole in self._blocks(value, found[: len(value)]):
            whole.copy_(own)
        return found

    def _blocks(self, short: Tensor, long: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return views of the same numbers in two packed tensors, the second of longer samples."""
        found = []
        one, two = (of_words(self.packing, value.shape[1]) for value in (short, long))
        pairs = zip(one.sections, one.starts, two.sections, two.starts, strict=True)
        for own, own_start, whole, start in pairs:
            if own.is_exact:
                continue
            shape = (len(short), own.times, *own.sides)
            view = short.narrow(1, own_start, own.words).view(shape)
            longer = long.narrow(1, start, whole.words).view(len(long), whole.times, *whole.sides)
            found.append((view, longer[tuple(slice(side) for side in shape)]))
        return found

    def _sent(self, words: int) -> list[tuple[str, Section, int]]:
        """Return the sections that travel this way of samples of so many words.

        They are name, section, and where it begins.
        """
        packing = of_words(self.packing, words)
        pairs = enumerate(zip(packing.sections, packing.starts, strict=True))
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
