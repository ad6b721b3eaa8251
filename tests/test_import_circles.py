"""No modules of the package import each other in a circle, in whatever way they import.

Imports inside functions and for type checking alone count like all others: they hide a circle, and
do not open it.
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]


def sources(root):
    """Return the text of every module of the package ``splitopt`` in a folder, by its name."""
    found = {}
    for path in sorted((root / "splitopt").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


def imported(text, modules):
    """Return the modules that a module imports anywhere in its text."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not followed"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            names = {name if name in modules else node.module for name in submodules}
            found |= names
    return found & set(modules)


def circles(texts):
    """Return the sorted modules of each circle: the strongly connected components with several."""
    names = sorted(texts)
    place = {name: index for index, name in enumerate(names)}
    edges = [
        (place[name], place[other])
        for name, text in texts.items()
        for other in imported(text, texts)
        if other != name
    ]
    rows, columns = np.array(edges, dtype=int).reshape(-1, 2).T
    graph = csr_matrix((np.ones(len(edges)), (rows, columns)), shape=(len(names),) * 2)
    _, component = connected_components(graph, connection="strong")
    members = {}
    for name, number in zip(names, component, strict=True):
        members.setdefault(number, []).append(name)
    return [found for found in members.values() if len(found) > 1]


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle():
    """There is no circle in the package."""
    assert circles(sources(ROOT)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import splitopt.b",
        "from splitopt.b import x",
        "from splitopt import b",
        "def f():\n    from splitopt.b import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from splitopt.b import x",
    ],
)
def test_a_circle_is_found_however_it_is_imported(text):
    """Eagerly, in a function, or for type checking; modules outside of it are not named."""
    texts = {
        "splitopt": "",
        "splitopt.a": text,
        "splitopt.b": "from splitopt.c import y\n",
        "splitopt.c": "import splitopt.a\n",
        "splitopt.d": "import splitopt.a\n",
    }
    assert circles(texts) == [["splitopt.a", "splitopt.b", "splitopt.c"]]
    assert circles(texts | {"splitopt.c": ""}) == []
