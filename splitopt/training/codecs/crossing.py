"""What one client's values become on their way over its cuts, both ways.

The sender of a way keeps, where its codec asks for it, what messages have left out so far. That is
all that a crossing remembers; it is part of the state of a training.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from splitopt.errors import InputError, TrainingError
from splitopt.profiles.tracing.cuts.packing import Layout
from splitopt.training.codecs.base import DOWN as DOWN
from splitopt.training.codecs.base import UP as UP
from splitopt.training.codecs.base import Codec
from splitopt.training.codecs.base import Way as Way
from splitopt.training.codecs.sections import Sections
from splitopt.training.randomness import Stream

_CARRIES = {UP: "activations", DOWN: "gradients"}
_PACKED = 2
"""Dimensions of several tensors packed in one: samples and words."""
_KEY = re.compile(r"(up|down)\.\d{1,6}")


class Crosses(Protocol):
    """What carries a batch over the cuts of a chain, and what of it arrives."""

    def up(self, cut: int, value: Tensor) -> Tensor:
        """Return what arrives of the activations behind a cut (0, 1, ...)."""

    def down(self, cut: int, value: Tensor) -> Tensor:
        """Return what arrives of their gradient before the cut."""


@dataclass(frozen=True)
class Encoded:
    """A tensor as it travels; ``is_whole`` where it goes as it is, under the name ``values``."""

    tensors: Mapping[str, Tensor]
    shape: tuple[int, ...]
    dtype: torch.dtype
    is_whole: bool

    @property
    def size(self) -> int:
        """Bytes of what travels."""
        return sum(value.numel() * value.element_size() for value in self.tensors.values())


class Crossing:
    """The cuts of one client.

    Parameters
    ----------
    codecs
        Way -> codec; None or absent for values that travel as they are.
    client
        How messages call it.
    stream
        What rounding at random draws from; the global generator if None.
    layouts
        Cut (0, 1, ...) -> the tensors that cross it packed in one, where they are several.
    """

    def __init__(
        self,
        codecs: Mapping[Way, Codec | None] | None = None,
        client: str = "",
        stream: Stream | None = None,
        layouts: Mapping[int, Layout] | None = None,
    ) -> None:
        self._codecs = {way: codec for way, codec in (codecs or {}).items() if codec is not None}
        self._client, self._stream = client, stream
        self._layouts = dict(layouts or {})
        self._rest: dict[str, Tensor] = {}

    @property
    def ways(self) -> frozenset[Way]:
        """The ways on which values do not all go as they are."""
        needless = any(
            not section.is_learned
            for layout in self._layouts.values()
            for section in layout.sections
        )
        mixed = [UP, DOWN] if any(own.is_mixed for own in self._layouts.values()) else []
        return frozenset({*self._codecs, *([DOWN] if needless else []), *mixed})

    def up(self, cut: int, value: Tensor) -> Tensor:
        """Return what arrives of the activations behind a cut (0, 1, ...)."""
        return self.decode(UP, self.encode(UP, cut, value), cut)

    def down(self, cut: int, value: Tensor) -> Tensor:
        """Return what arrives of their gradient before the cut."""
        return self.decode(DOWN, self.encode(DOWN, cut, value), cut)

    def codec_for(
        self, way: Way, shape: Sequence[int], dtype: torch.dtype, cut: int = 0
    ) -> Codec | Sections | None:
        """Return what writes a tensor that crosses a cut, None if it goes as it is.

        That is what is no real floating-point number, and what would not get smaller.
        """
        codec = self._codecs.get(way) if dtype.is_floating_point else None
        layout = self._layouts.get(cut)
        if layout is not None and len(shape) != _PACKED:
            raise ValueError("values that are not as several tensors are packed in one")
        writer = codec if layout is None else Sections(layout, way, codec)
        if writer is None:
            return None
        whole = dtype.itemsize * math.prod(shape)
        return writer if writer.bytes(shape, dtype) < whole else None

    def planned(
        self, way: Way, shape: Sequence[int], dtype: torch.dtype, cut: int
    ) -> tuple[int, int]:
        """Return the bytes in which a tensor travels, and those that it has without any codec."""
        writer = self.codec_for(way, shape, dtype, cut)
        whole = dtype.itemsize * math.prod(shape)
        written = whole if writer is None else writer.bytes(shape, dtype)
        if cut in self._layouts:
            whole = Sections(self._layouts[cut], way, None).bytes(shape, dtype)
        return written, whole

    def size(self, way: Way, tensor: Tensor, cut: int = 0) -> int:
        """Return the bytes in which a tensor of this shape and dtype travels over a cut."""
        codec = self.codec_for(way, tensor.shape, tensor.dtype, cut)
        if codec is None:
            return tensor.numel() * tensor.element_size()
        return codec.bytes(tensor.shape, tensor.dtype)

    def encode(self, way: Way, cut: int, value: Tensor) -> Encoded:
        """Write what travels, and keep what it leaves out if the codec has feedback.

        Raises
        ------
        TrainingError
            A value is not finite, or is larger than the codec can write.
        """
        shape = tuple(value.shape)
        own = self._codecs.get(way) if value.dtype.is_floating_point else None
        codec = self.codec_for(way, shape, value.dtype, cut)
        if own is None and codec is None:
            return Encoded({"values": value}, shape, value.dtype, True)
        with torch.no_grad():
            key, keeps = f"{way}.{cut}", own is not None and way in own.feedback
            if keeps:
                value = self._with_rest(key, value, self._sections(way, cut))
            if codec is None:
                if keeps:
                    self._keep(key, value, value, self._sections(way, cut))
                return Encoded({"values": value}, shape, value.dtype, True)
            self._check(way, cut, value, codec)
            with nullcontext() if self._stream is None else self._stream.active():
                tensors = codec.encode(value)
            found = Encoded(tensors, shape, value.dtype, False)
            if keeps:
                sent = codec.decode(tensors, shape, value.dtype)
                self._keep(key, value, sent, self._sections(way, cut))
        return found

    def _sections(self, way: Way, cut: int) -> Sections | None:
        """Return the tensors that are packed at a cut, if they are several."""
        layout = self._layouts.get(cut)
        return None if layout is None else Sections(layout, way, self._codecs.get(way))

    def decode(self, way: Way, encoded: Encoded, cut: int = 0) -> Tensor:
        """Return what arrives over a cut.

        Raises
        ------
        ValueError
            The message is not what the codec writes for this shape and dtype.
        """
        shape, dtype = encoded.shape, encoded.dtype
        codec = self.codec_for(way, shape, dtype, cut)
        if codec is None or encoded.is_whole:
            if codec is not None or not encoded.is_whole:
                raise ValueError("values that were encoded where they go as they are, or reversed")
            return encoded.tensors["values"]
        found = {name: (value.dtype, tuple(value.shape)) for name, value in encoded.tensors.items()}
        if found != codec.layout(shape, dtype):
            name = "the codec" if isinstance(codec, Sections) else codec.name
            raise ValueError(f"values that are not as {name} writes them")
        return codec.decode(encoded.tensors, shape, dtype)

    def keys_of(self, cuts: int) -> list[str]:
        """Return the senders that keep what their messages leave out: ``WAY.CUT``."""
        ways = [way for way, codec in self._codecs.items() if way in codec.feedback]
        return [f"{way}.{cut}" for way in ways for cut in range(cuts)]

    def state_dict(self, keys: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return what is kept: ``WAY.CUT`` -> tensor; of these senders only, if they are given."""
        wanted = None if keys is None else set(keys)
        return {key: rest for key, rest in self._rest.items() if wanted is None or key in wanted}

    def load_state_dict(
        self, state: Mapping[str, Tensor], keys: Iterable[str] | None = None
    ) -> None:
        """Go on from a state that `state_dict` of the same senders gave.

        Raises
        ------
        InputError
            It is none.
        """
        own = set(self._rest) if keys is None else set(keys)
        for key, value in state.items():
            known = _KEY.fullmatch(key) and (keys is None or key in own)
            if not known or not value.dtype.is_floating_point:
                raise InputError(f"what was left out of messages holds {key[:40]!r}, which is none")
        self._rest = {key: rest for key, rest in self._rest.items() if key not in own}
        if self._stream is not None:
            state = {key: value.to(self._stream.device) for key, value in state.items()}
        self._rest |= state

    def _check(self, way: Way, cut: int, value: Tensor, codec: Codec | Sections) -> None:
        """Raise `TrainingError` for values that cannot be written."""
        if isinstance(codec, Sections):
            if codec.codec is not None:
                for section in codec.numbers(value):
                    self._check(way, cut, section, codec.codec)
            return
        if not value.numel():
            return
        highest, words = float(value.abs().max()), f"{_CARRIES[way]} of client {self._client}"
        if not torch.isfinite(value).all():
            raise TrainingError(
                f"{words} at cut {cut + 1} hold a value that is not finite; lower the learning "
                "rate, or look at that client's data"
            )
        if highest > codec.largest(value.dtype):
            raise TrainingError(
                f"{words} at cut {cut + 1} reach {highest:.3g}, and {codec.name} ends at "
                f"{codec.largest(value.dtype):.6g}; take another codec, such as int8"
            )

    def _with_rest(self, key: str, value: Tensor, sections: Sections | None = None) -> Tensor:
        """Add what is kept to a message, where their indices overlap.

        A batch may be smaller than the one before; what is kept for the rows that it lacks waits
        for the next one that has them.
        """
        rest = self._rest.get(key)
        if rest is None:
            return value
        if sections is not None:
            rest = sections.front(rest, value.shape[1])
        if rest.dim() != value.dim() or rest.dtype != value.dtype:
            raise TrainingError(
                f"client {self._client} sends tensors of other dimensions than before, to which "
                "nothing that was left out can be added; take a codec without error feedback"
            )
        both = tuple(slice(min(pair)) for pair in zip(rest.shape, value.shape, strict=True))
        total = value.clone()
        total[both] += rest[both]
        return total if sections is None else sections.restored(total, value)

    def _keep(
        self, key: str, wanted: Tensor, sent: Tensor, sections: Sections | None = None
    ) -> None:
        """Keep what a message left out, beside what is kept for other indices."""
        rest = self._rest.get(key)
        left = wanted - sent
        if sections is not None:
            left = sections.widened(sections.restored(left, None), rest)
        if rest is not None and rest.shape != left.shape:
            pairs = list(zip(rest.shape, left.shape, strict=True))
            room = left.new_zeros([max(pair) for pair in pairs])
            room[tuple(slice(size) for size in rest.shape)] = rest
            room[tuple(slice(size) for size in left.shape)] = left
            left = room
        self._rest[key] = left


