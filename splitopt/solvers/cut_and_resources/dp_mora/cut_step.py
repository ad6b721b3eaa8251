"""The cut step of Algorithm 1 (DP-MORA Eq. 21): projected gradient descent, gradients by JAX."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from splitopt.latency.precision import double_precision
from splitopt.latency.relaxed import latency_at
from splitopt.problems.base import FloatArray


class CutRule(NamedTuple):
    """How a device descends.

    Parameters
    ----------
    step, tolerance
        The constant step size, and the movement of alpha = cut / L at which it has converged.
    limit
        Largest number of steps.
    scaled
        Measure latency in units of the device's own latency at the start instead of seconds.
    clip
        Take negative seconds for zero.
    """

    step: float
    tolerance: float
    limit: int
    scaled: bool
    clip: bool


class _Numbers(NamedTuple):
    """The numbers of a `CutRule`, which JAX need not compile anew for; see there."""

    step: Any
    tolerance: Any
    limit: Any


class _Descent(NamedTuple):
    """Where a device starts and what it stays in, as in `descend`, and its unit of latency in s."""

    alpha: Any
    low: Any
    high: Any
    unit: Any


def descend(
    columns: Mapping[str, FloatArray],
    layers: int,
    alpha: FloatArray,
    shares: FloatArray,
    low: FloatArray,
    high: FloatArray,
    rule: CutRule,
) -> tuple[FloatArray, int]:
    """Improve the relaxed cuts of devices that do not depend on each other.

    Parameters
    ----------
    columns
        The four phases over the cut, leading axis N, see `splitopt.latency.relaxed`.
    layers
        L.
    alpha
        Shape (N,): where to start, as cut / L.
    shares
        Shape (N, 3), fixed.
    low, high
        Shape (N,): the interval of alpha to stay in.

    Returns
    -------
    tuple
        The best point (N,) that each device visited, which is where it ends unless the step is so
        long that it overshoots, and the number of steps of the slowest device.
    """
    first = latency_at(columns, alpha * layers, shares, clip=rule.clip)
    unit = np.where(first > 0, first, 1.0) if rule.scaled else np.ones_like(first)
    numbers = _Numbers(np.float64(rule.step), np.float64(rule.tolerance), np.int64(rule.limit))
    with double_precision():
        run = _compiled(layers, rule.clip)
        best, taken = run(dict(columns), shares, _Descent(alpha, low, high, unit), numbers)
        return np.array(best, dtype=np.float64), int(np.max(taken))


@cache
def _compiled(layers: int, clip: bool) -> Any:
    """Return the descent of all devices, vectorised and compiled."""
    import jax

    one = partial(_descend_one, layers=layers, clip=clip)
    return jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None)))


def _descend_one(
    columns: Any, shares: Any, device: _Descent, rule: _Numbers, *, layers: int, clip: bool
) -> tuple[Any, Any]:
    """Descend on one device: alpha <- Proj(alpha - step * d latency / d alpha)."""
    import jax
    import jax.numpy as jnp

    def latency(point: Any) -> Any:
        return latency_at(columns, point * layers, shares, jnp, clip) / device.unit

    def going(state: Any) -> Any:
        _, _, _, moved, taken = state
        return (moved > rule.tolerance) & (taken < rule.limit)

    def improve(state: Any) -> Any:
        point, best, least, _, taken = state
        value, slope = jax.jvp(latency, (point,), (jnp.ones_like(point),))
        target = jnp.clip(point - rule.step * slope, device.low, device.high)
        best = jnp.where(value < least, point, best)
        return target, best, jnp.minimum(value, least), jnp.abs(target - point), taken + 1

    start = (device.alpha, device.alpha, jnp.inf, jnp.inf, 0)
    _, best, _, _, taken = jax.lax.while_loop(going, improve, start)
    return best, taken
