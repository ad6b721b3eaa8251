"""A module that takes arguments by keyword alone, seen in one that takes them by position.

Batches, graphs and parts hand inputs on by position. ``forward(self, x, *, mask)`` is seen as
``forward(self, x, mask)``, which calls it with ``mask=mask``. Arguments without a default come
first: ``(self, x, cache=None, *, mask)`` is ``(self, x, mask, cache=None)``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from inspect import Parameter
from typing import Any

from torch import nn

_COLLECTING = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def in_order(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Return the arguments of a forward pass in the order in which they are given by position."""
    single = [item for item in parameters if item.kind not in _COLLECTING]
    return sorted(single, key=lambda item: item.default is not item.empty)


class ByPosition:
    """Marks the classes of modules that are seen to take all arguments by position."""

    _seen: type[nn.Module]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle by the module's own class."""
        return _blank, (self._seen,), vars(self)


def by_position(module: nn.Module) -> nn.Module:
    """Return a module that takes its arguments by position: itself, or another view of it.

    Returns
    -------
    The module where forward has no argument by keyword alone, or collects arguments by position
    (``*``). Otherwise a module of a subclass that has the same attributes, parameters, buffers and
    submodules, not copies of them, and takes these arguments by position as well.
    """
    if isinstance(module, ByPosition):
        return module
    try:
        kinds = {item.kind for item in inspect.signature(module.forward).parameters.values()}
    except ValueError:  # a module of torch.jit tells no arguments; it is refused for its layers
        return module
    if Parameter.KEYWORD_ONLY not in kinds or Parameter.VAR_POSITIONAL in kinds:
        return module
    seen = _blank(type(module))
    object.__setattr__(seen, "__dict__", vars(module))
    return seen


def _blank(kind: Any) -> nn.Module:
    """Make a module of the subclass that takes arguments by position, without attributes yet."""
    seen: type[nn.Module] = _subclass(kind)
    return seen.__new__(seen)


@functools.cache
def _subclass(kind: Any) -> Any:
    names = {
        "forward": _forward(kind.forward),
        "_seen": kind,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    return type(kind.__name__, (ByPosition, kind), names)


def _forward(own: Any) -> Any:
    """Write a function with the arguments of another one, all by position, that calls it.

    torch.fx reads the names of arguments from the code of a function, so that it has to have them.
    Those of any number (``**``) are left out, since no example gives any.
    """
    parameters = list(inspect.signature(own).parameters.values())
    named = in_order(parameters)
    gives = [
        f"{item.name}={item.name}" if item.kind == Parameter.KEYWORD_ONLY else item.name
        for item in parameters
        if item in named
    ]
    takes = [item.name for item in named]
    space: dict[str, Any] = {"_own_forward": own}
    exec(f"def forward({', '.join(takes)}):\n    return _own_forward({', '.join(gives)})", space)
    found = space["forward"]
    found.__defaults__ = tuple(item.default for item in named if item.default is not item.empty)
    found.__doc__ = own.__doc__
    return found
