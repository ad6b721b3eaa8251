"""The suites by kind, run check by check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from splitopt.errors import InputError, shown
from splitopt.training.codecs.base import Codec
from splitopt.training.codecs.registry import make_codec
from splitopt.training.conformance import codecs, optimizers, schemes, tasks
from splitopt.training.conformance.findings import Check, Finding
from splitopt.training.optimizers import function_of
from splitopt.training.schemes.naming import scheme_of
from splitopt.training.tasks import task_of
from splitopt.user_code import reason

_SUITES: dict[str, dict[str, Callable[[Any], Finding]]] = {
    "scheme": schemes.CHECKS,
    "task": tasks.CHECKS,
    "optimizer": optimizers.CHECKS,
    "codec": codecs.CHECKS,
}


def check_names(kind: str) -> tuple[str, ...]:
    """Return the names of the checks of a kind: ``scheme``, ``task``, ``optimizer`` or ``codec``.

    Raises
    ------
    InputError
        There is no such kind.
    """
    return tuple(_suite(kind))


def run_check(kind: str, plugin: Any, name: str) -> Check:
    """Run one check, such as one case of a parametrized test.

    Parameters
    ----------
    kind
        ``scheme``, ``task``, ``optimizer`` or ``codec``.
    plugin
        A name or ``FILE.py:NAME``, or the object: a class of schemes, a task or loss, a function
        that makes optimizers, a codec.
    name
        One of `check_names`.

    Raises
    ------
    InputError
        There is no such kind, plug-in or check.
    """
    suite = _suite(kind)
    if name not in suite:
        raise InputError.at("name", f"{shown(name)} is no check; known are {', '.join(suite)}")
    return _run(kind, plugin, _opened(kind, plugin), name)


def iterate_checks(kind: str, plugin: Any) -> Iterator[Check]:
    """Iterate over the checks of `check_plugin`."""
    opened = _opened(kind, plugin)
    for name in _suite(kind):
        yield _run(kind, plugin, opened, name)


def check_plugin(kind: str, plugin: Any) -> list[Check]:
    """Run the conformance suite on a plug-in.

    Parameters
    ----------
    kind, plugin
        As for `run_check`.

    Raises
    ------
    InputError
        There is no such kind or plug-in.
    """
    return list(iterate_checks(kind, plugin))


def assert_conforms(kind: str, plugin: Any) -> None:
    """Raise `AssertionError` with the sentence of every check that failed; for a test."""
    failed = [f"{own.name}: {own.message}" for own in check_plugin(kind, plugin) if _is_bad(own)]
    assert not failed, "\n".join(failed)


def _is_bad(check: Check) -> bool:
    return check.status == "failed"


def _suite(kind: str) -> dict[str, Callable[[Any], Finding]]:
    if kind not in _SUITES:
        raise InputError.at("kind", f"is {shown(kind)}, it must be one of {', '.join(_SUITES)}")
    return _SUITES[kind]


def _opened(kind: str, plugin: Any) -> Any:
    """Return what the checks of a kind are called with."""
    if kind == "scheme":
        return scheme_of(plugin)[0]
    if kind == "task":
        return task_of(plugin)
    if kind == "optimizer":
        return function_of(plugin) if isinstance(plugin, str) else plugin
    if isinstance(plugin, Codec):
        return plugin
    codec = make_codec(plugin)
    if codec is None:
        raise InputError.at("codec", "'none' sends values as they are; there is nothing to check")
    return codec


def _run(kind: str, plugin: Any, opened: Any, name: str) -> Check:
    """Run a check; what the plug-in raises is a finding."""
    try:
        status, message = _suite(kind)[name](opened)
    except Exception as error:
        status, message = "failed", f"raises {reason(error)}"
    called = plugin if isinstance(plugin, str) else str(getattr(opened, "name", plugin))
    return Check(kind, called, name, status, message)
