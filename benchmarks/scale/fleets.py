"""Families of large fleets, drawn from a seed as factors.

One model (random work, model size and smashed data per cut), devices that differ by speed, samples
and links. Times at the full resource are divided by the number of devices, as if links and server
grew with the fleet.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.problems.cut_and_resources import CutAndResources

LAYERS = 10
CLASSES = 15
NOISE = 1e-6
FAMILIES = ("bounded", "heavy_tail", "classes", "near_classes", "masks")


def draw(family: str, objective: str, devices: int, seed: int, noise: float = 0.0) -> Any:
    """Draw a fleet.

    Parameters
    ----------
    family
        ``bounded``: speeds within a factor of ten; ``heavy_tail``: Pareto-distributed slowness,
        index 1.1; ``classes``: 15 classes of identical devices; ``near_classes``: the same, every
        number off by up to 1e-6; ``masks``: as ``bounded``, each cut allowed with probability 0.4.
    objective, devices, seed
        What is minimised, N, and the seed.
    noise
        Every number of every device is off by up to this, relatively.
    """
    rng = np.random.default_rng(seed)
    kinds = min(CLASSES, devices) if family in ("classes", "near_classes") else devices
    shapes = _shapes(rng)
    scales = _scales(rng, family, kinds)
    if kinds < devices:
        member = rng.integers(0, kinds, devices)
        scales = {name: scale[member] for name, scale in scales.items()}
    masks = _masks(rng, devices) if family == "masks" else {}
    for amount in (NOISE if family == "near_classes" else 0.0, noise):
        if amount:
            for scale in scales.values():
                scale *= 1 + amount * rng.uniform(-1, 1, devices)
    return CutAndResources.from_factors(_factors(scales, shapes, devices) | masks, objective)


def _shapes(rng: np.random.Generator) -> dict[str, Any]:
    """Work, model size and smashed data by cut, each 1 at most; nothing crosses at the last."""
    work = np.cumsum(rng.uniform(0.2, 1.8, LAYERS))
    model = np.cumsum(rng.uniform(0.0, 1.0, LAYERS) * np.arange(1, LAYERS + 1) ** 2)
    smashed = np.sort(rng.uniform(0.05, 1.0, LAYERS))[::-1].copy()
    smashed[-1] = 0.0
    work /= work[-1]
    return {"work": work, "left": 1.0 - work, "model": model / model[-1], "smashed": smashed}


def _scales(rng: np.random.Generator, family: str, kinds: int) -> dict[str, Any]:
    speed = np.exp(rng.uniform(np.log(0.1), 0.0, kinds))
    if family == "heavy_tail":
        speed = 1.0 / (1.0 + rng.pareto(1.1, kinds))
    samples = rng.uniform(1.0, 4.0, kinds)
    return {
        "samples": samples,
        "device": samples / speed,
        "down": rng.uniform(1.0, 4.0, kinds),
        "up": rng.uniform(1.0, 4.0, kinds),
    }


def _masks(rng: np.random.Generator, devices: int) -> dict[str, Any]:
    """Draw a random set of cuts for each device, with at least one."""
    sets = rng.integers(0, 2**LAYERS, devices)
    bits = np.zeros(devices, dtype=np.int64)
    for cut in range(LAYERS):
        bits |= (rng.random(devices) < 0.4).astype(np.int64) << cut
    bits |= np.int64(1) << (sets % LAYERS)
    kinds, mask = np.unique(bits, return_inverse=True)
    return {"masks": (kinds[:, None] >> np.arange(LAYERS)) & 1 == 1, "mask": mask}


def _factors(scales: dict[str, Any], shapes: dict[str, Any], devices: int) -> dict[str, Any]:
    """Each direction carries the model twice a round and the smashed data of every sample."""
    traffic = np.array([2.0 * shapes["model"], shapes["smashed"]])
    unit = 10.0 / devices
    down, up, samples = scales["down"], scales["up"], scales["samples"]
    return {
        "download_scales": unit * np.array([down, down * samples]),
        "download_shapes": traffic,
        "upload_scales": 2.0 * unit * np.array([up, up * samples]),
        "upload_shapes": traffic,
        "server_scales": unit * samples[None],
        "server_shapes": shapes["left"][None].clip(0.0),
        "device_scales": 10.0 * scales["device"][None],
        "device_shapes": shapes["work"][None],
    }
