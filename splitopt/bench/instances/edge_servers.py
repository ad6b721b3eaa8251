"""Fleets that choose between edge servers: families of the general form of `CutAndResources`.

Devices lie in a square, servers on a jittered grid in it, each with a downlink, an uplink and a
computer of its own. The rate of a link falls with the distance to the server (path loss exponent
3.5, Shannon's formula); a choice is a server and a cut. Seconds at the full resource are divided by
the devices per server, so that a fair share costs the same at every size.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from splitopt.bench.instances.rounding import rounded
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources

SERVERS, LAYERS = 3, 8
_SAMPLES = 10.0
_PARTS = ("downlink", "uplink", "computer")
_EXPONENT = 3.5
_NOISE_AT = 1.5
"""Distance, in spacings of the servers, at which the signal is as strong as the noise."""


def servers(
    seed: int, devices: int, servers: int = SERVERS, layers: int = LAYERS
) -> CutAndResources:
    """Edge servers with links of their own: a choice is a server and a cut."""
    return CutAndResources.of_choices(**_draw(seed, devices, servers, layers))


def seats(seed: int, devices: int, servers: int = SERVERS, layers: int = LAYERS) -> CutAndResources:
    """Like `servers`, and each of them has seats for its fair share of the devices, and one."""
    server = np.arange(servers * layers) // layers
    budgets = [
        {
            "name": f"seats of server {k + 1}",
            "use": np.tile((server == k).astype(np.float64), (devices, 1)),
            "limit": float(math.ceil(devices / servers) + 1),
        }
        for k in range(servers)
    ]
    return CutAndResources.of_choices(**_draw(seed, devices, servers, layers), budgets=budgets)


def _draw(seed: int, devices: int, count: int, layers: int) -> dict[str, Any]:
    """Draw the arguments of `CutAndResources.of_choices`."""
    rng = np.random.default_rng(seed)
    work, own = _tables(rng, _slowness(rng, devices, count), layers)
    servers, cuts = range(1, count + 1), range(1, layers + 1)
    return {
        "work_s": rounded(work),
        "own_s": rounded(own),
        "resources": [f"{part} of server {k}" for k in servers for part in _PARTS],
        "choice_names": [f"server {k}, cut {cut}" for k in servers for cut in cuts],
    }


def _slowness(rng: np.random.Generator, devices: int, count: int) -> FloatArray:
    """Seconds per unit of traffic (N, K), 1 at about half the spacing of the servers."""
    side = math.ceil(math.sqrt(count))
    grid = np.array([(i % side, i // side) for i in range(count)], dtype=np.float64)
    place = (grid + rng.uniform(0.3, 0.7, (count, 2))) / side
    where = rng.uniform(0.0, 1.0, (devices, 2))
    spacing = 1.0 / side
    distance = np.sqrt(((where[:, None] - place) ** 2).sum(axis=2)) / spacing
    signal = (_NOISE_AT / np.maximum(distance, 0.05)) ** _EXPONENT
    return np.asarray(np.log2(1 + (2 * _NOISE_AT) ** _EXPONENT) / np.log2(1 + signal))


def _tables(
    rng: np.random.Generator, slow: FloatArray, layers: int
) -> tuple[FloatArray, FloatArray]:
    """Seconds of the resources (N, K L, 3 K) and of the devices (N, K L), as in `bounded`."""
    devices, count = len(slow), len(slow.T)
    depth = np.cumsum(rng.uniform(0.2, 1.8, layers))
    depth /= depth[-1]
    model = np.cumsum(rng.uniform(0.0, 1.0, layers) * np.arange(1, layers + 1) ** 2)
    model /= model[-1]
    smashed = np.sort(rng.uniform(0.05, 1.0, layers))[::-1].copy()
    smashed[-1] = 0.0
    samples = rng.uniform(1.0, 4.0, devices)[:, None]
    speed = np.exp(rng.uniform(np.log(0.1), 0.0, devices))[:, None]
    power = rng.uniform(0.5, 2.0, count)
    traffic = 2.0 * model + samples * smashed
    behind = samples * (1.0 - depth)
    behind[:, -1] = 0.0
    work = np.zeros((devices, count, layers, count, 3))
    for k in range(count):
        work[:, k, :, k, 0] = slow[:, k, None] * traffic
        work[:, k, :, k, 1] = 2.0 * slow[:, k, None] * traffic
        work[:, k, :, k, 2] = behind / power[k]
    work *= _SAMPLES * count / devices
    own = np.repeat((_SAMPLES * samples * depth / speed)[:, None], count, axis=1)
    return work.reshape(devices, count * layers, 3 * count), own.reshape(devices, -1)
