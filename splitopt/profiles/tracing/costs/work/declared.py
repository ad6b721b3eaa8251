"""Work that a user declares: formulas for operators that have none, or a better one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from splitopt.errors import InputError
from splitopt.profiles.tracing.costs.work.formulas import Declared, name_of

OPTION = "--flop"


def checked_formulas(given: Mapping[Any, Any] | None) -> dict[str, Declared]:
    """Return declared formulas by the operator's name.

    Parameters
    ----------
    given
        Operator -> formula. An operator is ``torch.ops.mylib.scan`` or its name
        ``"mylib::scan"``; a formula takes the operator's arguments with shapes in place of tensors
        and returns FLOP, as for ``torch.utils.flop_counter.register_flop_formula``.

    Raises
    ------
    InputError
        A key that names no operator, or a formula that cannot be called.
    """
    found: dict[str, Declared] = {}
    for key, formula in (given or {}).items():
        name = _name(key)
        if not callable(formula):
            raise InputError.at(
                f"flop_formulas[{name!r}]",
                f"is {formula!r}; give a function of the operator's arguments that returns FLOP",
            )
        if name in found:
            raise InputError.at("flop_formulas", f"{name} stands twice; declare its work once")
        found[name] = formula
    return found


def read_formulas(texts: Sequence[str]) -> dict[str, Declared]:
    """Read ``mylib::scan=work.py:scan_flop``, as a command line has it; the code is run."""
    from splitopt.profiles.tracing.source import open_function

    found: dict[str, Declared] = {}
    for text in texts:
        operator, _, target = text.partition("=")
        if not operator or ":" not in target:
            raise InputError.at(
                OPTION,
                f"{text!r} must be OPERATOR=FILE.py:FUNCTION, such as mylib::scan=work.py:scan",
            )
        name = _name(operator.strip())
        if name in found:
            raise InputError.at(OPTION, f"{name} stands twice; declare its work once")
        found[name] = open_function(target.strip())
    return found


def check_applied(
    declared: Mapping[str, Declared],
    applied: Iterable[str],
    unknown: Iterable[Mapping[str, Mapping[str, object]]],
) -> None:
    """Reject declared work of operators that did not run."""
    used = set(applied)
    if not (idle := [name for name in declared if name not in used]):
        return
    others = sorted({name for part in unknown for runs in part.values() for name in runs})
    hint = f"; without a formula are {', '.join(others)}" if others else ""
    raise InputError(
        f"work is declared for {', '.join(idle)}, which did not run in this model{hint}"
    )


def _name(key: Any) -> str:
    """Return the name of an operator, without its overload."""
    if isinstance(key, str):
        place, _, rest = key.partition("::") if "::" in key else key.partition(".")
        name = rest.partition(".")[0]
        if place and name and ":" not in name:
            return f"{place}::{name}"
    elif hasattr(key, "_schema"):
        return name_of(key)
    elif hasattr(key, "_qualified_op_name"):
        return str(key._qualified_op_name)
    raise InputError.at(
        "flop_formulas",
        f"{key!r} names no operator; write 'mylib::scan', or torch.ops.mylib.scan",
    )
