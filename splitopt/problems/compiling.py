"""Compile loops with numba and keep the machine code beside the module they stand in.

A module of loops imports this one at its top and is itself imported only inside functions, so that
nobody pays for numba who does not use it. The plain Python self of a loop is its ``py_func``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
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


@cache
def plain(loop: F) -> F:
    """Return a compiled loop as Python runs it, with everything that it calls.

    For work so small that compiling, or loading what was compiled, would take longer.
    """
    function = cast(FunctionType, loop.py_func)  # type: ignore[attr-defined]
    names = dict(function.__globals__)
    for name in function.__code__.co_names:
        if hasattr(names.get(name), "py_func"):
            names[name] = plain(names[name])
    return cast(F, FunctionType(function.__code__, names, function.__name__))
