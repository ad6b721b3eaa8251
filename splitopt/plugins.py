"""Plug-ins: what other packages and a user's own files bring, found by one rule for every kind.

A text names a plug-in: ``NAME`` is one of splitopt's own or an entry point of an installed package,
``FILE.py:NAME`` and ``MODULE:NAME`` are the user's code, which is run, and ``FILE.py`` alone is the
only plug-in of the kind that the file defines. A package that is broken, or whose name is taken,
is refused by name where it is asked for, and is in nobody else's way.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.user_code import import_file, reason


class AbsentError(InputError):
    """A plug-in that is not here, or does not load here: another machine may have it."""


@dataclass(frozen=True)
class Found:
    """A plug-in that was found.

    Parameters
    ----------
    value
        What the place holds: a class, a function or an object.
    name
        The last word of its place, or the name under which it is known.
    place
        Where it stands, for messages.
    code
        Whose code it is: empty for splitopt's own, else a package with its version, or a file with
        the beginning of its SHA-256.
    arguments
        What stood behind further colons.
    """

    value: Any
    name: str
    place: str
    code: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A row of ``splitopt plugins``: what is known of a plug-in.

    Parameters
    ----------
    kind, name
        What it is, and what calls it.
    source
        ``splitopt``, or the package that brings it.
    ready
        ``"yes"``, or why it cannot be used.
    summary
        The first line of its documentation.
    """

    kind: str
    name: str
    source: str
    ready: str
    summary: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of plug-in.

    Parameters
    ----------
    word, plural
        What it is called.
    group
        Of the entry points by which packages bring it.
    own
        Name -> ``module:attribute`` of splitopt's own.
    reader
        ``module:function``, called with what was found and its name: returns the plug-in, or
        raises `InputError` with what is wrong with it.
    defines
        ``module:function``, called with an object of a file: whether it is meant as a plug-in.
    makes
        How one is written, for messages.
    more
        Names that stand for none.
    """

    word: str
    plural: str
    group: str
    own: Mapping[str, str]
    reader: str
    defines: str
    makes: str
    more: tuple[str, ...] = ()

    def installed(self) -> dict[str, str]:
        """Return name -> ``module:attribute`` of other packages, whose names nobody else has."""
        return {name: points[0].value for name, points in self._brought().items() if points}

    def names(self) -> list[str]:
        """Return the names of all that can be asked for, splitopt's own first."""
        return [*self.more, *self.own, *self.installed()]

    def find(self, text: str) -> Found:
        """Find what a text names; it is loaded, and not read.

        Raises
        ------
        InputError
            The text names none; `AbsentError` where another machine may have it.
        """
        place, name, arguments = parted(text, self)
        if place is None:
            return self._named(name, arguments)
        module = imported(place, once=True)
        own = name or self._only(module, place)
        value = attribute_of(module, own, f"{place}:{own}")
        code = f"{Path(place).name} {_digest(place)}" if place.endswith(".py") else place
        return Found(value, own.rpartition(".")[2], f"{place}:{own}", code, arguments)

    def read(self, found: Found) -> Any:
        """Return the plug-in itself; raise `InputError` for what is none of this kind."""
        return _function(self.reader)(found.value, found.name, found.place)

    def listed(self) -> list[Listed]:
        """Return a row for every plug-in, broken ones with the reason."""
        rows = [self._row(name, "splitopt", None) for name in self.own]
        for name, points in self._brought().items():
            if points:
                rows.append(self._row(name, _package(points[0]), None))
        for name, points, why in self._refused():
            rows.append(self._row(name, ", ".join(map(_package, points)), why))
        return rows

    def _row(self, name: str, source: str, why: str | None) -> Listed:
        if why is not None:
            return Listed(self.word, name, source, why)
        try:
            value = self.read(self.find(name))
        except InputError as error:
            return Listed(self.word, name, source, str(error))
        return Listed(self.word, name, source, "yes", _summary(value))

    def _brought(self) -> dict[str, list[metadata.EntryPoint]]:
        """Return name -> its entry point; none of a name that is splitopt's or of two packages."""
        refused = {name for name, _, _ in self._refused()}
        taken = {*self.own, *self.more}
        return {
            name: [] if name in refused else points
            for name, points in _points_by_name(self.group).items()
            if name not in taken
        }

    def _refused(self) -> list[tuple[str, list[metadata.EntryPoint], str]]:
        found = []
        for name, points in _points_by_name(self.group).items():
            if name in {*self.own, *self.more}:
                why = f"the {self.word} name {name!r} is splitopt's own; the package must rename it"
                found.append((name, points, why))
            elif len(points) > 1:
                whose = " and ".join(_package(point) for point in points)
                why = f"the {self.word} name {name!r} is brought by {whose}; remove one of them"
                found.append((name, points, why))
        return found

    def _named(self, name: str, arguments: tuple[str, ...]) -> Found:
        if name in self.own:
            place = self.own[name]
            module, _, attribute = place.partition(":")
            value = getattr(importlib.import_module(module), attribute)
            return Found(value, name, place, "", arguments)
        points = _points_by_name(self.group).get(name, [])
        if len(points) > 1:
            raise InputError(next(why for own, _, why in self._refused() if own == name))
        if not points:
            known = self.names()
            raise AbsentError(
                f"{shown(name)} is unknown here; known are {', '.join(known)}, or your own as "
                f"FILE.py:NAME{did_you_mean(name, known)}"
            )
        place = points[0].value
        try:
            value = points[0].load()
        except (Exception, SystemExit) as error:
            raise AbsentError(
                f"{name!r}: its package fails to load {place} ({reason(error)})"
            ) from None
        return Found(value, name, place, _package(points[0], version=True), arguments)

    def _only(self, module: ModuleType, place: str) -> str:
        """Return the name of the only plug-in that a file defines."""
        is_one = _function(self.defines)
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and _is_from(value, module) and is_one(value)
        ]
        if len(names) == 1:
            return names[0]
        if names:
            raise InputError(
                f"{place}: defines {' and '.join(names)}; name one of them, {place}:{names[0]}"
            )
        raise InputError(f"{place}: defines no {self.word}; {self.makes}")


