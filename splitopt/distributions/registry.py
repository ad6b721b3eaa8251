"""The kinds of distributions by name, and reading them from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from splitopt.distributions.base import Distribution
from splitopt.distributions.kinds import Constant, Empirical, Lognormal, Normal, Uniform
from splitopt.distributions.mixed import Mixed
from splitopt.errors import InputError

KINDS: dict[str, type[Distribution]] = {
    kind.kind: kind for kind in (Constant, Normal, Lognormal, Uniform, Empirical)
}
"""Name -> class; a new distribution is one entry here."""


def distribution_from_data(data: Any, source: str) -> Distribution:
    """Read ``{"kind": NAME, parameters...}``, or a list of these with one entry per device.

    Raises
    ------
    InputError
        An unknown kind or parameter, a missing one, or a value that does not fit.
    """
    if isinstance(data, list | tuple):
        return Mixed([distribution_from_data(d, f"{source}[{n}]") for n, d in enumerate(data)])
    if not isinstance(data, Mapping) or "kind" not in data:
        raise InputError.at(source, "must be an object with the key 'kind', or a list of these")
    kind = KINDS.get(data["kind"]) if isinstance(data["kind"], str) else None
    if kind is None:
        raise InputError.at(source, f"kind is {data['kind']!r}, known are {', '.join(KINDS)}")
    parameters = {name: value for name, value in data.items() if name != "kind"}
    known = fields(kind)  # type: ignore[arg-type]
    for name in parameters:
        if name not in {field.name for field in known}:
            names = ", ".join(field.name for field in known)
            raise InputError.at(source, f"{kind.kind} has no parameter {name!r}; it has {names}")
    for field in known:
        if field.default is MISSING and field.name not in parameters:
            raise InputError.at(source, f"{kind.kind} needs the parameter {field.name!r}")
    try:
        return kind(**parameters)
    except InputError as error:
        raise InputError(f"{source}.{error}") from None
