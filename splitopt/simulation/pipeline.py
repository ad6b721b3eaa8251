"""The pipeline of MP-SL, event by event: owners, their links, nodes, and the links between nodes.

At the end of a global epoch the owners' parts of the model are averaged (section 4.2). An owner
sends its parts when its last batch is done: side by side with the others over a link of its own, in
turn over a shared uplink. When all have come they are averaged, and the result goes to one owner
after the other.

Every owner has one batch in flight. A node is a single server that takes forward and backward tasks
in the order in which they arrive; so are one direction of a full-duplex link, a half-duplex link,
and an interface. A message between two interfaces occupies each of them for its own time, at the
same moment if both are free, so that it takes as long as the slower one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.simulation.fifo import serve
from splitopt.simulation.noise import check_noise, noise_factors
from splitopt.simulation.route import AVERAGING, DOWNLOAD, Route, pipeline_route
from splitopt.simulation.system import PipelineSystem
from splitopt.timeline import FloatArray, Timeline


def run_pipeline(
    system: PipelineSystem, *, noise: float = 0.0, seed: int = 0, compiled: bool | None = None
) -> Timeline:
    """Simulate a global epoch: all batches of all owners, and the aggregation.

    Parameters
    ----------
    noise
        Standard deviation of the factor, of mean 1, by which every task and transfer is stretched.
    seed
        Seed of the noise.
    compiled
        Whether to use the compiled event loop; by default where it is worth it.

    Raises
    ------
    InputError
        The noise is negative.
    """
    route, cycles = pipeline_route(system), system.batches_per_owner
    columns = int(route.steps.factor.max(initial=-1)) + 1
    count = int(cycles.sum()) * columns
    drawn = noise_factors((count + 1 + cycles.size,), check_noise(noise), seed)
    factors = None if drawn is None else drawn[:count].reshape(-1, columns)
    start, end = serve(route.steps, cycles, factors, compiled)
    owner = np.repeat(np.arange(cycles.size), cycles)
    batch = np.concatenate([np.arange(count) for count in cycles])
    last = np.cumsum(cycles)[cycles > 0] - 1
    after = _averaged(system, route, end[last, -1], None if drawn is None else drawn[count:])
    origin = {"noise": float(noise), "seed": seed}
    return route.timeline(system.owner_names, owner, batch, start, end, origin, after)


def _averaged(
    system: PipelineSystem, route: Route, sent_s: FloatArray, factors: FloatArray | None
) -> list[tuple[Any, ...]]:
    """Return the tasks from the last upload on, see `Route.timeline`.

    Parameters
    ----------
    sent_s
        When the uploads end, of the owners that have any batches.
    factors
        Shape (1 + K,): of averaging and of the downloads.
    """
    found, cycles = system.aggregation, system.batches_per_owner
    if found is None or not sent_s.size:
        return []
    owners = np.flatnonzero(cycles > 0)
    scale = np.ones(1 + cycles.size) if factors is None else factors
    delay = system.owners.latency_s[owners]
    arrived = sent_s + delay
    slowest = int(owners[int(arrived.argmax())])
    begin, averaged = float(arrived.max()), found.aggregate_s * float(scale[0])
    tasks: list[tuple[Any, ...]] = []
    if found.aggregate_s > 0:
        place = len(route.resources) - 1
        row = (place, AVERAGING, slowest, cycles[slowest] - 1, begin, begin + averaged, 1.0)
        tasks.append(row)
    taken = found.download_s[owners] * scale[1 + owners]
    ends = begin + averaged + np.cumsum(taken) + delay.max()
    for owner, end, seconds in zip(owners, ends, taken, strict=True):
        place = route.channels[1, owner]
        tasks.append((place, DOWNLOAD, owner, cycles[owner] - 1, end - seconds, end, 1.0))
    return tasks
