"""The six terms of a device's phases, for one round or for stacks of rounds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from splitopt.latency import clustered
from splitopt.problems.base import FloatArray

_TIMES = (
    "broadcast_s",
    "forward_s",
    "backward_s",
    "upload_smashed_s",
    "download_gradient_s",
    "upload_model_s",
)


def phase_terms(
    times: Mapping[str, FloatArray],
    subcarriers: int | None = None,
    device_model_over_full_band: bool = False,
) -> FloatArray:
    """Return fixed and spectral seconds of the starting, the inner and the ending phase.

    A device with x subcarriers takes ``terms[..., 2 p] + terms[..., 2 p + 1] / x`` in phase p.

    Parameters
    ----------
    times
        The six fields of `ClusterAndSpectrum` in s, each of shape (..., N), and ``upload_tied_s``
        where there is something.
    subcarriers, device_model_over_full_band
        As in `ClusterAndSpectrum`; the first is needed for the second alone.

    Returns
    -------
    FloatArray
        Shape (..., N, 6).
    """
    beside = times.get("upload_tied_s", 0.0)
    seconds = clustered.DeviceSeconds._make((*(times[field] for field in _TIMES), 0.0, beside))
    terms = clustered.phase_terms(seconds, subcarriers, device_model_over_full_band)
    return np.ascontiguousarray(terms)
