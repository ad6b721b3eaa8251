"""The templates of the pages."""

from __future__ import annotations

from functools import cache
from typing import Any


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
    return environment.get_template(name)
