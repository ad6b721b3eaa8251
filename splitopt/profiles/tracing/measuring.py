"""Timing the layers of a traced model on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.interval import Interval
from splitopt.profiles.table.machine_times import MachineTimes
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.tracing.result import TracedModel
from splitopt.profiles.tracing.running.example import Inputs, resized, tensors_in
from splitopt.profiles.tracing.running.passes import split_pass
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.profiles.tracing.split import parts_between

PHASES = ("forward", "backward", "update")
Clock = Callable[[], float]


@dataclass(frozen=True)
class Measurement:
    """Times of the layers of a profile on this machine.

    Parameters
    ----------
    profile
        The profile with the machine's times, the medians over the runs.
    machine
        The machine's name.
    batch, repeats, warmup, threads
        How it was measured; the warm-up runs are not counted.
    spread
        Shape ``(L,)``: the distance of the quartiles of a layer's time over its median.
    total_spread
        The same for the time of the whole model.
    """

    profile: ModelProfile
    machine: str
    batch: int
    repeats: int
    warmup: int
    threads: int
    spread: Array
    total_spread: float

    def sentence(self) -> str:
        """Return how it was measured and how much the times vary."""
        middle, most = float(np.median(self.spread)), float(self.spread.max())
        return (
            f"{self.machine}: medians of {self.repeats} runs after {self.warmup} to warm up, "
            f"batches of {self.batch}, {self.threads} thread{'s' if self.threads > 1 else ''}, "
            f"torch {torch.__version__}; the quartiles of the whole lie "
            f"{100 * self.total_spread:.1f} % apart, those of a layer {100 * middle:.1f} % in the "
            f"median and {100 * most:.0f} % at most"
        )


def measure(
    traced: TracedModel,
    machine: str = "here",
    *,
    batch: int = 32,
    repeats: int = 20,
    warmup: int = 3,
    threads: int | None = None,
    clock: Clock | None = None,
) -> Measurement:
    """Time forward pass, backward pass and weight update of every layer of a traced model.

    The layers run cut off from each other, as they do in split training; the update is a step of
    plain SGD that changes nothing. The module is left as it was.

    Parameters
    ----------
    traced
        What `splitopt.profiles.trace` gave for a module on the CPU.
    machine
        The name to file the times under.
    batch
        Samples in a batch; times are divided by it.
    repeats, warmup
        Runs that count, and runs before them.
    threads
        Threads of torch; what is set now by default.
    clock
        What gives the seconds: wall time by default. On a machine that others use too, and with
        one thread, `time.process_time` leaves out what they take.

    Raises
    ------
    InputError
        A number below 1, or a module that is not on the CPU.
    """
    for field, value in (("batch", batch), ("repeats", repeats), ("threads", threads or 1)):
        if value < 1:
            raise InputError.at(field, f"is {value}; give a whole number >= 1")
    if any(item.device.type != "cpu" for item in tensors_in(traced.inputs)):
        raise InputError("times are taken on the CPU; trace the module there, not on shapes only")
    with _threads(threads) as used:
        seconds = _seconds(traced, batch, warmup + repeats, clock or time.perf_counter)[warmup:]
    found = Measurement(
        traced.profile,
        machine,
        batch,
        repeats,
        warmup,
        used,
        _spread(seconds.sum(axis=2)),
        float(_spread(seconds.sum(axis=(1, 2))[:, None])[0]),
    )
    return replace(found, profile=_with_times(found, seconds))


def _seconds(traced: TracedModel, batch: int, runs: int, now: Clock) -> Array:
    """Time all layers so many times, in s: an array of shape (runs, layers, 3)."""
    split = traced.split
    ends = [split.structure.values[split.layers.index(name)] for name in traced.profile.layers]
    with undisturbed(split.module):
        split.module.train()
        parts = parts_between(split.chain, split.structure, ends[:-1], apart=True)
        inputs = resized(traced.inputs, batch)
        return np.array([_run(parts, inputs, split.module, now) for _ in range(runs)])


def _with_times(found: Measurement, seconds: Array) -> ModelProfile:
    """Return the profile with the medians of what was measured, (repeats, layers, 3) in s."""
    profile, provenance = found.profile, found.profile.provenance
    forward, backward, update = (np.median(seconds, axis=0) / found.batch).T
    timed = np.ones(profile.layer_count, dtype=np.bool_)
    times = MachineTimes(forward, backward, update, timed, _interval(seconds), found.batch)
    notes = (*provenance.notes, f"{found.sentence()}.")
    return replace(
        profile,
        machines={**profile.machines, found.machine: times},
        provenance=replace(provenance, kind="measured", notes=notes),
    )


def _interval(seconds: Array) -> Interval | None:
    """Compute how far the time of one pass lies from the sum of the medians that stand for it.

    None for a single run, which says nothing about others.
    """
    if len(seconds) < 2:
        return None
    whole = seconds.sum(axis=(1, 2)) / np.median(seconds, axis=0).sum()
    return Interval.of_ratios(
        [whole], f"quantiles of {len(seconds)} timed passes of the whole model"
    )


@contextmanager
def _threads(wanted: int | None) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield wanted or before
    finally:
        torch.set_num_threads(before)


def _run(parts: Sequence[nn.Module], inputs: Inputs, module: nn.Module, now: Clock) -> Array:
    """Time one pass and one update, in s: an array of shape (layers, 3)."""
    found = np.zeros((len(parts), len(PHASES)))

    @contextmanager
    def stopwatch(part: int, phase: str) -> Iterator[None]:
        start = now()
        yield
        found[part, PHASES.index(phase)] = now() - start

    outcome = split_pass(parts, inputs, module, stopwatch)
    for index, part in enumerate(parts):
        trained = [p for p in part.parameters() if p.requires_grad]
        gradients = [outcome.gradients[id(p)] for p in trained if id(p) in outcome.gradients]
        if gradients:
            known = [p for p in trained if id(p) in outcome.gradients]
            found[index, 2] = _update(known, gradients, now)
    return found


def _update(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor], now: Clock) -> float:
    """Time a step of SGD whose rate is zero."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    step = torch.optim.SGD(parameters, lr=0.0)
    start = now()
    step.step()
    passed = now() - start
    for parameter in parameters:
        parameter.grad = None
    return passed


def _spread(seconds: Array) -> Array:
    """Distance of the quartiles over the median, along the first axis."""
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75), axis=0)
    spread: Array = (high - low) / np.maximum(middle, 1e-12)
    return spread
