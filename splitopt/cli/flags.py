"""Commands that take dataclasses: every field of them is a flag of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

from splitopt.errors import InputError


def with_flags(command: Callable[..., int]) -> Callable[..., int]:
    """Return a command for typer whose dataclass parameters are spread into their fields.

    A field is declared as typer has it, ``Annotated[TYPE, typer.Option(...)] = DEFAULT``, so that
    commands that share a dataclass share names, types, defaults and help texts. Parameters of other
    types stay as they are.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[type, tuple[str, ...]]] = {}
    flat: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind) and isinstance(kind, type):
            own = get_type_hints(kind, include_extras=True)
            groups[parameter.name] = (kind, tuple(field.name for field in fields(kind)))
            flat += [_parameter(field, own[field.name]) for field in fields(kind)]
        else:
            flat.append(parameter.replace(annotation=kind, kind=Parameter.KEYWORD_ONLY))

    def spread(**given: Any) -> int:
        for name, (kind, names) in groups.items():
            given[name] = kind(**{field: given.pop(field) for field in names})
        return command(**given)

    spread.__doc__, spread.__name__ = command.__doc__, command.__name__
    # Typer reads both; a signature with two fields of one name is refused here, at import.
    vars(spread)["__signature__"] = Signature(flat, return_annotation=int)
    spread.__annotations__ = {item.name: item.annotation for item in flat} | {"return": int}
    return spread


def expect_defaults(flags: Any, why: str) -> None:
    """Raise `InputError` for the first field of a dataclass of flags that was given.

    Parameters
    ----------
    flags
        A dataclass of flags, all of which have defaults.
    why
        Why none of them may be given, as the end of a sentence that begins with the flag.
    """
    for field in fields(flags):
        if getattr(flags, field.name) != field.default:
            raise InputError.at(f"--{field.name.replace('_', '-')}", why)


def _parameter(field: Field[Any], annotation: Any) -> Parameter:
    """Return the keyword parameter that a field of a dataclass is."""
    default = Parameter.empty if field.default is MISSING else field.default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