def parted(text: str, kind: Kind) -> tuple[str | None, str, tuple[str, ...]]:
    """Part a text into the place of the user's code (None for a name), a name, and arguments."""
    if text.endswith(".py"):
        return text, "", ()
    if ".py:" in text:
        place, _, rest = text.partition(".py:")
        name, *arguments = rest.split(":")
        return f"{place}.py", name, tuple(arguments)
    first, *rest_of = text.split(":")
    if rest_of and first not in kind.names() and _is_module(first):
        return first, rest_of[0], tuple(rest_of[1:])
    return None, first, tuple(rest_of)


def imported(place: str, *, once: bool = False) -> ModuleType:
    """Import a module by its name, or a file by its path.

    Parameters
    ----------
    place
        ``MODULE`` or ``FILE.py``.
    once
        Run a file that did not change once in this process. One that makes values when it is run,
        such as weights, has to run anew.

    Raises
    ------
    InputError
        It is not there, or fails.
    """
    try:
        if place.endswith(".py"):
            path = Path(place)
            if not path.is_file():
                raise AbsentError(f"{place}: there is no such file")
            about = path.stat()
            run = _run_file if once else _run_file.__wrapped__
            return run(path.resolve(), about.st_mtime_ns, about.st_size)
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)  # as `python -m` does
        return importlib.import_module(place)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise AbsentError(
            f"{place!r} cannot be imported ({reason(error)}); name a module that Python finds "
            "from here, or a file by its path"
        ) from None


def attribute_of(module: ModuleType, attribute: str, target: str, hint: str = "") -> Any:
    """Return what a module has under a name, with dots where it lies deeper."""
    found: Any = module
    for step in attribute.split("."):
        if not hasattr(found, step):
            raise InputError(f"{target!r}: there is no {step!r} in {module.__name__}{hint}")
        found = getattr(found, step)
    return found


def check_call(function: Any, what: str, usage: str, *arguments: Any, **keywords: Any) -> None:
    """Reject a function that cannot be called with these arguments; it is not called.

    Raises
    ------
    InputError
        The message is ``what`` with the reason, and ``usage``.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of functions written in C nothing is known
        return
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise InputError(f"{what} ({error}); {usage}") from None


@lru_cache(maxsize=64)
def _run_file(path: Path, changed_ns: int, size: int) -> ModuleType:  # noqa: ARG001 - keys
    return import_file(path)


def _is_module(name: str) -> bool:
    """Whether a word is meant as a module: it has a dot, or Python finds one of that name."""
    if not name.replace(".", "_").isidentifier():
        return False
    if "." in name or Path(f"{name}.py").is_file() or (Path(name) / "__init__.py").is_file():
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _is_from(value: Any, module: ModuleType) -> bool:
    """Whether an object was made by a module, as far as objects say."""
    if isinstance(value, type) or inspect.isfunction(value):
        return value.__module__ == module.__name__
    return True


def _summary(value: Any) -> str:
    own = getattr(value, "summary", None)
    if isinstance(own, str):
        return own
    return (inspect.getdoc(value) or "").partition("\n")[0]


def _package(point: metadata.EntryPoint, version: bool = False) -> str:
    """Return the package that brings an entry point, as far as that is known."""
    if point.dist is None:
        return point.value.partition(":")[0].partition(".")[0]
    return f"{point.dist.name} {point.dist.version}" if version else str(point.dist.name)


def _points_by_name(group: str) -> dict[str, list[metadata.EntryPoint]]:
    found: dict[str, list[metadata.EntryPoint]] = {}
    for point in entry_points(group):
        found.setdefault(point.name, []).append(point)
    return found


@cache
def entry_points(group: str) -> tuple[metadata.EntryPoint, ...]:
    """Return the entry points of a group, of all packages that are installed."""
    return tuple(metadata.entry_points(group=group))


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _digest(path: str) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()[:12]
