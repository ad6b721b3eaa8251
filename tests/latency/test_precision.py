"""float64 in JAX is scoped."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from splitopt.latency.precision import double_precision


def test_float64_holds_inside_and_only_inside():
    """New arrays are float64 inside the block; outside the user's own setting is back."""
    before = jnp.ones(1).dtype
    with double_precision():
        inside = jnp.ones(1)
        assert inside.dtype == jnp.float64
    assert jnp.ones(1).dtype == before
    assert jax.config.jax_enable_x64 == (before == jnp.float64)


def test_an_error_inside_restores_the_precision():
    """An exception does not leave the process in float64."""
    before = jnp.ones(1).dtype
    try:
        with double_precision():
            raise KeyError
    except KeyError:
        pass
    assert jnp.ones(1).dtype == before
