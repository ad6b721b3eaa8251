"""Keywords of public functions that are fields of dataclasses: shown with them, shared out to them.

A function takes them as ``**given``, typed by a dictionary of the fields that it takes. So what is
described by a dataclass is spelled out with it alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def takes_fields(known: Any, *kinds: type[Any]) -> Callable[[FunctionT], FunctionT]:
    """Show a function with the keywords that it collects: their names, types and defaults.

    Parameters
    ----------
    known
        The typed dictionary of all keywords that it takes.
    *kinds
        The dataclasses whose fields they are.
    """

    def shown(function: FunctionT) -> FunctionT:
        signature = inspect.signature(function)
        own = [item for item in signature.parameters.values() if item.kind != item.VAR_KEYWORD]
        more = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=field.type,
            )
            for kind in kinds
            for field in fields(kind)
            if field.name in known.__optional_keys__
        ]
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own, *more]
        )
        return function

    return shown


def shared_out(
    caller: str, known: Any, given: Mapping[str, Any], *kinds: type[Any]
) -> list[dict[str, Any]]:
    """Share out the keyword arguments of a public function among the dataclasses they are of.

    Parameters
    ----------
    caller
        The function.
    known
        The typed dictionary of all keywords that it takes.
    given
        Those that it was called with.
    *kinds
        Dataclasses, no two with a field of the same name.

    Returns
    -------
    list of dict
        For each dataclass those keywords that are fields of it.

    Raises
    ------
    TypeError
        A keyword that the function does not take.
    """
    for name in given:
        if name not in known.__optional_keys__:
            raise TypeError(f"{caller}() got an unexpected keyword argument {name!r}")
    names = [{field.name for field in fields(kind)} for kind in kinds]
    return [{name: value for name, value in given.items() if name in own} for own in names]
