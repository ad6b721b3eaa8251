"""Compile loops with numba and keep the machine code beside the module they stand in.

A module of loops imports this one at its top and is itself imported only inside functions, so that
nobody pays for numba who does not use it. The plain Python self of a loop is its ``py_func``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(loop: F) -> F:
    """Compile a function at its first call, or load what an earlier process compiled.

    A division by zero gives infinity or NaN, as in NumPy; sums are never reordered, so that the
    numbers are those of the plain Python function.
    """
    try:
        return cast(F, numba.njit(cache=True, error_model="numpy")(loop))
    except RuntimeError:  # there is no folder to keep the machine code in
        return cast(F, numba.njit(error_model="numpy")(loop))
