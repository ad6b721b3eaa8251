"""Holding counted work against the definitions of PyTorch's own modules.

The meter counts operators. What an ``nn.Linear``, a convolution or a recurrent layer costs follows
from its attributes and from what goes in and out, without a look at the operators that it runs. The
two counts share no formula, so that an operator that is counted wrongly, or that a release of
PyTorch runs instead of another, is found while a model is traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from splitopt.errors import InputError
from splitopt.profiles.tracing.costs.work.meter import WorkMeter

_FLOP_PER_MAC = 2
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Expected:
    """Multiply-accumulates of one call of a module; `backward` is None where it is not known."""

    forward: int
    backward: int | None


@dataclass
class Watch:
    """What the modules of a model should cost in a pass, and whether they did.

    Parameters
    ----------
    forward, backward
        Multiply-accumulates of all calls that were seen.
    complete
        Whether the backward work of each call is known, and each ran once.
    wrong
        A sentence about the first call whose forward work was counted otherwise.
    """

    forward: int = 0
    backward: int = 0
    complete: bool = True
    wrong: str | None = None
    starts: list[tuple[float, float]] = field(default_factory=list)

    def check(self, meters: Mapping[str, WorkMeter]) -> None:
        """Raise `InputError` if the counts of a whole pass contradict the definitions.

        Less backward work than expected is no contradiction: an output may be left unused.
        """
        if self.wrong is not None:
            raise InputError(self.wrong)
        forward, backward = meters["forward"], meters["backward"]
        others = forward.unknown or backward.unknown or forward.owed
        if others or not self.complete or not _close(forward.flop, _FLOP_PER_MAC * self.forward):
            return  # other operators do work as well, which no definition covers
        most = _FLOP_PER_MAC * self.backward
        if backward.flop > most * (1 + _TOLERANCE):
            what = "the backward pass of this model"
            raise InputError(_words(what, "the layers'", backward.flop, most))


@contextmanager
def watched(module: nn.Module, meters: Mapping[str, WorkMeter]) -> Iterator[Watch]:
    """Watch the calls of PyTorch's own layers in a module while it is counted."""
    watch, handles = Watch(), []
    declared = any(meter.declared for meter in meters.values())
    for name, part in module.named_modules():
        if declared or type(part) not in _RULES or _is_altered(part):
            continue
        before, after = _hooks(watch, meters, name)
        handles.append(part.register_forward_pre_hook(before))
        handles.append(part.register_forward_hook(after, with_kwargs=True))
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def _hooks(
    watch: Watch, meters: Mapping[str, WorkMeter], name: str
) -> tuple[Callable[..., None], Callable[..., None]]:
    forward, backward = meters["forward"], meters["backward"]

    def before(_part: nn.Module, _args: Any) -> None:
        watch.starts.append((forward.flop, backward.flop))

    def after(part: nn.Module, args: Any, kwargs: Mapping[str, Any], out: Any) -> None:
        start, start_backward = watch.starts.pop()
        found = _RULES[type(part)](part, args[0], out) if len(args) == 1 and not kwargs else None
        if found is None or backward.flop != start_backward:  # a checkpoint runs it once more
            watch.complete = False
            return
        counted, wanted = forward.flop - start, _FLOP_PER_MAC * found.forward
        if watch.wrong is None and not _close(counted, wanted):
            kind = f"the {type(part).__name__} {name!r}"
            watch.wrong = _words(kind, "its", counted, wanted)
        watch.forward += found.forward
        watch.backward += found.backward or 0
        watch.complete &= found.backward is not None

    return before, after


def _words(what: str, whose: str, counted: float, wanted: float) -> str:
    return (
        f"torch {torch.__version__} runs {what} by operators whose work counts {counted:.0f} FLOP, "
        f"where {whose} definition gives {wanted:.0f}; use the release of torch that splitopt is "
        "tested with, or declare the operators' work by flop_formulas (--flop)"
    )


def _close(one: float, two: float) -> bool:
    return math.isclose(one, two, rel_tol=_TOLERANCE)


def _is_altered(part: nn.Module) -> bool:
    """Whether other code runs inside a call: hooks, or weights that are no plain parameters."""
    plain = all(type(item) is nn.Parameter for item in part.parameters(recurse=False))
    hooks = part._forward_pre_hooks or part._forward_hooks or "forward" in vars(part)
    return bool(hooks) or not plain


def _trained(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and torch.is_grad_enabled()


def _both_ways(macs: int, given: Tensor, weight: Tensor) -> Expected:
    """Return the rule of one product: it costs the same again for each gradient."""
    return Expected(macs, macs * (_trained(given) + _trained(weight)))


def _linear(part: Any, given: Tensor, out: Tensor) -> Expected:
    return _both_ways(out.numel() * part.in_features, given, part.weight)


def _convolution(part: Any, given: Tensor, out: Tensor) -> Expected:
    """Apply one kernel over the channels of its group for every value out."""
    taken = part.in_channels // part.groups * math.prod(part.kernel_size)
    return _both_ways(out.numel() * taken, given, part.weight)


def _transposed(part: Any, given: Tensor, out: Tensor) -> Expected:  # noqa: ARG001
    """Send one kernel over the channels of its group for every value in."""
    sent = part.out_channels // part.groups * math.prod(part.kernel_size)
    return _both_ways(given.numel() * sent, given, part.weight)


def _recurrent(part: Any, given: Any, out: Any) -> Expected | None:  # noqa: ARG001
    """Return steps times gates times widths; the first state is zero and needs no gradient."""
    gates = {"LSTM": 4, "GRU": 3}.get(part.mode, 1)
    if isinstance(given, PackedSequence):
        data, steps, sequences = given.data, given.data.shape[0], int(given.batch_sizes[0])
    else:
        data, steps = given, given.numel() // given.shape[-1]
        sequences = 1 if given.dim() == 2 else given.shape[0 if part.batch_first else 1]
    directions = 2 if part.bidirectional else 1
    state = part.proj_size or part.hidden_size
    forward = back = 0
    for layer in range(part.num_layers):
        into = steps * gates * part.hidden_size * (directions * state if layer else data.shape[-1])
        own = gates * part.hidden_size * state
        projected = steps * part.hidden_size * part.proj_size
        forward += directions * (into + steps * own + projected)
        wanted = layer > 0 or _trained(data)
        back += directions * (into * (1 + wanted) + (2 * steps - sequences) * own + 2 * projected)
    every = [_trained(weight) for weight in part.parameters()]
    if all(every):
        return Expected(forward, back)
    return Expected(forward, None if any(every) or _trained(data) else 0)


_RULES: dict[type[nn.Module], Callable[[Any, Any, Any], Expected | None]] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
    nn.ConvTranspose1d: _transposed,
    nn.ConvTranspose2d: _transposed,
    nn.ConvTranspose3d: _transposed,
    nn.LSTM: _recurrent,
    nn.GRU: _recurrent,
    nn.RNN: _recurrent,
}
