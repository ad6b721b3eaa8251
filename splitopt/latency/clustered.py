"""Split learning in clusters (CPSL Eq. 14-25): side by side within, one cluster after the other.

In a cluster every device takes the device-side model from a broadcast, computes a mini-batch
forward and sends the smashed data on its own subcarriers; the server waits for all of them and
computes forward and backward. That is the starting phase. An inner phase, one for each further
local epoch, begins with the gradient of the smashed data on its way down and the backward pass and
ends like the starting phase. Where both sides hold a copy of a tied weight, the server's gradient
of it goes down with every gradient of smashed data, and the device's up in every inner phase. The
ending phase takes the last gradient and sends the model up.

All functions are pure, take an array namespace (`numpy` or `jax.numpy`) and broadcast over leading
axes, so that JAX can differentiate, ``jit`` and ``vmap`` them; in JAX, call them inside
`splitopt.latency.precision.double_precision`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from splitopt.errors import InputError

GradientBatchFactor = Literal["literal", "corrected"]


class CutCosts(NamedTuple):
    """What one cut costs for one sample; scalars, or arrays over cuts.

    Bytes, and FLOP of forward and backward together where `work` has no direction. ``tied_bytes``
    are those of tied weights of which both sides hold a copy, once for each mini-batch.
    """

    device_model_bytes: Any
    smashed_bytes: Any
    gradient_bytes: Any
    device_forward_flop: Any
    device_backward_flop: Any
    server_flop: Any
    tied_bytes: Any = 0.0


class DeviceSeconds(NamedTuple):
    """Seconds of every device, shape (..., N), in the order of `ClusterAndSpectrum`'s fields.

    ``broadcast`` is on all subcarriers; ``upload_smashed``, ``download_gradient`` and
    ``upload_model`` are at ONE subcarrier; ``server`` is the server's work for one mini-batch.
    ``upload_tied`` are gradients of tied weights at ONE subcarrier, in inner phases.
    """

    broadcast: Any
    forward: Any
    backward: Any
    upload_smashed: Any
    download_gradient: Any
    upload_model: Any
    server: Any
    upload_tied: Any = 0.0


def device_seconds(
    costs: CutCosts,
    *,
    batch_size: Any,
    device_speed: Any,
    server_speed: Any,
    downlink: Any,
    uplink: Any,
    subcarriers: Any,
    gradient_batch_factor: GradientBatchFactor = "corrected",
) -> DeviceSeconds:
    """Seconds of the parts of a round (Eq. 15-18, 20, 21, 23).

    Parameters
    ----------
    costs
        Of the cut, for one sample.
    batch_size
        Samples of a mini-batch, B.
    device_speed, server_speed
        FLOP/s; CPSL's f kappa. Arrays (..., N) for devices that differ.
    downlink, uplink
        Rates of ONE subcarrier in bit/s (Eq. 14, `splitopt.latency.radio.subcarrier_rate`).
    subcarriers
        How many there are, C.
    gradient_batch_factor
        ``"corrected"``: the gradient of a mini-batch has B times the size of a sample's, as the
        smashed data has. ``"literal"``: without B, as Eq. 20 is printed.

    Raises
    ------
    InputError
        Another word for `gradient_batch_factor`.
    """
    if gradient_batch_factor not in ("literal", "corrected"):
        raise InputError.at(
            "gradient_batch_factor",
            f"is {gradient_batch_factor!r}, it must be 'literal' or 'corrected'",
        )
    model_bits, tied_bits = 8.0 * costs.device_model_bytes, 8.0 * costs.tied_bytes
    samples = batch_size if gradient_batch_factor == "corrected" else 1.0
    return DeviceSeconds(
        broadcast=model_bits / (subcarriers * downlink),
        forward=batch_size * costs.device_forward_flop / device_speed,
        backward=batch_size * costs.device_backward_flop / device_speed,
        upload_smashed=8.0 * batch_size * costs.smashed_bytes / uplink,
        download_gradient=(8.0 * samples * costs.gradient_bytes + tied_bits) / downlink,
        upload_model=model_bits / uplink,
        server=batch_size * costs.server_flop / server_speed,
        upload_tied=tied_bits / uplink,
    )


def phase_terms(
    seconds: DeviceSeconds,
    subcarriers: Any = None,
    device_model_over_full_band: bool = False,
    xp: ModuleType = np,
) -> Any:
    """Return fixed and spectral seconds of the three phases (Eq. 19, 22, 24 without the server).

    Parameters
    ----------
    seconds
        Of the devices.
    device_model_over_full_band
        Send the device-side model up over all `subcarriers` instead of the device's own, as the
        published 3.78 s of a round imply; Eq. 23 as printed has the device's own.

    Returns
    -------
    Shape (..., N, 6): in phase p (0 starting, 1 inner, 2 ending) a device with x subcarriers takes
    ``terms[..., 2 p] + terms[..., 2 p + 1] / x``.
    """
    ending_fixed, ending_spectral = seconds.backward, seconds.download_gradient
    if device_model_over_full_band:
        ending_fixed = ending_fixed + seconds.upload_model / subcarriers
    else:
        ending_spectral = ending_spectral + seconds.upload_model
    parts = (
        seconds.broadcast + seconds.forward,
        seconds.upload_smashed,
        seconds.backward + seconds.forward,
        seconds.download_gradient + seconds.upload_smashed + seconds.upload_tied,
        ending_fixed,
        ending_spectral,
    )
    return xp.stack(xp.broadcast_arrays(*parts), axis=-1)


def phase_seconds(terms: Any, x: Any) -> Any:
    """Shape (..., N, 3): seconds of each device by phase with x (..., N) subcarriers."""
    return terms[..., 0::2] + terms[..., 1::2] / x[..., None]


def padded_clusters(clusters: Any) -> Any:
    """Make the index array (M, K) of `cluster_seconds` from lists of devices of any sizes.

    A shorter cluster repeats its first device, which changes no maximum.
    """
    longest = max(len(cluster) for cluster in clusters)
    rows = [[*cluster, *[cluster[0]] * (longest - len(cluster))] for cluster in clusters]
    return np.array(rows, dtype=np.int64)


def cluster_seconds(
    terms: Any,
    x: Any,
    clusters: Any,
    sizes: Any,
    server: Any,
    local_epochs: int,
    xp: ModuleType = np,
) -> Any:
    """Shape (..., M): seconds of every cluster, d^S + (L - 1) d^I + d^E (Eq. 19, 22, 24, 25).

    Parameters
    ----------
    terms
        Shape (..., N, 6), see `phase_terms`.
    x
        Shape (..., N): subcarriers of the devices; they need not be whole.
    clusters
        Shape (M, K) or (..., M, K): device indices, see `padded_clusters`.
    sizes
        Shape (M,): devices in each cluster.
    server
        Shape (...): the server's seconds for one device's mini-batch (Eq. 18 per device).
    local_epochs
        L.
    """
    own = phase_seconds(terms, x)
    leading = own.shape[:-2]
    index = xp.broadcast_to(xp.asarray(clusters), (*leading, *xp.asarray(clusters).shape[-2:]))
    flat = index.reshape((*leading, -1))
    members = xp.take_along_axis(own, flat[..., None], axis=-2)
    longest = members.reshape((*index.shape, 3)).max(axis=-2)
    waiting = xp.asarray(sizes) * xp.asarray(server)[..., None]
    starting = longest[..., 0] + waiting
    inner = longest[..., 1] + waiting
    return starting + (local_epochs - 1) * inner + longest[..., 2]


def round_seconds(
    terms: Any,
    x: Any,
    clusters: Any,
    sizes: Any,
    server: Any,
    local_epochs: int,
    xp: ModuleType = np,
) -> Any:
    """Shape (...): seconds of a round, all clusters one after the other (Eq. 25)."""
    return cluster_seconds(terms, x, clusters, sizes, server, local_epochs, xp).sum(axis=-1)
