"""Notebooks as pages of the documentation: a parser of Sphinx that reads cells as Markdown."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser


class NotebookParser(MystParser):
    """Reads a file of Jupyter, format 4; outputs stand below their cells as they are kept."""

    supported = ("ipynb",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Turn a notebook into a page."""
        super().parse(markdown_of(json.loads(inputstring)), document)


def markdown_of(notebook: dict[str, Any]) -> str:
    """Return a notebook as Markdown of MyST."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code":
            parts.append(_fenced("python", source))
            parts += [_shown(output) for output in cell["outputs"]]
    return "\n\n".join(parts) + "\n"


def _shown(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return _fenced("text", "".join(output["text"]))
    data = output["data"]
    if "image/png" in data:
        about = escape("".join(data["text/plain"]), quote=True)
        picture = f'<p><img alt="{about}" src="data:image/png;base64,{data["image/png"]}"></p>'
        return _fenced("{raw} html", picture)
    if "text/html" in data:
        table = "".join(data["text/html"])
        return _fenced("{raw} html", f'<div style="overflow-x: auto">{table}</div>')
    return _fenced("text", "".join(data["text/plain"]))


def _fenced(kind: str, text: str) -> str:
    fence = "`" * 3
    while fence in text:
        fence += "`"
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def setup(app: Any) -> dict[str, Any]:
    """Register the parser; called by Sphinx."""
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
