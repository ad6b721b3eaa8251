"""Options of a solver by the types that its class states: numbers as numbers, words as words."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin

import numpy as np

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown


class Typed(str):
    """The value of an option as somebody typed it: it becomes what the option's type asks for."""

    __slots__ = ()


def checked_options(solver: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with values of the types that the fields of a solver's class state.

    Numbers of numpy become Python's, and a list is taken for a tuple. A text is no number, except
    one marked as `Typed`.

    Raises
    ------
    InputError
        The solver has no such option, or the value is of another type; the message names it.
    """
    return {
        name: _checked(name, value, kind)
        for (name, value), kind in zip(options.items(), _kinds(solver, options), strict=True)
    }


_TALK = ("verbose", "display", "disp", "log", "tee", "verbosity")
_LISTEN = "; the logger 'splitopt.solving' tells every improvement at the level INFO"


def _kinds(solver: type[Any], options: Mapping[str, Any]) -> list[Any]:
    known = [field.name for field in dataclasses.fields(solver) if field.init]
    for name in options:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise InputError(
                f"solver {solver.name!r} has no option {shown(name)}; it has {names}"
                f"{_LISTEN if name in _TALK else did_you_mean(name, known)}"
            )
    hints = _hints(typing.cast(Hashable, solver))
    return [hints.get(name, Any) for name in options]


@cache
def _hints(solver: Any) -> Mapping[str, Any]:
    """Return the types of a class's fields; none where a foreign class states what is not there."""
    try:
        return typing.get_type_hints(solver)
    except (NameError, TypeError, AttributeError):
        return {}


def _checked(name: str, value: Any, kind: Any) -> Any:
    found = _parsed(value, kind) if isinstance(value, Typed) else _plain(value)
    if not _fits(found, kind):
        raise InputError.at(name, f"is {shown(value)}, it must be {_words(kind)}")
    return tuple(found) if isinstance(found, list) and _wants(tuple, kind) else found


def _plain(value: Any) -> Any:
    """Return numbers of numpy as those of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _parsed(text: str, kind: Any) -> Any:
    """Return what a typed text stands for: JSON where that is of the type, else the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return str(text)
    return value if _fits(value, kind) or not _wants(str, kind) else str(text)


def _parts(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself."""
    return get_args(kind) if get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _wants(wanted: type[Any], kind: Any) -> bool:
    return any(wanted in (part, get_origin(part)) for part in _parts(kind))


def _fits(value: Any, kind: Any) -> bool:
    return any(_fits_one(value, part) for part in _parts(kind))


def _fits_one(value: Any, kind: Any) -> bool:
    if kind in (Any, object):
        return True
    if kind in (None, type(None)):
        return value is None
    if get_origin(kind) is Literal:
        return any(value == word and type(value) is type(word) for word in get_args(kind))
    if kind is bool or isinstance(value, bool):
        return isinstance(value, bool) and kind is bool
    if kind in (int, float):
        return isinstance(value, int if kind is int else (int, float))
    base = get_origin(kind) or kind
    if base is tuple:
        inner = get_args(kind)
        if not isinstance(value, list | tuple):
            return False
        if len(inner) == 2 and inner[1] is Ellipsis:
            return all(_fits(item, inner[0]) for item in value)
        return len(value) == len(inner) and all(map(_fits, value, inner))
    # What is no plain type, such as a protocol or a function, is for the solver itself to check.
    return not isinstance(base, type) or _is_protocol(base) or isinstance(value, base)


def _is_protocol(kind: type[Any]) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false (in Python True or False)",
    str: "a text",
    type(None): "nothing (null, in Python None)",
}


def _words(kind: Any) -> str:
    """Return the words for a type, for people."""
    found = []
    for part in _parts(kind):
        if get_origin(part) is Literal:
            found.append(f"one of {', '.join(str(word) for word in get_args(part))}")
        elif get_origin(part) is tuple:
            inner = get_args(part)
            found.append(f"a list of {len(inner)}: {', '.join(_words(item) for item in inner)}")
        elif get_origin(part) is Mapping:
            found.append("an object of names and values")
        else:
            base = get_origin(part) or part
            found.append(_NAMES.get(part, f"of the type {getattr(base, '__name__', base)}"))
    return " or ".join(found)
