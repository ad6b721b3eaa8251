"""The one place where JAX is told to compute in float64."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


def double_precision() -> AbstractContextManager[Any]:
    """Switch JAX to float64 inside ``with double_precision():`` and only there.

    The setting holds for the current thread and is undone at the end, so that the precision of the
    user's own JAX code never changes. Arrays that leave the block keep their float64.
    """
    import jax

    scope: AbstractContextManager[Any] = jax.enable_x64(True)
    return scope
