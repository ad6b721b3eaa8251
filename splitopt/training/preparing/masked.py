"""Rounds in the time of masked uploads: 8 bytes for every number of a device's part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from splitopt.secure_sum.fixed_point import WORD
from splitopt.secure_sum.protocol import SumBytes, sum_bytes
from splitopt.simulation.cut_and_resources import PHASES
from splitopt.simulation.replay import Replay
from splitopt.timeline import Timeline
from splitopt.training.model_parts.copies import Copy
from splitopt.training.program import Program
from splitopt.training.schemes import Scheme

MODEL_UP = PHASES[-1]


def with_masked_uploads(program: Program, scheme: Scheme) -> Program:
    """Return a program whose predicted rounds have the bytes of masked vectors.

    The decision stays the plan's, and so do rates: what goes up at the end of a round takes longer
    by the ratio of the bytes. Keys and shares are control, for which no plan pays.
    """
    masked = replace(program, masked=device_part(scheme).averaged_on("device"))
    predict, factor = program._predict, masked.upload_factor

    def stretched(number: int) -> Replay:
        found = predict(number)
        return replace(found, timeline=with_longer_uploads(found.timeline, factor))

    return replace(masked, _predict=stretched)


def planned_sum(program: Program, members: int) -> SumBytes:
    """Return the bytes of the secure sum of a round of so many clients."""
    return sum_bytes(members, program.masked or 0)


def sum_described(program: Program, scheme: Scheme) -> dict[str, Any]:
    """Return what a history says of secure sums, as plain data; nothing where there are none.

    ``differs_by`` is how much an entry of an average may differ from the plain one at most, before
    it is rounded to its type: half a unit of 2^-32 for each device, over the sum of their weights.
    """
    if program.masked is None:
        return {}
    members = scheme.members_in_round
    least = min(scheme.weight(client) for client in scheme.clients)
    return {
        "secure_aggregation": {
            "clients": members,
            "threshold": scheme.unmasking_threshold,
            "round_bytes": planned_sum(program, members)._asdict(),
            "differs_by": 2.0 ** -(WORD.places + 1) / least,
        }
    }


def device_part(scheme: Scheme) -> Copy:
    """Return a copy of the part of the model that every device has."""
    cuts, about = scheme.clients[0].cuts, scheme.about
    part = scheme.split(scheme.model, cuts)[0] if cuts else scheme.model
    return Copy.of(
        part, (), ("device",), scheme.split, scheme.options, about=about, is_part=bool(cuts)
    )


def with_longer_uploads(timeline: Timeline, factor: float) -> Timeline:
    """Return a round whose models take so many times as long on their way up.

    Nothing of a round comes after them. Those that have all of a link follow one another on it;
    those that have a share of it go side by side, and so does what has a link of its own.
    """
    start, end = timeline.start_s.copy(), timeline.end_s.copy()
    rows = [n for n, name in enumerate(timeline.phase) if timeline.phases[name] == MODEL_UP]
    free: dict[int, float] = {}
    for n in sorted(rows, key=lambda row: (timeline.start_s[row], row)):
        place, alone = int(timeline.resource[n]), timeline.share[n] == 1.0
        begin = max(start[n], free.get(place, 0.0)) if alone else start[n]
        start[n], end[n] = begin, begin + factor * (timeline.end_s[n] - timeline.start_s[n])
        free[place] = end[n]
    return replace(timeline, start_s=start, end_s=end)
