"""What every codec must do: sizes, errors, repetition, and what it keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from splitopt.training.codecs.base import Codec
from splitopt.training.codecs.crossing import Crossing
from splitopt.training.conformance.findings import (
    Finding,
    first_difference,
    global_draws,
    skipped,
)
from splitopt.training.randomness import Stream

_SHAPES = ((16, 6), (5, 3, 4, 4), (64,), (3, 7))
_DTYPES = (torch.float32, torch.float64)


def _tensors() -> Iterator[Tensor]:
    """Yield tensors as activations and gradients are: some zeros, some large, all signs."""
    generator = torch.Generator().manual_seed(11)
    for dtype in _DTYPES:
        for shape in _SHAPES:
            value = torch.randn(shape, generator=generator, dtype=dtype)
            yield value
            yield value.relu()
            yield 1e-3 * value.exp()
            yield torch.zeros(shape, dtype=dtype)


def _encoded(codec: Codec, value: Tensor, seed: int = 0) -> dict[str, Tensor]:
    with global_draws(seed):
        return codec.encode(value)


def _sends_its_layout(codec: Codec) -> Finding:
    for value in _tensors():
        message = _encoded(codec, value)
        layout = codec.layout(value.shape, value.dtype)
        own = {name: (part.dtype, tuple(part.shape)) for name, part in message.items()}
        if own != layout:
            return (
                "failed",
                f"for shape {tuple(value.shape)} it sends {own}, its layout is {layout}",
            )
        sent = sum(part.numel() * part.element_size() for part in message.values())
        if sent != codec.bytes(value.shape, value.dtype):
            return "failed", (
                f"for shape {tuple(value.shape)} it sends {sent} B, and says "
                f"{codec.bytes(value.shape, value.dtype)} B"
            )
    return "passed", "messages have the tensors and bytes of the layout, whatever the values"


def _gives_the_tensor_back(codec: Codec) -> Finding:
    for value in _tensors():
        before = value.clone()
        back = codec.decode(_encoded(codec, value), value.shape, value.dtype)
        if not torch.equal(before, value):
            return "failed", "encode changes the tensor that it is given"
        if back.shape != value.shape or back.dtype != value.dtype:
            return "failed", (
                f"a tensor of shape {tuple(value.shape)} and {value.dtype} comes back as "
                f"{tuple(back.shape)} and {back.dtype}"
            )
        if not torch.isfinite(back).all():
            return "failed", f"a finite tensor of shape {tuple(value.shape)} comes back not finite"
    return "passed", "tensors come back finite, in their shape and type, and are left as they are"


def _keeps_its_bound(codec: Codec) -> Finding:
    closest = 0.0
    for seed, value in enumerate(_tensors()):
        bound = codec.error_bound(value)
        if bound is None:
            return skipped("states no bound of its error (error_bound)")
        back = codec.decode(_encoded(codec, value, seed), value.shape, value.dtype)
        error = (back - value).abs().double()
        if bound.dim() == 0:
            error = error.norm()
        bound = bound.double().expand_as(error)
        if bool((error > bound).any()):
            worst = int((error - bound).argmax())
            return "failed", (
                f"a value of a tensor of shape {tuple(value.shape)} comes back with the error "
                f"{float(error.reshape(-1)[worst]):.6g}, and the bound is "
                f"{float(bound.reshape(-1)[worst]):.6g}"
            )
        apart = error[bound > 0] / bound[bound > 0]
        closest = max(closest, float(apart.max()) if apart.numel() else 0.0)
    return "passed", f"errors are within the bound, at most {closest:.0%} of it"


def _repeats_itself(codec: Codec) -> Finding:
    for value in _tensors():
        first, second = _encoded(codec, value, 3), _encoded(codec, value, 3)
        if odd := first_difference(first, second):
            return "failed", (
                f"the same tensor and random numbers give other {odd}; draw from PyTorch's global "
                "generator alone"
            )
        back = [codec.decode(first, value.shape, value.dtype) for _ in range(2)]
        if not torch.equal(*back):
            return "failed", "the same message is decoded to different tensors"
    return "passed", "the same tensor and random numbers give the same message and tensor"


def _adds_up(codec: Codec) -> Finding:
    """Add up all that came and what is kept, which are all that was to be sent."""
    if not codec.feedback:
        return skipped("keeps nothing of what its messages leave out")
    for way in sorted(codec.feedback):
        crossing, total, came = _crossing(codec), torch.zeros(16, 6), torch.zeros(16, 6)
        for value in _messages():
            total += value
            came += crossing.decode(way, crossing.encode(way, 0, value))
        rest = crossing.state_dict().get(f"{way}.0")
        if rest is None:
            return "failed", f"nothing is kept on the way {way}; its messages may not be smaller"
        if not torch.allclose(came + rest, total, atol=1e-4):
            gap = float((came + rest - total).abs().max())
            return "failed", f"what came and what is kept lack {gap:.3g} of what was to be sent"
    return "passed", "what came and what is kept add up to what was to be sent"


def _goes_on(codec: Codec) -> Finding:
    """Compare messages after a break with those without one."""
    messages = list(_messages())
    for way in ("up", "down"):
        whole, before = _crossing(codec), _crossing(codec)
        sent = [whole.encode(way, 0, value) for value in messages]
        for value in messages[:2]:
            before.encode(way, 0, value)
        stream = Stream(0)
        assert before._stream is not None
        stream.load_state_dict(before._stream.state_dict())
        after = Crossing({"up": codec, "down": codec}, "client", stream)
        after.load_state_dict(before.state_dict())
        for value, wanted in zip(messages[2:], sent[2:], strict=True):
            own = after.encode(way, 0, value)
            if odd := first_difference(dict(own.tensors), dict(wanted.tensors)):
                return "failed", (
                    f"{odd} of a message after a break is not that without one; a codec has no "
                    "state of its own, feedback is kept by whoever calls it"
                )
    return "passed", "messages after a break are those without one, bit for bit"


def _saves_bytes(codec: Codec) -> Finding:
    for shape in _SHAPES:
        if codec.bytes(shape, torch.float32) < 4 * math.prod(shape):
            return "passed", "messages are smaller than their tensors for some shapes"
    return "failed", "no message is smaller than its tensor, so that none is ever encoded"


def _crossing(codec: Codec) -> Crossing:
    return Crossing({"up": codec, "down": codec}, "client", Stream(5))


def _messages() -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(13)
    for _ in range(4):
        yield torch.randn(16, 6, generator=generator)


CHECKS: dict[str, Callable[[Codec], Finding]] = {
    "sends its layout": _sends_its_layout,
    "makes messages smaller": _saves_bytes,
    "gives the tensor back": _gives_the_tensor_back,
    "error is within its bound": _keeps_its_bound,
    "same tensor gives the same message": _repeats_itself,
    "feedback adds up": _adds_up,
    "goes on from what is kept": _goes_on,
}
"""Check -> what it does with a codec."""
