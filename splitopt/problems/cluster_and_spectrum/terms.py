"""The six terms of a device's phases, for one round or for stacks of rounds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from splitopt.problems.base import FloatArray


def phase_terms(times: Mapping[str, FloatArray]) -> FloatArray:
    """Give fixed and spectral seconds of the starting, the inner and the ending phase.

    A device with x subcarriers takes ``terms[..., 2 p] + terms[..., 2 p + 1] / x`` in phase p.

    Parameters
    ----------
    times
        The six fields of `ClusterAndSpectrum` in s, each of shape (..., N).

    Returns
    -------
    FloatArray
        Shape (..., N, 6).
    """
    return np.stack(
        (
            times["broadcast_s"] + times["forward_s"],
            times["upload_smashed_s"],
            times["backward_s"] + times["forward_s"],
            times["download_gradient_s"] + times["upload_smashed_s"],
            times["backward_s"],
            times["download_gradient_s"] + times["upload_model_s"],
        ),
        axis=-1,
    )
