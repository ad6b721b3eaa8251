"""Fleets of which every device loads one resource of its choice: number partitioning.

For the makespan of equal resources that is multiprocessor scheduling, whose relaxation is tight up
to a part in many billions and tells nothing of the devices: the extreme of what is hard to prove.
"""

from __future__ import annotations

import numpy as np

from splitopt.bench.instances.rounding import rounded
from splitopt.problems.cut_and_resources import CutAndResources

_FASTER = 0.5
"""How much more a device takes of each further resource than of the first, where they differ."""


def partitions(seed: int, devices: int, resources: int = 3, unequal: int = 0) -> CutAndResources:
    """Draw devices of 1 to 4 s on any of the resources.

    Parameters
    ----------
    unequal
        1 where each resource is slower than the one before it, 0 for equal ones.
    """
    rng = np.random.default_rng(seed)
    size = rng.uniform(1.0, 4.0, devices)
    work = np.zeros((devices, resources, resources))
    for place in range(resources):
        work[:, place, place] = size * (1 + _FASTER * place * unequal)
    return CutAndResources.of_choices(rounded(work), np.zeros((devices, resources)))
