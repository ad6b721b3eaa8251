"""The scheme that somebody names: one of splitopt's, of a package, or a class of the user's own."""

from __future__ import annotations

import inspect
from typing import Any, get_args

from splitopt.errors import InputError, shown
from splitopt.plugins import Found, check_call
from splitopt.training.kinds import SCHEME
from splitopt.training.program import Program, Takes
from splitopt.training.schemes.base import Scheme

_USAGES = {"prepare": (), "round": (0,), "copies": ()}
"""Method -> what it is called with."""


def read(value: Any, name: str, place: str) -> type[Scheme]:
    """Return a class of schemes; raise `InputError` for what is none, or cannot be one."""
    if not (isinstance(value, type) and issubclass(value, Scheme)):
        raise InputError(f"{place} is no scheme; {SCHEME.makes}")
    if missing := sorted(value.__abstractmethods__):
        raise InputError(
            f"{place} is an abstract scheme, without {', '.join(missing)}; write these methods"
        )
    own = getattr(value, "name", None)
    if not isinstance(own, str) or not own.isidentifier():
        raise InputError(
            f"{place} has the name {shown(own)}; give its class a name, such as name = 'mine'"
        )
    for method, arguments in _USAGES.items():
        usage = f"it is called as {method}({'NUMBER' if arguments else ''})"
        what = f"{place}: {method} cannot be called"
        check_call(getattr(value, method), what, usage, object(), *arguments)
    usage = "it is called as SCHEME(MODEL, CLIENTS, OPTIONS, SPLIT, CRITERION, SEED)"
    check_call(value, f"{place} cannot be called", usage, *range(6))
    if value.takes not in get_args(Takes):
        known = ", ".join(get_args(Takes))
        raise InputError(f"{place}: takes is {shown(value.takes)}, it must be one of {known}")
    _check_name(value, name, place)
    _check_played(value, place)
    return value


def defines(value: Any) -> bool:
    """Whether an object of a file is meant as a scheme."""
    return isinstance(value, type) and issubclass(value, Scheme)


def scheme_of(given: str | type[Scheme]) -> tuple[type[Scheme], Found]:
    """Return the class of schemes that is given as such or by a text, and where it was found.

    Raises
    ------
    InputError
        There is none.
    """
    try:
        if isinstance(given, str):
            found = SCHEME.find(given)
            if found.arguments:
                raise InputError(f"{shown(given)} has more than a name behind the file")
        elif isinstance(given, type):
            place = f"{given.__module__}:{given.__qualname__}"
            code = "" if is_own(given) else place
            found = Found(given, given.__name__, place, code)
        else:
            raise InputError(f"is of type {type(given).__name__}; give a class, or the name of one")
        return SCHEME.read(found), found
    except InputError as error:
        raise type(error).at("scheme", str(error)) from None


def is_own(kind: type[Scheme]) -> bool:
    """Whether a class is one of splitopt's schemes."""
    return SCHEME.own.get(getattr(kind, "name", "")) == f"{kind.__module__}:{kind.__name__}"


def trained_by(program: Program, kind: type[Scheme]) -> Program:
    """Return a scheme with the clients and data of a program.

    Raises
    ------
    InputError
        The plan's cuts do not serve it.
    """
    if is_own(kind):
        return program.trained_by(kind.name)
    return program.trained_by(kind.name, kind.takes, kind.runs_as)


def _check_name(value: type[Scheme], name: str, place: str) -> None:
    """Raise `InputError` where a name is taken, or is not that of the entry point."""
    if is_own(value):
        return
    if value.name in SCHEME.own:
        raise InputError(f"{place}: the scheme name {value.name!r} is taken; rename it")
    known = SCHEME.installed()
    if value.name in known:
        module, _, attribute = known[value.name].partition(":")
        if (value.__module__, value.__qualname__) != (module, attribute):
            raise InputError(
                f"{place}: the scheme name {value.name!r} is taken by {known[value.name]}; "
                "rename it"
            )
    if name in known and known[name] == place and name != value.name:
        raise InputError(
            f"{place} has the name {value.name!r} and the entry point {name!r}; give both one name"
        )


def _check_played(value: type[Scheme], place: str) -> None:
    """Raise `InputError` for a scheme that cannot be played as another one."""
    played = value.runs_as
    if played is None:
        return
    from splitopt.training.schemes import SCHEMES

    if played not in SCHEMES:
        raise InputError(
            f"{place}: runs_as is {shown(played)}, it must be one of {', '.join(SCHEMES)}"
        )
    base = SCHEMES[played]
    if not issubclass(value, base) or inspect.getattr_static(
        value, "round"
    ) is not inspect.getattr_static(base, "round"):
        raise InputError(
            f"{place}: runs_as is {played!r}, but the class does not extend {base.__name__} or has "
            "a round of its own; extend it and leave round as it is, or drop runs_as"
        )
