"""Device times of layers from the kernels in a trace of ``torch.profiler``.

On a GPU the host only launches: what a mark or an operator takes there is the time of the launch,
and the kernel runs later. A kernel is linked to what launched it in two ways: its ``correlation``
is that of the runtime's call (``cudaLaunchKernel``), its ``External id`` that of the operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from splitopt.errors import InputError, shown

Event = Mapping[str, Any]

_ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
_RUNTIME = ("_runtime", "_driver")
_VIEWS = frozenset(
    "aten::" + name
    for name in (
        "_reshape_alias", "_unsafe_view", "alias", "as_strided", "chunk", "detach", "expand",
        "flatten", "lift_fresh", "narrow", "permute", "reshape", "result_type", "select", "slice",
        "split", "squeeze", "t", "to", "transpose", "unbind", "unflatten", "unsqueeze", "view",
        "view_as",
    )
)  # fmt: skip
"""Operators that launch nothing on any machine: they change shape and strides."""


class Place(NamedTuple):
    """Where on the host something happens: thread and microseconds."""

    thread: Any
    start: float


def device_events(events: Sequence[Event]) -> list[Event]:
    """Select what runs on a device: kernels, copies and fills."""
    return [event for event in events if event.get("cat") in _ON_DEVICE]


def expect_kernels(events: Sequence[Event], source: str) -> None:
    """Raise `InputError` if a trace without kernels is that of a GPU run.

    It launches kernels, or runs operators of a GPU's library, and their times are not recorded.
    """
    for event in events:
        runtime = str(event.get("cat", "")).endswith(_RUNTIME)
        launches = runtime and "launch" in event["name"].lower()
        library = event.get("cat") == "cpu_op" and any(
            word in event["name"] for word in ("cudnn", "miopen")
        )
        if launches or library:
            raise InputError(
                f"{source}: {event['name']} runs on a GPU, but the trace has no kernels, and the "
                "host's times are not those of the GPU; profile with activities "
                "ProfilerActivity.CPU and ProfilerActivity.CUDA"
            )


def launch_places(events: Sequence[Event], device: Sequence[Event], source: str) -> list[Place]:
    """Find where on the host each of the device's events was launched.

    Raises
    ------
    InputError
        One that is linked to nothing in the trace, and so to no layer.
    """
    by_call: dict[Any, Place] = {}
    by_operator: dict[Any, Place] = {}
    for event in events:
        kind, place = str(event.get("cat", "")), Place(event.get("tid"), float(event["ts"]))
        if kind.endswith(_RUNTIME) and (number := _argument(event, "correlation")) is not None:
            by_call[number] = place
        elif kind in ("cpu_op", "user_annotation"):
            number = _argument(event, "External id")
            if number is not None and (kind == "cpu_op" or number not in by_operator):
                by_operator[number] = place
    found, lost = [], []
    for event in device:
        at = by_call.get(_argument(event, "correlation"))
        at = by_operator.get(_argument(event, "External id")) if at is None else at
        if at is None:
            lost.append(event["name"])
        else:
            found.append(at)
    if lost:
        raise InputError(
            f"{source}: {len(lost)} of {len(device)} kernels and copies of the GPU, such as "
            f"{shown(lost[0])}, are linked to no operator ('correlation' or 'External id'), so "
            "that no layer's time is known; profile with activities ProfilerActivity.CPU and "
            "ProfilerActivity.CUDA over whole passes"
        )
    return found


def busy_times(device: Sequence[Event], owners: Sequence[int | None], count: int) -> list[float]:
    """Compute the microseconds in which something of each owner (0-based) runs on a device.

    Events that overlap, on streams of one device or on several devices, count once.
    """
    spans: list[list[tuple[float, float]]] = [[] for _ in range(count)]
    for event, owner in zip(device, owners, strict=True):
        if owner is not None:
            start = float(event["ts"])
            spans[owner].append((start, start + float(event["dur"])))
    return [_union(own) for own in spans]


def expect_same_device(
    idle: Mapping[str, Sequence[tuple[float, float, Any]]], events: Sequence[Event], source: str
) -> None:
    """Raise `InputError` if a layer that launched nothing computes on the host.

    Parameters
    ----------
    idle
        Layers without a kernel: start, end and thread of each of their marks.
    events
        All of the trace.
    """
    for layer, marks in idle.items():
        for event in events:
            if event.get("cat") != "cpu_op" or event["name"] in _VIEWS:
                continue
            at, thread = float(event["ts"]), event.get("tid")
            if any(start <= at < end and thread == own for start, end, own in marks):
                raise InputError(
                    f"{source}: layer {layer} launches nothing on the GPU but runs "
                    f"{event['name']} on the host, and other layers run on the GPU; a machine's "
                    "times need all layers on one of them: trace the host's layers apart"
                )


def within(places: Sequence[Place], spans: Sequence[tuple[Place, float]]) -> list[int | None]:
    """Find the span (its place and its end) that holds each place on its thread, the last begun."""
    by_thread: dict[Any, list[int]] = {}
    for index in sorted(range(len(spans)), key=lambda k: spans[k][0].start):
        by_thread.setdefault(spans[index][0].thread, []).append(index)
    starts = {
        thread: np.array([spans[k][0].start for k in own]) for thread, own in by_thread.items()
    }
    found: list[int | None] = []
    for place in places:
        own = by_thread.get(place.thread, [])
        at = int(np.searchsorted(starts[place.thread], place.start, side="right")) if own else 0
        holds = at > 0 and place.start < spans[own[at - 1]][1]
        found.append(own[at - 1] if holds else None)
    return found


def _union(spans: Sequence[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, -np.inf
    for start, end in sorted(spans):
        if end > reached:
            total += end - max(start, reached)
            reached = end
    return float(total)


def _argument(event: Event, name: str) -> int | str | None:
    arguments = event.get("args")
    found = arguments.get(name) if isinstance(arguments, Mapping) else None
    return found if isinstance(found, int | str) else None
