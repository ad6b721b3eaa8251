"""Objects that may be given as they are, by the path of their file, or as their plain data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from splitopt.errors import InputError, shown

T = TypeVar("T")


def take(
    value: Any,
    wanted: type[T],
    argument: str,
    load: Callable[[str | Path], T],
    read: Callable[[Mapping[str, Any]], T],
    mends: Mapping[str, str] | None = None,
) -> T:
    """Return an object, loaded if a path is given and read if its plain data are.

    Parameters
    ----------
    value
        What the caller gave.
    wanted
        The class of the object.
    argument
        The name of the argument, for messages.
    load, read
        Make the object of the path of its file, and of its plain data.
    mends
        Class name -> what to do with an object of that class, where another one is easily given.

    Raises
    ------
    InputError
        It is none of these; or the file or the data cannot be read.
    """
    if isinstance(value, wanted):
        return value
    if isinstance(value, str | os.PathLike):
        return load(path_of(value, argument))
    if isinstance(value, Mapping):
        return read(value)
    raise refusal(value, wanted, argument, ", the path of its file or its plain data", mends)


def path_of(value: Any, argument: str = "path") -> str | Path:
    """Return the path of a file; raise `InputError` where something else stands for it."""
    if isinstance(value, str):
        return value
    if isinstance(value, os.PathLike) and isinstance(os.fspath(value), str):
        return Path(value)
    given = "None" if value is None else f"{shown(value, 80)} ({type(value).__name__})"
    raise InputError.at(argument, f"is {given}, it must be the path of a file")


def expect(value: Any, wanted: type[T], argument: str, mend: str = "") -> T:
    """Return an object of a class; raise `InputError` if it is of another one."""
    if isinstance(value, wanted):
        return value
    raise refusal(value, wanted, argument, f"; {mend}" if mend else "", None)


def refusal(
    value: Any, wanted: type[Any], argument: str, rest: str, mends: Mapping[str, str] | None
) -> InputError:
    """Return the error that names what was given and the class that is expected."""
    given = "None" if value is None else f"{shown(value, 80)} ({type(value).__name__})"
    mend = next((f"; {mend}" for name, mend in (mends or {}).items() if _is_a(value, name)), "")
    return InputError.at(argument, f"is {given}, it must be a {wanted.__name__}{rest}{mend}")


def _is_a(value: Any, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(value).__mro__)
