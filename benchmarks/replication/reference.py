"""PipeDream's optimizer with replication, for alike machines on one level.

With C seconds of work and W bytes of weights in the layers i to j - 1, a stage on m machines takes

    T(i, j, m) = (C(i, j) + 4 (m - 1) W(i, j) / (m B)) / m

per batch, and the best pipeline of the first j layers on m machines

    A(j, m) = min(T(0, j, m), min over i < j, m' < m of max(A(i, m - m'), T(i, j, m')))

as in section 3.1 of Narayanan et al. (SOSP 2019) and ``optimizer_graph_hierarchical.py`` of
github.com/msr-fiddle/pipedream. Its defaults count no transfers between stages; where they are
asked for, a stage that follows another one takes at least ``2 a_i / (B m')`` and, unless it is the
last, ``2 a_j / (B m')`` for the a bytes that cross its ends.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def pipedream_plan(
    seconds: FloatArray,
    weights: FloatArray,
    bandwidth: float,
    machines: int,
    crossing: FloatArray | None = None,
) -> tuple[float, list[int], list[int]]:
    """Return the least seconds per batch, and the ends and numbers of machines of the stages.

    Parameters
    ----------
    seconds, weights
        Shape (S,): forward and backward together, and bytes, of each layer.
    bandwidth
        Byte/s of a machine's interface, B.
    machines
        How many there are; fewer may be used.
    crossing
        Shape (S + 1,): bytes over each boundary, to count transfers; None to count none.
    """
    work, held = (np.concatenate(([0.0], np.cumsum(table))) for table in (seconds, weights))
    layers = len(seconds)
    forward = np.arange(layers + 1)[None, :] > np.arange(layers + 1)[:, None]
    stage = [np.empty(0)]
    for m in range(1, machines + 1):
        sync = 4 * (m - 1) / (m * bandwidth) * (held[None, :] - held[:, None])
        stage.append(np.where(forward, (work[None, :] - work[:, None] + sync) / m, np.inf))
    best = np.full((machines + 1, layers + 1), np.inf)
    choice: dict[tuple[int, int], tuple[int, int]] = {}
    for m in range(1, machines + 1):
        best[m] = stage[m][0]
        for own in range(1, m):
            through = np.maximum(best[m - own][:, None], stage[own])
            if crossing is not None:
                sent = 2.0 * np.append(crossing[:-1], 0.0) / (bandwidth * own)
                through = np.maximum(through, np.maximum(sent[:, None], sent[None, :]))
            value, start = through.min(axis=0), through.argmin(axis=0)
            for j in np.flatnonzero(value < best[m]).tolist():
                best[m, j], choice[m, j] = value[j], (own, int(start[j]))
    m, j = int(best[:, -1].argmin()), layers
    found = float(best[m, j])
    ends, replicas = [], []
    while (m, j) in choice:
        own, start = choice[m, j]
        ends.append(j)
        replicas.append(own)
        m, j = m - own, start
    return found, [j, *ends[::-1]], [m, *replicas[::-1]]
