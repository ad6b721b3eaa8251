"""Names of the values of a graph: those of the modules that end there."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

from torch import nn
from torch.fx import Node

_CONTAINERS = (nn.Sequential, nn.ModuleList)


def value_names(values: Sequence[Node], order: Sequence[Node], root: nn.Module) -> tuple[str, ...]:
    """Name each value after the largest module that ends with it.

    A module that is called several times names nothing, nor does a plain container. The first of
    the results of a module has its name: the outputs of an ``nn.LSTM``, say. A value that ends no
    module is named after the operation and the module around it, such as ``layer1.0.add``. No name
    is given twice.
    """
    repeated = _called_repeatedly(order)
    last: dict[str, int] = {}
    for index, node in enumerate(order):
        for path in _stack(node):
            last[path] = index
    modules = dict(root.named_modules())
    place = {node: index for index, node in enumerate(order)}
    found: list[str] = []
    for value in values:
        ended = [
            path
            for path in _stack(value)
            if path
            and last[path] == place[value]
            and path not in repeated
            and type(modules.get(path)) not in _CONTAINERS
        ]
        whole = _first_result(value)
        if not ended and whole is not None and whole not in repeated:
            ended = [whole] if last.get(whole, -1) <= place[value] else []
        name = ended[0] if ended else _operation(value)
        count = sum(1 for other in found if other == name or other.startswith(f"{name}#"))
        found.append(f"{name}#{count + 1}" if count else name)
    return tuple(found)


def _stack(node: Node) -> list[str]:
    """Return the dotted names of the modules around a node, from the outermost to the innermost."""
    stack: Mapping[str, tuple[str, object]] = node.meta.get("nn_module_stack") or {}
    return [path.partition("@")[0] for path, _ in stack.values()]


def _called_repeatedly(order: Sequence[Node]) -> set[str]:
    """Return the modules whose second call stands somewhere in the graph, marked by an ``@``."""
    return {
        path
        for node in order
        for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items()
        if "@" in key
    }


def _first_result(value: Node) -> str | None:
    """Return the path of the module that gives several results, of which this is the first.

    That a module gives several shows in that each of its users picks one by its number.
    """
    if value.target is not operator.getitem or value.args[1] != 0:
        return None
    source = value.args[0]
    if not isinstance(source, Node) or source.op != "call_module":
        return None
    several = all(
        user.target is operator.getitem and type(user.args[1]) is int for user in source.users
    )
    return str(source.target) if several else None


def _operation(node: Node) -> str:
    target = node.target
    if node.op == "call_module":
        return str(target)
    name = target if isinstance(target, str) else getattr(target, "__name__", node.name)
    around = [path for path in _stack(node) if path]
    return ".".join([*around[-1:], name.partition(".")[0]])
