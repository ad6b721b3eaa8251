"""Times of layers from traces of ``torch.profiler`` (Chrome trace JSON).

The layers must be marked while profiling, each by ``torch.profiler.record_function(NAME)`` with the
name of the profile's layer. What runs backward carries the sequence number of the operation that it
belongs to, and so its layer. On a CPU the forward times are those of the marks; on a GPU the times
are those of the kernels that a layer launches, forward and backward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from splitopt.documents.checks import is_finite
from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import MOST_BYTES, read_text
from splitopt.errors import InputError
from splitopt.profiles.readers.torch_trace_gpu import (
    Event,
    Place,
    busy_times,
    device_events,
    expect_kernels,
    expect_same_device,
    launch_places,
    within,
)
from splitopt.profiles.table.arrays import Array, Mask
from splitopt.profiles.table.machine_times import MachineTimes
from splitopt.profiles.table.profile import ModelProfile

_BACKWARD = "autograd::engine::evaluate_function"
_SEQUENCE = "Sequence number"


def is_torch_trace(document: Any) -> bool:
    """Whether a JSON document is a Chrome trace."""
    return isinstance(document, Mapping) and isinstance(document.get("traceEvents"), list)


def with_torch_trace(
    profile: ModelProfile, path: str | Path, batch: int, machine: str
) -> ModelProfile:
    """Add the times of a trace to a profile, medians over the runs that it holds.

    Where the trace has kernels, they are the device's times and not those of the host.

    Weight updates are not in such a trace by layer and count as 0.

    Parameters
    ----------
    profile
        The profile of the model that was traced.
    path
        What ``prof.export_chrome_trace`` wrote; not compressed.
    batch
        Samples in a batch.
    machine
        The name to file the times under.

    Raises
    ------
    InputError
        Not such a trace, one without a mark that is the name of a layer, or a GPU run whose
        kernels are not in the trace, cannot be linked to layers, or are not those of all layers.
    """
    if batch < 1:
        raise InputError.at("batch", f"is {batch}; give a whole number >= 1")
    if machine in profile.machines:
        raise InputError(
            f"profile {profile.name!r} has a machine {machine!r} already; give another name"
        )
    document = parse_json(read_text(path, MOST_BYTES), str(path))
    if not is_torch_trace(document):
        raise InputError(f"{path}: is no Chrome trace; it has no 'traceEvents'")
    events = [event for event in document["traceEvents"] if _is_complete(event)]
    marks = sorted(
        (e for e in events if e.get("cat") == "user_annotation" and e["name"] in profile.layers),
        key=lambda event: float(event["ts"]),
    )
    if not marks:
        raise InputError(
            f"{path}: no layer of {profile.name} is marked; profile each layer inside "
            "torch.profiler.record_function(NAME) with the names "
            f"{', '.join(profile.layers[:3])}, ..."
        )
    found = _seconds(events, marks, profile.layers, str(path))
    forward_s, backward_s = found.forward / 1e6 / batch, found.backward / 1e6 / batch
    none = np.zeros(profile.layer_count)
    times = MachineTimes(forward_s, backward_s, none, found.measured, batch=batch)
    note = (
        f"Times of {machine} are {found.whose} in the torch.profiler trace {Path(path).name}, for "
        f"batches of {batch}, without weight updates."
    )
    provenance = replace(profile.provenance, notes=(*profile.provenance.notes, note))
    machines = {**profile.machines, machine: times}
    return replace(profile, machines=machines, provenance=provenance)


class _Times(NamedTuple):
    """Microseconds of each layer for a batch, which layers have some, and whose times they are."""

    forward: Array
    backward: Array
    measured: Mask
    whose: str


def _seconds(
    events: Sequence[Event], marks: Sequence[Event], layers: Sequence[str], source: str
) -> _Times:
    """Return the medians over the marks of each layer, of the device's times where there are."""
    owner = _owners(events, marks)
    device = device_events(events)
    if device:
        forward, backward = _on_device(events, marks, owner, device, source)
        whose = "those of the kernels on the GPU"
    else:
        expect_kernels(events, source)
        forward = [float(mark["dur"]) for mark in marks]
        backward = _backward(events, owner, len(marks))
        whose = "those of the marks on the host"
    medians = np.zeros((2, len(layers)))
    marked = np.zeros(len(layers), dtype=np.bool_)
    idle: dict[str, list[tuple[float, float, Any]]] = {}
    for index, layer in enumerate(layers):
        own = [k for k, mark in enumerate(marks) if mark["name"] == layer]
        if not own:
            continue
        marked[index] = True
        medians[0, index] = np.median([forward[k] for k in own])
        medians[1, index] = np.median([backward[k] for k in own])
        if device and not any(forward[k] for k in own):
            idle[layer] = [(*_span(marks[k]), marks[k].get("tid")) for k in own]
    expect_same_device(idle, events, source)
    measured = marked if device else medians[0] > 0
    medians[:, ~measured] = 0.0
    return _Times(medians[0], medians[1], measured, whose)


