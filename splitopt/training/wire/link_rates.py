"""What a plan gives the links of a run, as one rate for each pair of a sender and a receiver."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from splitopt.errors import CapabilityError
from splitopt.training.wire.pipeline.timing import PipelineTiming, pipeline_timing
from splitopt.training.wire.star.several.places import server_rank
from splitopt.training.wire.star.timing import GRADIENT, MODEL_UP, UPLOAD, Timing

if TYPE_CHECKING:
    from splitopt.training.program import Program

Rates = dict[tuple[int, int], float]
"""(sender, receiver), as ranks -> byte/s of the wall."""

_TOLERANCE = 1e-6


def of_devices(program: Program, time_scale: float) -> Rates:
    """Return the rates of a plan with devices (ranks 1, 2, ...) and a server (rank 0) or several.

    Raises
    ------
    CapabilityError
        The plan gives a device different rates in one direction, such as a broadcast and a
        channel of its own.
    """
    timing = Timing(program)
    found: Rates = {}
    for number in range(program.rounds_known):
        for n, pieces in enumerate(timing.round(number).pieces):
            server = server_rank(program, n)
            for pair, phases in (
                ((n + 1, server), (UPLOAD, MODEL_UP)),
                ((server, n + 1), (timing.model_down, GRADIENT)),
            ):
                for phase in phases:
                    rate = pieces[phase].rate_bytes_per_s / time_scale
                    if pieces[phase].payload_bytes and rate < math.inf:
                        _add(found, pair, rate, program.clients[n].name)
    return found


def of_two_servers(program: Program, time_scale: float) -> Rates:
    """Return the rates of a plan with devices (ranks 1, 2, ...) and a fed server as the last rank.

    Models go from and to the fed server, all else from and to rank 0, or the device's own of
    several servers, each at its planned rate.
    """
    timing, others = Timing(program), max(0, len(program.server_names) - 1)
    fed = len(program.clients) + others + 1
    found: Rates = {}
    for number in range(program.rounds_known):
        for n, pieces in enumerate(timing.round(number).pieces):
            server = server_rank(program, n)
            for pair, phase in (
                ((n + 1, server), UPLOAD),
                ((server, n + 1), GRADIENT),
                ((n + 1, fed), MODEL_UP),
                ((fed, n + 1), timing.model_down),
            ):
                rate = pieces[phase].rate_bytes_per_s / time_scale
                if pieces[phase].payload_bytes and rate < math.inf:
                    _add(found, pair, rate, program.clients[n].name)
    return found


def of_pipeline(program: Program, time_scale: float) -> Rates:
    """Return the rates of a plan with owners (ranks 1, 2, ...) and then nodes.

    Raises
    ------
    CapabilityError
        The plan gives an owner different rates in one direction.
    """
    return rates_of(pipeline_timing(program.opened, time_scale))


def rates_of(timing: PipelineTiming) -> Rates:
    """Return the rates of a pipeline; for ranks and errors see `of_pipeline`."""
    found: Rates = {}
    for owner, way in enumerate(timing.ways):
        for leg, pair in zip(way.legs, _pairs(owner, timing), strict=True):
            if leg.rate_bytes_per_s < math.inf:
                _add(found, pair, leg.rate_bytes_per_s, timing.owners[owner])
    return found


def _pairs(owner: int, timing: PipelineTiming) -> Iterable[tuple[int, int]]:
    """Sender and receiver of every leg of an owner's way."""
    first = len(timing.owners) + 1
    nodes = [first + node for node in range(len(timing.nodes))]
    stops = [owner + 1, *nodes, owner + 1, *nodes[::-1], owner + 1]
    return itertools.pairwise(stops)


def _add(found: Rates, pair: tuple[int, int], rate: float, name: str) -> None:
    known = found.setdefault(pair, rate)
    if abs(known - rate) > _TOLERANCE * known:
        raise CapabilityError(
            f"namespaces: the plan gives {name} {8 * known:.4g} and {8 * rate:.4g} bit/s (of the "
            "wall) in one direction, but tc holds a link to one rate; leave them out, and the "
            "processes pace their links by themselves"
        )
