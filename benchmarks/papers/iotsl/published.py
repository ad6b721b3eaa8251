"""What IoTSL prints, with its places."""

from __future__ import annotations

from typing import NamedTuple

DEVICES, SAMPLES = 5, 12_000  # section V-A, V-E
SMASHED = 64 * 14 * 14  # section V-E 2)
PARAMETERS = 37_824  # section V-E 2)
OPERATIONS, WHOLE_OPERATIONS = 29.8e6, 3.03e9  # section V-C
WHOLE_PARAMETERS = 1.34e8  # section V-C
RADIO_MORE = 0.426  # section III, Fig. 3
CLASSES = 10


class DataSet(NamedTuple):
    """Turns of devices, hours, parameters moved and joule, without generators and with them.

    ``reduction`` is that of the traffic, as printed.
    """

    name: str
    turns: tuple[int, int]
    hours: tuple[float, float]
    moved: tuple[float, float]
    joule: tuple[float, float]
    reduction: float


DATA = (  # section V-E
    DataSet("MNIST", (97, 15), (12.28, 1.96), (2.92e10, 4.52e9), (2.07e5, 3.17e4), 0.845),
    DataSet("Fashion-MNIST", (77, 23), (10.12, 3.01), (2.32e10, 6.93e9), (1.71e5, 4.91e4), 0.703),
)
