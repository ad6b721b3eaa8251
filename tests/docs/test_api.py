"""The API page has every public name, under the path to import it from."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import splitopt

ROOT = Path(__file__).parents[2]
DIRECTIVE = re.compile(r"^\.\. auto(?:function|class|exception|data):: (\S+)$", re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED = DIRECTIVE.findall((ROOT / "docs" / "api.md").read_text())


def imported_names(text):
    """Return the paths of what the snippets of a page import from modules of the package."""
    found = set()
    for block in PYTHON.findall(text):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("splitopt"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def resolve(path):
    """Return the object at a path and the packages above it; skip what needs PyTorch without it."""
    parts = path.split(".")
    above = [".".join(parts[:length]) for length in range(1, len(parts))]
    try:
        modules = [importlib.import_module(name) for name in above]
    except ModuleNotFoundError as error:
        if error.name == "torch":
            pytest.skip("needs the extra 'train'")
        raise
    return getattr(modules[-1], parts[-1]), modules


def test_every_public_name_is_documented():
    """The page has all names of the package, as they are imported from it, and none twice."""
    assert {f"splitopt.{name}" for name in splitopt.__all__} <= {*DOCUMENTED}
    assert len({*DOCUMENTED}) == len(DOCUMENTED)


@pytest.mark.parametrize("path", DOCUMENTED)
def test_every_documented_path_is_the_shortest_that_imports(path):
    """A path resolves, has no private part, and no package above exports the same object."""
    name = path.rpartition(".")[2]
    found, modules = resolve(path)
    assert not any(part.startswith("_") for part in path.split("."))
    shorter = [module.__name__ for module in modules[:-1] if getattr(module, name, None) is found]
    assert not shorter, f"{shorter[0]}.{name} is its public path"


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.stem
)
def test_what_snippets_import_is_documented(page):
    """A name that a snippet imports from a module is on the page."""
    unknown = imported_names(page.read_text()) - {*DOCUMENTED}
    assert not {name for name in unknown if not (ROOT / name.replace(".", "/")).is_dir()}
