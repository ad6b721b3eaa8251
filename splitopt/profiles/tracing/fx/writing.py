"""The Python text of a graph, with the stretches that run without gradients in a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import Graph, Node

from splitopt.profiles.tracing.fx.tracer import NO_GRAD

_SWITCH = "torch._C._set_grad_enabled("
_BLOCK = "with torch.no_grad():"


def mark(graph: Graph, gradients: bool, node: Node | None = None) -> bool:
    """Mark in a graph where gradients go off or on before a node, or before the end (None).

    Returns
    -------
    Whether they are on behind the mark.
    """
    if node is not None and node.op in ("placeholder", "get_attr"):
        return gradients  # reading is the same with them and without
    wanted = node is None or not node.meta.get(NO_GRAD, False)
    if wanted != gradients:
        graph.call_function(torch._C._set_grad_enabled, (wanted,))
    return wanted


def source_of(graph: Graph) -> tuple[str, Mapping[str, Any]]:
    """Return a graph as the text of a function ``forward(self, ...)``, and the names it uses."""
    code = graph.python_code("self")
    if _SWITCH not in code.src:
        return code.src, code.globals
    lines, inside = [], False
    for line in code.src.splitlines():
        if _SWITCH in line:
            indent = line[: len(line) - len(line.lstrip())]
            inside = f"{_SWITCH}False)" in line
            if inside:
                lines.append(f"{indent}{_BLOCK}")
        else:
            lines.append(f"    {line}" if inside else line)
    return "\n".join(lines) + "\n", {**code.globals, "torch": torch}
