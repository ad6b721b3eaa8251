"""Times of layers from traces of ``torch.profiler`` (Chrome trace JSON).

The layers must be marked while profiling, each by ``torch.profiler.record_function(NAME)`` with the
name of the profile's layer. Their forward times are those of the marks. What runs backward carries
the sequence number of the operation that it belongs to, and so its layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.files import parse_json, read_text
from splitopt.profiles.machines import MachineTimes
from splitopt.profiles.model import ModelProfile

_BACKWARD = "autograd::engine::evaluate_function"
_SEQUENCE = "Sequence number"


def is_torch_trace(document: Any) -> bool:
    """Whether a JSON document is a Chrome trace."""
    return isinstance(document, Mapping) and isinstance(document.get("traceEvents"), list)


def with_torch_trace(
    profile: ModelProfile, path: str | Path, batch: int, machine: str
) -> ModelProfile:
    """Add the times of a trace to a profile, medians over the runs that it holds.

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
        Not such a trace, or one without a mark that is the name of a layer.
    """
    if batch < 1:
        raise InputError.at("batch", f"is {batch}; give a whole number >= 1")
    if machine in profile.machines:
        raise InputError(
            f"profile {profile.name!r} has a machine {machine!r} already; give another name"
        )
    document = parse_json(read_text(path), str(path))
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
    backward = _backward(events, marks)
    forward_s, backward_s = np.zeros(profile.layer_count), np.zeros(profile.layer_count)
    for index, layer in enumerate(profile.layers):
        own = [k for k, mark in enumerate(marks) if mark["name"] == layer]
        if own:
            forward_s[index] = np.median([float(marks[k]["dur"]) for k in own]) / 1e6 / batch
            backward_s[index] = np.median([backward[k] for k in own]) / 1e6 / batch
    measured = forward_s > 0
    times = MachineTimes(forward_s, backward_s, np.zeros(profile.layer_count), measured)
    note = (
        f"Times of {machine} are from the torch.profiler trace {Path(path).name}, for batches of "
        f"{batch}, without weight updates."
    )
    provenance = replace(profile.provenance, notes=(*profile.provenance.notes, note))
    machines = {**profile.machines, machine: times}
    return replace(profile, machines=machines, provenance=provenance)


def _is_complete(event: Any) -> bool:
    """Whether an event is an interval with a name."""
    return (
        isinstance(event, Mapping)
        and event.get("ph") == "X"
        and isinstance(event.get("name"), str)
        and all(isinstance(event.get(key), int | float) for key in ("ts", "dur"))
    )


def _backward(
    events: Sequence[Mapping[str, Any]], marks: Sequence[Mapping[str, Any]]
) -> list[float]:
    """Give the microseconds of the backward pass that belong to each mark."""
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
    found = [0.0] * len(marks)
    for event in events:
        number = _sequence(event)
        if number in owner and event["name"].startswith(_BACKWARD):
            found[owner[number]] += float(event["dur"])
    return found


def _sequence(event: Mapping[str, Any]) -> int | None:
    arguments = event.get("args")
    number = arguments.get(_SEQUENCE) if isinstance(arguments, Mapping) else None
    return number if isinstance(number, int) and number >= 0 else None
