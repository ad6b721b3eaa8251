"""Energy of a device with two powers: one while it computes, one while it sends."""

from __future__ import annotations

from typing import Any


def device_energy(compute_w: Any, compute_s: Any, radio_w: Any, sending_s: Any) -> Any:
    """Joule of computing and sending, ``compute_w * compute_s + radio_w * sending_s``.

    A device that receives or waits counts nothing. Plain arithmetic on scalars or arrays that
    broadcast.

    Parameters
    ----------
    compute_w, radio_w
        Power in W while it computes, and while it is on air.
    compute_s, sending_s
        Seconds of either.
    """
    return compute_w * compute_s + radio_w * sending_s
