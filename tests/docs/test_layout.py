"""The layout in CONTRIBUTING is that of the tree."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"[a-z_0-9]+(?:\.py|/)")


def listed():
    """Return the names in the layout: files with their ending, folders with a slash."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    begin = text.index("    splitopt/\n")
    return set(NAME.findall(text[begin : text.index("A module imports only", begin)]))


def entries(folder):
    """Return what a folder has, written alike; what begins with an underscore is left out."""
    found = [path for path in folder.iterdir() if not path.name.startswith(("_", "."))]
    return {
        f"{path.name}/" if path.is_dir() else path.name
        for path in found
        if path.is_dir() or path.suffix == ".py"
    }


def test_the_package_is_listed():
    """Every file and folder of the package stands in the layout."""
    every = entries(ROOT / "splitopt")
    assert len(every) > 30
    assert every - listed() == set()


def test_what_is_listed_is_there():
    """The layout names nothing that is not in the tree."""
    there = entries(ROOT)
    for room in ("splitopt", "benchmarks", "docs", "tests"):
        folders = [path for path in (ROOT / room).rglob("*") if path.is_dir()]
        for folder in (ROOT / room, *folders):
            there |= entries(folder)
    assert listed() - there == set()
