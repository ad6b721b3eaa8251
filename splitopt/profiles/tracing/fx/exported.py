"""Graphs of torch.export in the form of those of torch.fx: what a module does, in calls of ATen.

`torch.export` runs the forward pass with tensors that have shapes and no values, so it follows
branches over shapes and whatever Python does. Its graph is that of one mode. What it wraps or
states about one machine is restated here so that the graph can be cut: stretches without
gradients lie in the graph itself, sizes are asked by ``size``, tensors are made where the input
is, and checks and conversions that change nothing are left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

from splitopt.profiles.tracing.fx.tracer import NO_GRAD
from splitopt.profiles.tracing.running.example import Inputs, fresh

_END = 2**63 - 1
"""Where a slice ends that goes to the end."""
_KINDS = ("dtype", "device")
_LIKE: dict[str, Any] = {
    "zeros_like.default": torch.zeros_like,
    "ones_like.default": torch.ones_like,
    "new_zeros.default": "new_zeros",
    "new_ones.default": "new_ones",
}
_CONVERSIONS = ("to.dtype", "to.device", "to.dtype_layout")


def export_graph(
    module: nn.Module, inputs: Inputs, shorter: Inputs | None = None
) -> tuple[Graph, nn.Module]:
    """Export a module in the mode that it is in, for batches of any size.

    With `shorter`, inputs of shorter samples, the sides that differ may have any size, too.

    Returns
    -------
    The graph, and the module that has what the graph reads.
    """
    try:
        with _as_if_run():
            exported = _exported(module, inputs, shorter)
    except Exception:
        # Some modules need to know that they are being exported.
        exported = _exported(module, inputs, shorter)
    graph = exported.graph
    _inline(graph, exported)
    for node in list(graph.nodes):
        if _is_check(node):
            graph.erase_node(node)
    _restate(graph)
    return graph, exported


def constants_of(graph: Graph, root: nn.Module, module: nn.Module) -> dict[str, Any]:
    """Return what a graph reads from its root and the module does not have, by name."""
    found: dict[str, Any] = {}
    for node in graph.nodes:
        if node.op == "get_attr":
            name = str(node.target)
            value = _reached(root, name)
            own = _reached(module, name)
            if own is None or not isinstance(own, Tensor):
                found[name] = value
    return found


def _exported(module: nn.Module, inputs: Inputs, shorter: Inputs | None) -> GraphModule:
    free = tuple(
        dict.fromkeys(_free_axes(item, other), torch.export.Dim.AUTO)
        if isinstance(item, Tensor)
        else None
        for item, other in zip(inputs, inputs if shorter is None else shorter, strict=True)
    )
    with redirect_stderr(io.StringIO()):  # where it fails, it prints the graph so far there
        program = torch.export.export(module, fresh(inputs), dynamic_shapes=free, strict=False)
        found: Any = program.module()
    assert isinstance(found, GraphModule)
    return found


def _free_axes(item: Tensor, other: Tensor) -> list[int]:
    """Return the axes of an input that may have any size: of samples, and where another differs."""
    return [axis for axis in range(item.dim()) if not axis or item.shape[axis] != other.shape[axis]]


@contextmanager
def _as_if_run() -> Iterator[None]:
    """Make a module that asks whether it is exported do what it does when it is run.

    Models of transformers otherwise make masks that they do without elsewhere, so that split and
    whole would run other kernels.
    """
    compiler: Any = torch.compiler
    names = ("is_compiling", "is_exporting", "is_dynamo_compiling")
    before = {name: getattr(compiler, name) for name in names if hasattr(compiler, name)}
    try:
        for name in before:
            setattr(compiler, name, lambda: False)
        yield
    finally:
        for name, function in before.items():
            setattr(compiler, name, function)


def _reached(root: Any, name: str) -> Any:
    for step in name.split("."):
        root = getattr(root, step, None)
    return root


def _called(node: Node) -> str:
    """Return the name of what a node calls, such as ``slice.Tensor``."""
    return getattr(node.target, "__name__", "") if node.op == "call_function" else ""


def _is_check(node: Node) -> bool:
    """Whether a node only raises an error where the input is another one."""
    if node.users:
        return False
    return node.target == "_guards_fn" or _called(node).startswith(("_assert_", "sym_constrain"))


def _inline(graph: Graph, root: nn.Module) -> None:
    """Inline the nodes of stretches without gradients, and of autocast that is switched off.

    Autocast that is on stays a call of its own.
    """
    waiting = list(graph.nodes)
    while waiting:
        node = waiting.pop()
        name = _called(node)
        if name == "wrap_with_set_grad_enabled":
            enabled, inner, *operands = node.args
            gradients = bool(enabled)
        elif name == "wrap_with_autocast" and node.args[2] is False:
            inner, *operands = node.args[4:]
            gradients = not node.meta.get(NO_GRAD, False)
        else:
            continue
        assert isinstance(inner, Node)
        waiting += _opened(graph, node, (root, inner), operands, gradients)


def _opened(
    graph: Graph, node: Node, within: tuple[nn.Module, Node], operands: Any, gradients: bool
) -> list[Node]:
    """Replace a call of an inner graph by the nodes of it, and return those."""
    root, inner = within
    path = str(inner.target)
    values: dict[Node, Any] = {}
    given = iter(operands)
    results: Any = ()
    new: list[Node] = []
    for own in _reached(root, path).graph.nodes:
        if own.op == "placeholder":
            values[own] = next(given)
        elif own.op == "output":
            results = torch.fx.map_arg(own.args[0], lambda item: values[item])
        else:
            with graph.inserting_before(node):
                copied = graph.node_copy(own, lambda item: values[item])
            if own.op == "get_attr":
                copied.target = f"{path}.{own.target}"
            copied.meta = {**own.meta, NO_GRAD: not gradients}
            copied.meta.setdefault("nn_module_stack", node.meta.get("nn_module_stack"))
            values[own] = copied
            new.append(copied)
    for user in list(node.users):
        user.replace_all_uses_with(results[user.args[1]])  # getitem
        graph.erase_node(user)
    graph.erase_node(node)
    if not inner.users:
        graph.erase_node(inner)
    return new


def _restate(graph: Graph) -> None:
    """Drop what changes nothing, ask sizes by ``size``, make tensors where the input is."""
    first = next((node for node in graph.nodes if node.op == "placeholder"), None)
    if first is None:
        return
    value = first.meta.get("val")
    place = value.device if isinstance(value, Tensor) else None
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if _changes_nothing(node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
            continue
        with graph.inserting_before(node):
            new = _size(graph, node) or _like(graph, node)
        if new is not None:
            new.meta = {**node.meta}
            node.replace_all_uses_with(new)
            graph.erase_node(node)
            node = new
        if place is not None:
            _here(graph, node, first, place)


def _changes_nothing(node: Node) -> bool:
    """Whether a node gives its argument itself: a conversion to its own type, all of a slice."""
    name = _called(node)
    source = node.args[0] if node.args else None
    if not isinstance(source, Node):
        return False
    if name == "slice.Tensor":
        start, end, step = (*node.args[2:], *(None, None, None)[len(node.args) - 2 :])[:3]
        return bool(start in (0, None) and end in (None, _END) and step in (1, None))
    if name not in _CONVERSIONS:
        return False
    one, two = source.meta.get("val"), node.meta.get("val")
    if not (isinstance(one, Tensor) and isinstance(two, Tensor)):
        return False
    copies = True in node.args[1:] or node.kwargs.get("copy", False)
    same = (one.dtype, one.device, one.layout) == (two.dtype, two.device, two.layout)
    return bool(same and not copies and one.stride() == two.stride())


def _size(graph: Graph, node: Node) -> Node | None:
    if _called(node) not in ("sym_size.int", "sym_size"):
        return None
    return graph.call_method("size", node.args)


def _like(graph: Graph, node: Node) -> Node | None:
    """Write ``zeros_like`` and its kin as torch has them, see `splitopt...rewriting`."""
    made = _LIKE.get(_called(node))
    if made is None:
        return None
    kinds = {name: node.kwargs[name] for name in _KINDS if node.kwargs.get(name) is not None}
    if isinstance(made, str):
        return graph.call_method(made, node.args, kinds)
    return graph.call_function(made, node.args, kinds)


def _here(graph: Graph, node: Node, first: Node, place: torch.device) -> None:
    """Return the device of the input where the node has the one that it was exported on."""

    def is_place(item: Any) -> bool:
        return isinstance(item, torch.device) and item == place

    if not any(map(is_place, (*node.args, *node.kwargs.values()))):
        return
    with graph.inserting_before(node):
        asked = graph.call_function(getattr, (first, "device"))
    asked.meta = {"nn_module_stack": node.meta.get("nn_module_stack")}
    node.args = tuple(asked if is_place(item) else item for item in node.args)
    node.kwargs = {k: asked if is_place(item) else item for k, item in node.kwargs.items()}
