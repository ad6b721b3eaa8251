"""Devices of `CutAndResources` by class, so that identical ones need no tables of their own."""

from __future__ import annotations

from typing import NamedTuple

from splitopt.problems.base import BoolArray, FloatArray, IntArray


class DeviceClasses(NamedTuple):
    """C classes of identical devices and L cuts.

    ``seconds``, shape (4, C, L), are those of download, upload, server and device at the full
    resource; ``allowed`` has shape (C, L), and ``devices``, shape (C,), is how many devices there
    are of each class.
    """

    seconds: FloatArray
    allowed: BoolArray
    devices: IntArray
