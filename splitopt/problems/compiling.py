"""Loops as machine code: compiled by numba where they are first called, and kept on this machine.

A loop costs nothing until it is called: numba is imported then. Machine code that an earlier
process compiled is loaded from numba's cache, which is beside the module, in ``NUMBA_CACHE_DIR``,
or in the user's cache folder; where none of these can be written, each process compiles anew.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property
from importlib import import_module
from types import FunctionType
from typing import Any, Generic, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

LOG = logging.getLogger("splitopt.compiling")
"""Told, at level INFO and once in a process, that compiling begins."""


class Loop(Generic[F]):
    """A function that runs as machine code; numba can call it from other loops too.

    Parameters
    ----------
    function
        The function as Python would run it.
    kept
        Whether its machine code is kept on disk, and can be called from Python; otherwise it is
        part of the loops that call it.
    """

    def __init__(self, function: F, kept: bool) -> None:
        self.py_func = function
        self._kept = kept
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self.__module__ = function.__module__

    def __call__(self, *args: Any) -> Any:
        """Run the machine code, which is compiled or loaded at the first call.

        What is part of other loops alone has no way in from Python, and is run by Python itself.
        """
        return self.machine_code(*args) if self._kept else plain(self)(*args)

    @cached_property
    def machine_code(self) -> Callable[..., Any]:
        """The function for numba, which compiles or loads what a call needs."""
        from splitopt.problems.code_cache import CodeCache

        _listen()
        ways_in = {"no_cfunc_wrapper": True, "no_cpython_wrapper": not self._kept}
        found = import_module("numba").njit(error_model="numpy", **ways_in)(self.py_func)
        _compile_once_for_constants(found)
        if self._kept:
            with suppress(RuntimeError):  # there is no folder to keep the machine code in
                found._cache = CodeCache(self.py_func, _parts(self))
        return cast(F, found)

    @property
    def _numba_type_(self) -> Any:
        """What numba takes it for where another loop calls it."""
        from numba.core import types

        return types.Dispatcher(self.machine_code)


def compiled(loop: F) -> F:
    """Compile a function at its first call, or load what an earlier process compiled.

    A division by zero gives infinity or NaN, as in NumPy; sums are never reordered, so that the
    numbers are those of the plain Python function.
    """
    return cast(F, Loop(loop, kept=True))


def helper(loop: F) -> F:
    """Make a function that only compiled loops call, a part of each of them.

    That takes less time than compiling it on its own, with a way in from Python.
    """
    return cast(F, Loop(loop, kept=False))


def _parts(loop: Loop[Any]) -> str:
    """Digest what is compiled into a loop: the code of the loops that it calls, and constants."""
    digest, waiting = hashlib.sha256(), [loop]
    for one in waiting:  # grows on the way
        function = one.py_func
        code = function.__code__
        digest.update(repr((code.co_code, code.co_consts, code.co_names)).encode())
        for name in code.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, Loop):
                waiting += [] if value in waiting else [value]
            elif isinstance(value, (int, float)):
                digest.update(repr((name, value)).encode())
    return digest.hexdigest()


@cache
def plain(loop: F) -> F:
    """Return a compiled loop as Python runs it, with everything that it calls.

    For work so small that compiling, or loading what was compiled, would take longer.
    """
    function = cast(Loop[Any], loop).py_func
    names = dict(function.__globals__)
    for name in function.__code__.co_names:
        if isinstance(names.get(name), Loop):
            names[name] = plain(names[name])
    return cast(F, FunctionType(function.__code__, names, function.__name__))


def plain_with(loop: F, **names: Callable[..., Any]) -> F:
    """Return a compiled loop as Python runs it, which calls the functions given for those names."""
    function = cast(FunctionType, plain(loop))
    known = {**function.__globals__, **names}
    return cast(F, FunctionType(function.__code__, known, function.__name__))


def _compile_once_for_constants(loop: Any) -> None:
    """Have numba compile a loop for whole numbers once, not again for each constant it is given."""
    from numba.core import types

    template, plainly = loop.get_call_template, cast(Any, types.unliteral)

    def for_any_number(args: Any, kws: Any) -> Any:
        kws = {name: plainly(kind) for name, kind in kws.items()}
        return template(tuple(map(plainly, args)), kws)

    loop.get_call_template = for_any_number


@cache
def _listen() -> None:
    """Have numba say when it really compiles, rather than loads."""
    from numba.core import event
    from numba.core.caching import FunctionCache

    class Listener(event.Listener):
        """Logs the first compilation in this process, which others are part of."""

        told = False

        def on_start(self, event: Any) -> None:
            """Log that something of ours is compiled."""
            loop = event.data["dispatcher"]
            if self.told or not loop.py_func.__module__.startswith("splitopt."):
                return
            self.told = True
            kept = isinstance(loop._cache, FunctionCache)
            why = "once for this machine" if kept else "for this run, as no folder can keep it"
            LOG.info("compiling the search %s ...", why)

        def on_end(self, event: Any) -> None:
            """Stay silent."""

    event.register("numba:compile", Listener())  # type: ignore[no-untyped-call]
