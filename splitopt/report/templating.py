"""The templates of the pages, and the files that stand inside them."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

_THEMED = {
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    "#d9dee5": "var(--line)",
}
"""Colours of drawings -> what they are on a page, which may be dark."""


@cache
def template(name: str) -> Any:
    """Load one of the package's templates; every value is escaped unless marked safe."""
    import jinja2

    loader = jinja2.PackageLoader("splitopt.report")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["asset"] = asset
    environment.filters["drawing"] = drawing
    return environment.get_template(name)


@cache
def asset(name: str) -> str:
    """Read a style sheet or a script of the package, to stand inside a page."""
    return files("splitopt.report").joinpath("assets", name).read_text("utf-8").rstrip()


def drawing(markup: str, label: str) -> str:
    """Return a drawing of Matplotlib in the colours of the page, with a text in place of it.

    What is no drawing of Matplotlib (it has a role already) stays as it is.
    """
    head, end, body = markup.partition(">")
    if "role=" in head or not head.lstrip().startswith("<svg"):
        return markup
    body = re.sub("|".join(_THEMED), lambda found: _THEMED[found[0]], body)
    # text without a colour of its own is black unless the style of the page says otherwise
    head += f' role="img" aria-label="{escape(label)}" fill="currentColor"'
    return head + end + body