class SideBySide:
    """The cuts of clients that are trained in one stack: a value is (clients, batch, ...)."""

    def __init__(self, crossings: Sequence[Crossing]) -> None:
        self._crossings = crossings
        self._ways = frozenset[Way]().union(*(own.ways for own in crossings))

    def up(self, cut: int, value: Tensor) -> Tensor:
        """Return what arrives of each client's activations."""
        if UP not in self._ways:
            return value
        pairs = zip(self._crossings, value, strict=True)
        return torch.stack([own.up(cut, one) for own, one in pairs])

    def down(self, cut: int, value: Tensor) -> Tensor:
        """Return what arrives of each client's gradient."""
        if DOWN not in self._ways:
            return value
        pairs = zip(self._crossings, value, strict=True)
        return torch.stack([own.down(cut, one) for own, one in pairs])

    def size(self, way: Way, tensor: Tensor, cut: int = 0) -> int:
        """Return the bytes of all clients' tensors."""
        pairs = zip(self._crossings, tensor, strict=True)
        return sum(own.size(way, one, cut) for own, one in pairs)


class _AsItIs:
    """Values that stay what they are."""

    def up(self, cut: int, value: Tensor) -> Tensor:  # noqa: ARG002
        return value

    def down(self, cut: int, value: Tensor) -> Tensor:  # noqa: ARG002
        return value


AS_IT_IS: Crosses = _AsItIs()
