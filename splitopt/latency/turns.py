"""Split learning one device after the other, counted in turns of single devices (IoTSL Eq. 1).

In a turn a device passes once over its samples: each sends its smashed data and its label, and
takes a gradient of the size of the smashed data; then the device hands its part of the model to the
next one. Plain arithmetic on scalars or arrays that broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LABEL_BYTES = 4.0
"""Of a label, where sizes are bytes: a number like all others."""


def turn_traffic(samples: Any, smashed: Any, gradient: Any, model: Any, label: Any = 1.0) -> Any:
    """Compute what one device moves in a turn, N (F + F' + y) + w (IoTSL Table I).

    All sizes are in one unit: numbers, as in the paper, or bytes.

    Parameters
    ----------
    samples
        N, on the device.
    smashed, gradient
        F and F', what goes up and comes down of one sample; the same number of values in the paper.
    model
        w, the device's part of the model, which is handed on once.
    label
        y, of one sample: one number.
    """
    return samples * (smashed + gradient + label) + model


def training_traffic(devices: Any, epochs: Any, turn: Any) -> Any:
    """Compute what all devices move, n K [N (2 F + 1) + w] (IoTSL Eq. 1).

    `devices` is K, `epochs` is n, in each of which every device has its turn, and `turn` is what
    one turn moves. The traffic that IoTSL publishes is ``epochs * turn``, without the number of
    devices: its epochs are the turns of single devices.
    """
    return devices * epochs * turn


def turns_of(turns: int, devices: int) -> Any:
    """Shape (K,): how many of the first turns each device has, one after the other in order."""
    return turns // devices + (np.arange(devices) < turns % devices)
