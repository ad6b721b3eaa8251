"""The cells of CPSL's section VIII: identical devices, and populations that differ."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from splitopt import ClusterAndSpectrum, load_profile
from splitopt.latency.clustered import CutCosts, GradientBatchFactor, device_seconds
from splitopt.latency.radio import Fading, subcarrier_rate

FLOP_PER_MAC = 2.0


@cache
def published() -> dict[str, Any]:
    """Read the paper's numbers."""
    text = (Path(__file__).parent / "published.yaml").read_text(encoding="utf-8")
    numbers: dict[str, Any] = yaml.safe_load(text)
    return numbers


def costs_at(profile: str, cut: int) -> CutCosts:
    """Return what a cut (1..L) of a shipped profile costs for one sample."""
    table = load_profile(profile)
    at = cut - 1
    return CutCosts(
        device_model_bytes=float(table.device_model_bytes[at]),
        smashed_bytes=float(table.smashed_bytes[at]),
        gradient_bytes=float(table.gradient_bytes[at]),
        device_forward_flop=float(table.device_forward_flop[at]),
        device_backward_flop=float(table.device_backward_flop[at]),
        server_flop=float(table.server_forward_flop[at] + table.server_backward_flop[at]),
    )


def cell(
    costs: CutCosts,
    compute: Any,
    snr_db: Any,
    *,
    size: int,
    subcarriers: int,
    fading: Fading = "awgn",
    gradient: GradientBatchFactor = "corrected",
    full_band: bool = False,
) -> ClusterAndSpectrum:
    """Build the problem of devices with these capabilities (cycles/s at kappa 1) and signals."""
    paper = published()
    rate = subcarrier_rate(paper["bandwidth_hz"], 10 ** (np.asarray(snr_db) / 10), fading)
    speed = FLOP_PER_MAC * np.asarray(compute)
    seconds = device_seconds(
        costs,
        batch_size=paper["batch_size"],
        device_speed=speed,
        server_speed=FLOP_PER_MAC * 1e9 * paper["server_gmac_s"],
        downlink=rate,
        uplink=rate,
        subcarriers=subcarriers,
        gradient_batch_factor=gradient,
    )
    devices = len(speed)
    times = [np.array(np.broadcast_to(value, devices)) for value in seconds[:6]]
    return ClusterAndSpectrum(
        *times,
        server_s_per_device=float(seconds.server),
        local_epochs=1,
        subcarriers=subcarriers,
        cluster_sizes=np.full(devices // size, size),
        device_model_over_full_band=full_band,
    )


def identical(devices: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return capabilities and signals of the identical devices."""
    paper = published()
    return np.full(devices, 1e9 * paper["compute_gmac_s"]), np.full(devices, float(paper["snr_db"]))


def population(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Draw capabilities and signals of section VIII-C: the means, without their variation."""
    paper, rng = published(), np.random.default_rng(seed)
    compute = rng.uniform(*paper["compute_range"], paper["devices"])
    return compute, rng.uniform(*paper["snr_range_db"], paper["devices"])
