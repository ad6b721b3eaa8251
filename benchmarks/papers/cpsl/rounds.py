"""Rounds of section VIII-C: populations whose speeds and signals vary from round to round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.papers.cpsl.cells import cell, costs_at, population, published
from splitopt import ClusterAndSpectrum
from splitopt.problems.base import FloatArray


class Drawn(NamedTuple):
    """Speeds (N,) in cycles/s at kappa 1 and signal-to-noise ratios (N,) in dB of one round."""

    compute: FloatArray
    snr_db: FloatArray


def rounds(count: int, populations: int) -> Iterator[Drawn]:
    """Draw rounds, dealt out evenly over populations, each with means of its own.

    Speeds are normal and so are signals in dB. A normal speed is below 0 now and then, and the
    mean latency then does not exist (Eq. 30): it is drawn anew below the stated floor.
    """
    paper = published()
    for index in range(count):
        mean = Drawn(*population(index % populations))
        rng = np.random.default_rng((index % populations, 1 + index // populations))
        compute = rng.normal(mean.compute, paper["compute_deviation"])
        while (low := compute < paper["compute_floor"]).any():
            compute[low] = rng.normal(mean.compute[low], paper["compute_deviation"])
        yield Drawn(compute, rng.normal(mean.snr_db, paper["snr_deviation_db"]))


def problem(drawn: Drawn, profile: str, cut: int, subcarriers: int) -> ClusterAndSpectrum:
    """Build the problem of a round at a cut (1..L) with the mended Eq. 20."""
    size = published()["cluster_size"]
    return cell(costs_at(profile, cut), *drawn, size=size, subcarriers=subcarriers)


def spread(values: Any, digits: int = 2) -> str:
    """Write a mean with the 5th and 95th percentile behind it."""
    low, high = np.percentile(values, (5, 95))
    return f"{np.mean(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
