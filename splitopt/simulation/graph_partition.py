"""A round of `GraphPartition`: micro-batches through the machines, pass by pass."""

from __future__ import annotations

import numpy as np

from splitopt.latency.graph_pipeline import PHASES, Stations, enough_in_flight, most_periods, run
from splitopt.problems.graph_partition import GraphPartition, GraphPartitionDecision
from splitopt.problems.graph_partition.stations import costs_of_scenario, stations_of
from splitopt.simulation.noise import check_noise, noise_factors
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.timeline import FloatArray, IntArray, Resource, Timeline

MICRO_BATCHES = 32
"""Micro-batches of a round where nothing says how many there are."""
MOST_PASSES = 200_000
"""Passes of all machines that are replayed of a longer round."""


def replay(problem: GraphPartition, decision: GraphPartitionDecision, setting: Setting) -> Replay:
    """Simulate a round of micro-batches.

    The order of passes is that of `splitopt.latency.graph_pipeline`. Of a problem without a
    scenario, nodes that are not backward make the forward pass, and any number of micro-batches
    may be in flight.
    """
    section = None if setting.scenario is None else setting.scenario.accelerators
    costs = cap = None
    names = [f"accelerator {d}" for d in range(problem.accelerators)]
    names += [f"CPU {d}" for d in range(problem.cpus)]
    count = problem.micro_batches or MICRO_BATCHES
    if section is not None and setting.scenario is not None and setting.profile is not None:
        costs = costs_of_scenario(setting.scenario, setting.profile)
        names, cap = section.names(), section.most_in_flight
        count = section.micro_batches
    used, stations = stations_of(problem, decision.device, costs, cap)
    whole, count = count, min(count, max(1, MOST_PASSES // (2 * stations.places)))
    factors = noise_factors(
        (stations.places, count, len(PHASES)), check_noise(setting.noise), setting.seed
    )
    found = run(stations, count, factors)
    timeline = _timeline(problem, used, names, found.start_s, found.end_s, setting)
    load, busiest = stations.load_s, int(stations.seconds.sum(axis=1).argmax())
    return Replay(
        timeline=timeline,
        span=f"{'' if count == whole else 'the first part of '}a round, {count:,} micro-batches",
        forecasts=_forecasts(stations, count),
        binding=f"{names[int(used[busiest])]}, {load:.4g} s per micro-batch",
        facts=(
            ("Period of a full pipeline", f"{load:.5g} s per micro-batch, the maximal load"),
            ("Simulated pace", _pace(found.end_s)),
            ("Machines in use", f"{stations.places} of {problem.devices}"),
        ),
    )


def _forecasts(stations: Stations, count: int) -> tuple[Forecast, ...]:
    """Return the least that a round takes, and the most where enough may be in flight."""
    load, places = stations.load_s, stations.places
    least = Forecast("micro-batches times the maximal load", count * load)
    cap = stations.in_flight
    if cap is not None and cap < enough_in_flight(places, count):
        return (least,)
    most = most_periods(places, count) * load
    return least, Forecast("at most, filled and emptied as well", most)


def _pace(end_s: FloatArray) -> str:
    """Return the seconds between micro-batches that end while the pipeline is full."""
    places, count = end_s.shape[:2]
    first, last = 2 * places, count - 2 * places
    if last <= first:
        return f"{count:,} micro-batches are too few to fill it; it takes {4 * places + 2}"
    done = end_s[:, :, 3:].max(axis=(0, 2))
    return f"{(done[last] - done[first]) / (last - first):.5g} s per micro-batch"


def _timeline(
    problem: GraphPartition,
    used: IntArray,
    names: list[str],
    start_s: FloatArray,
    end_s: FloatArray,
    setting: Setting,
) -> Timeline:
    """Return the passes as tasks, those without any duration left out."""
    place, batch, phase = np.nonzero(end_s > start_s)
    kinds = ["accelerator" if d < problem.accelerators else "CPU" for d in used]
    return Timeline(
        tuple(Resource(names[int(d)], kind) for d, kind in zip(used, kinds, strict=True)),
        PHASES,
        ("round",),
        place,
        phase,
        np.zeros(place.size, dtype=np.int64),
        batch,
        start_s[place, batch, phase],
        end_s[place, batch, phase],
        np.ones(place.size),
        origin=setting.origin(problem.name),
    )
