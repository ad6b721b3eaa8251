"""Traffic of split learning one device after the other (IoTSL Eq. 1).

Counted in numbers (parameters, activations, labels), not in bytes: each sample sends its smashed
data and its label, and takes a gradient of the size of the smashed data; each device hands its
part of the model to the next one. Plain arithmetic on scalars or arrays that broadcast.
"""

from __future__ import annotations

from typing import Any


def device_epoch_traffic(samples: Any, smashed: Any, parameters: Any) -> Any:
    """Numbers that one device moves in one epoch, N (2 F + 1) + w (IoTSL Table I).

    Parameters
    ----------
    samples
        N, on the device.
    smashed
        F, activations of one sample at the cut.
    parameters
        w, of the device's part of the model.
    """
    return samples * (2 * smashed + 1) + parameters


def total_traffic(devices: Any, epochs: Any, samples: Any, smashed: Any, parameters: Any) -> Any:
    """Numbers that all devices move in a training, n K [N (2 F + 1) + w] (IoTSL Eq. 1).

    `devices` is K and `epochs` is n, in each of which every device has its turn. The traffic that
    IoTSL publishes is ``epochs * device_epoch_traffic(...)``, without the number of devices: its
    epochs are the turns of single devices.
    """
    return devices * epochs * device_epoch_traffic(samples, smashed, parameters)
