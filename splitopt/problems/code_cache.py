"""Numba's cache of machine code, made to outlive damaged files, full disks and new versions.

Imported where numba is used already, see `compiling`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba.core.caching import FunctionCache


class CodeCache(FunctionCache):
    """The machine code of one function, in the first folder that can be written.

    Parameters
    ----------
    function
        The function.
    parts
        Stands for all that is compiled into it; code that was kept with other parts is not used.

    Raises
    ------
    RuntimeError
        No folder can be written.
    """

    def __init__(self, function: Callable[..., Any], parts: str) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._parts = parts

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load what was kept, None if there is nothing of use."""
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # a file that is damaged, or of another version, can raise anything
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep machine code where that is possible; it stays in memory anyway."""
        with suppress(OSError):  # the disk is full, or the folder has gone
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), self._parts)  # type: ignore[no-untyped-call]
