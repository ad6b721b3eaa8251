"""The source of a shipped network as one file that needs nothing but PyTorch."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from splitopt.models.adapters.lora import insert
from splitopt.models.registry import entry_of

_OURS = "splitopt"


def network_source(
    name: str,
    shape: Sequence[int],
    classes: int | None,
    adapters: Mapping[str, Any] | None = None,
) -> str:
    """Write a file with the network and a function ``build()`` that makes it.

    Parameters
    ----------
    name, shape, classes
        As for `splitopt.models.build`.
    adapters
        Arguments of `splitopt.models.adapters.lora.insert`, for a network that has adapters.
    """
    entry = entry_of(name)
    bundle = Bundle()
    bundle.add(f"splitopt.models.{entry.module}", entry.factory)
    arguments = {"shape": tuple(shape), "classes": classes, **entry.arguments}
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    made = f"{entry.factory}({given})"
    if adapters is not None:
        bundle.add(insert.__module__, insert.__name__)
        more = ", ".join(f"{key}={value!r}" for key, value in adapters.items())
        made = f"{insert.__name__}({made}, {more})"
    return (
        f'"""The network {name} of splitopt (Apache License 2.0), as it is planned with."""\n\n'
        "from __future__ import annotations\n\n"
        + "\n".join(_joined(bundle.imports))
        + "\n\n\n"
        + "\n\n\n".join(bundle.definitions)
        + "\n\n\ndef build():\n"
        + '    """Build the network with fresh weights."""\n'
        + f"    return {made}\n"
    )


class Bundle:
    """Definitions of several modules of the package, each behind those that it uses."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.definitions: list[str] = []
        self._homes: dict[str, str] = {}
        self._done: set[tuple[str, str]] = set()

    def add(self, module: str, name: str) -> None:
        """Add what a module calls by a name, and what that uses in turn."""
        text, found = _definitions(module)
        if name not in found:
            return  # a builtin, or a local name
        statement = found[name]
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(_OURS):
            self.add(statement.module or "", name)
            return
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self.imports.add(_single_import(statement, name))
            return
        home = self._homes.setdefault(name, module)
        assert home == module, f"{name} stands in {module} and in {home}"
        if (module, name) in self._done:
            return
        self._done.add((module, name))
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                self.add(module, node.id)
        self.definitions.append(_source(text, statement))


@cache
def _definitions(module: str) -> tuple[str, dict[str, ast.stmt]]:
    """Return the source of a module and what defines each of its names."""
    text = inspect.getsource(importlib.import_module(module))
    found: dict[str, ast.stmt] = {}
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            found |= dict.fromkeys((a.asname or a.name for a in statement.names), statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found |= {t.id: statement for t in targets if isinstance(t, ast.Name)}
    return text, found


def _single_import(statement: ast.Import | ast.ImportFrom, name: str) -> str:
    alias = next(a for a in statement.names if (a.asname or a.name) == name)
    kept = ast.copy_location(type(statement)(**{**vars(statement), "names": [alias]}), statement)
    return ast.unparse(kept)


def _joined(imports: set[str]) -> list[str]:
    """Sort imports, with all names of a module in one line."""
    plain = sorted(line for line in imports if line.startswith("import "))
    names: dict[str, list[str]] = {}
    for line in sorted(imports - set(plain)):
        place, _, name = line.partition(" import ")
        names.setdefault(place, []).append(name)
    return [*plain, *(f"{place} import {', '.join(found)}" for place, found in names.items())]


def _source(text: str, statement: ast.stmt) -> str:
    """Cut a statement out of a module, with its decorators."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(item.lineno for item in decorators)])
    return "\n".join(text.splitlines()[first - 1 : statement.end_lineno])
