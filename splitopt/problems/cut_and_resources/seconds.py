"""Seconds of the phases of a round, by what each device has of the shared resources."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray


def over_share(seconds: FloatArray, share: FloatArray) -> FloatArray:
    """Return seconds / share, 0 where nothing is needed and inf where a needed share is missing."""
    full = np.full_like(seconds, np.inf)
    slow = np.divide(seconds, share, out=full, where=share > 0)
    return np.where(seconds > 0, slow, 0.0)


def phase_table(seconds: FloatArray, shares: FloatArray, shared_links: bool | None) -> FloatArray:
    """Compute the seconds by `PHASES`, shape (K, 4).

    Parameters
    ----------
    seconds
        Shape (4, K): download, upload, server and device at the full resource.
    shares
        Shape (K, 3): of the downlink, the uplink and the server.
    shared_links
        False where no share divides the seconds of links.
    """
    download, upload, server, device = seconds
    if shared_links:
        download = over_share(download, shares[:, 0])
        upload = over_share(upload, shares[:, 1])
    server = over_share(server, shares[:, 2])
    return np.stack((download, device, upload, server), axis=1)
