"""Devices of `CutAndResources` by class, so that identical ones need no tables of their own."""

from __future__ import annotations

from typing import NamedTuple

from splitopt.problems.base import BoolArray, FloatArray, IntArray


class DeviceClasses(NamedTuple):
    """C classes of identical devices and L cuts.

    ``seconds``, shape (R + 1, C, L), are those of each resource at the full resource, and those
    that no share divides; ``allowed`` has shape (C, L), and ``devices``, shape (C,), is how many
    devices there are of each class.
    """

    seconds: FloatArray
    allowed: BoolArray
    devices: IntArray