def _on_device(
    events: Sequence[Event],
    marks: Sequence[Event],
    owner: Mapping[int, int],
    device: Sequence[Event],
    source: str,
) -> tuple[list[float], list[float]]:
    """Compute the microseconds of kernels that each mark launches, forward and backward."""
    places = launch_places(events, device, source)
    spans = [(Place(mark.get("tid"), _span(mark)[0]), _span(mark)[1]) for mark in marks]
    passes = [e for e in events if e["name"].startswith(_BACKWARD) and _sequence(e) in owner]
    inside = within(places, [(Place(e.get("tid"), _span(e)[0]), _span(e)[1]) for e in passes])
    numbers = [None if k is None else _sequence(passes[k]) for k in inside]
    back = [None if number is None else owner[number] for number in numbers]
    fore = [
        None if later is not None else at
        for at, later in zip(within(places, spans), back, strict=True)
    ]
    return busy_times(device, fore, len(marks)), busy_times(device, back, len(marks))


def _span(event: Event) -> tuple[float, float]:
    """Start and end of an event in microseconds."""
    return float(event["ts"]), float(event["ts"]) + float(event["dur"])


def _is_complete(event: Any) -> bool:
    """Whether an event is an interval with a name."""
    return (
        isinstance(event, Mapping)
        and event.get("ph") == "X"
        and isinstance(event.get("name"), str)
        and all(is_finite(event.get(key)) for key in ("ts", "dur"))
        and isinstance(event.get("tid"), int | str | None)
    )


def _owners(events: Sequence[Event], marks: Sequence[Event]) -> dict[int, int]:
    """Find the mark in which each sequence number is given out."""
    starts = np.array([float(mark["ts"]) for mark in marks])
    ends = starts + np.array([float(mark["dur"]) for mark in marks])
    owner: dict[int, int] = {}
    for event in events:
        number = _sequence(event)
        if number is None or event["args"].get("Fwd thread id", 0):
            continue
        at = int(np.searchsorted(starts, float(event["ts"]), side="right")) - 1
        inside = at >= 0 and float(event["ts"]) < ends[at]
        if inside and event.get("tid") == marks[at].get("tid"):
            owner[number] = at
    return owner


def _backward(events: Sequence[Event], owner: Mapping[int, int], count: int) -> list[float]:
    """Compute the microseconds of the backward pass on the host that belong to each mark."""
    found = [0.0] * count
    for event in events:
        number = _sequence(event)
        if number is not None and number in owner and event["name"].startswith(_BACKWARD):
            found[owner[number]] += float(event["dur"])
    return found


def _sequence(event: Event) -> int | None:
    arguments = event.get("args")
    number = arguments.get(_SEQUENCE) if isinstance(arguments, Mapping) else None
    return number if isinstance(number, int) and number >= 0 else None
