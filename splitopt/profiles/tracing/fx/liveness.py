"""Where a graph can be cut: what is alive once a value is computed.

The graph is one of `torch.fx`. A value is *alive* from where it is computed to where it is read
for the last time. Behind every value lies a *front*: the values that are alive there, all of which
have to cross a cut there. If the value is alone, it is a dominator of the output: all that comes
from the input runs through it. Three kinds of values are told apart:

* *data* depends on the numbers of the input;
* *sizes* depend on its shape alone, such as ``x.size(0)`` and the tensors that are made from it;
* *constants* depend on neither.

Sizes and constants are computed anew in each part that needs them, so they do not stand in the way
of a cut.

*Effects* are nodes that run for what they do and not for what they give: they write a buffer, draw
random numbers, or call a module that nobody reads. Each of them runs exactly once, in the part that
it lies in; what is written, or drawn, is data.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.fx import Graph, Node

_SIZE_METHODS = frozenset({"size", "dim", "ndimension", "numel", "element_size", "__len__"})
_SIZE_ATTRIBUTES = frozenset({"shape", "ndim", "dtype", "device"})
_SIZE_FUNCTIONS = frozenset(
    {"sym_size.int", "sym_size", "sym_numel.default", "len", "_get_seq_len"}
)
_VIEWS = frozenset(
    {
        "getitem", "getattr", "detach", "view", "view_as", "reshape", "flatten", "unflatten",
        "squeeze", "unsqueeze", "transpose", "permute", "t", "select", "narrow", "expand",
        "expand_as", "chunk", "split", "unbind", "diagonal",
    }
)  # fmt: skip
"""What may give the memory of its first argument under another shape."""
_RANDOM = (
    "dropout", "alpha_dropout", "feature_alpha_dropout", "feature_dropout", "rand", "randn",
    "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli", "multinomial",
    "normal", "poisson", "uniform", "exponential", "cauchy", "log_normal", "geometric", "random",
    "gumbel_softmax", "rrelu", "dropout1d", "dropout2d", "dropout3d",
)  # fmt: skip


@dataclass(frozen=True)
class Front:
    """What is alive once a node has run.

    Parameters
    ----------
    node
        The node, which gives data that is still to be read.
    values
        All values that depend on the numbers of the input and are still to be read, in the order in
        which they were computed; the last one is that of the node.
    """

    node: Node
    values: tuple[Node, ...]


@dataclass(frozen=True)
class Flow:
    """What `analyse` finds in a graph.

    Parameters
    ----------
    order
        The nodes that the output or an effect needs, in the order in which they run, without the
        output.
    data, sizes
        Those that depend on the numbers and on the shape of the input.
    effects
        Nodes that run although the output does not need them.
    fronts
        What is alive behind every value but the inputs, in order; the last one is what the module
        returns.
    result
        The output node.
    """

    order: tuple[Node, ...]
    data: frozenset[Node]
    sizes: frozenset[Node]
    effects: frozenset[Node]
    fronts: tuple[Front, ...]
    result: Node


def follow_writes(graph: Graph, root: nn.Module) -> None:
    """Redirect later readers of a tensor that is written in place to the written value.

    ``relu_(x)`` followed by a use of ``x`` becomes a use of what ``relu_`` returns, which is the
    same tensor; then the order of reading and writing is in the graph.
    """
    place = {node: index for index, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        target = written(node, root)
        if target is None:
            continue
        for user in list(target.users):
            if place[user] > place[node]:
                user.replace_input_with(target, node)


def written(node: Node, root: nn.Module) -> Node | None:
    """Return the value that a node writes over, if it works in place; `root` holds its module."""
    if not node.args or not isinstance(node.args[0], Node):
        return None
    name = _name(node)
    by_name = node.op in ("call_method", "call_function") and _ends_in_place(name)
    by_option = node.kwargs.get("inplace") is True
    by_module = False
    if node.op == "call_module":  # such as nn.ReLU(inplace=True)
        by_module = bool(getattr(root.get_submodule(name), "inplace", False))
    return node.args[0] if by_name or by_option or by_module else None


def memory_of(node: Node | None) -> list[Node]:
    """Return a value and those that it may be a view of, itself first; nothing of None."""
    found: list[Node] = []
    while node is not None:
        found.append(node)
        by_name = node.op in ("call_method", "call_function") and _base(_name(node)) in _VIEWS
        first = node.args[0] if by_name and node.args else None
        node = first if isinstance(first, Node) else None
    return found


def analyse(graph: Graph, root: nn.Module, *, with_effects: bool = True) -> Flow:
    """Sort the nodes of a graph into data, sizes and constants, and find the fronts.

    `root` holds the modules that are called. Without effects only what the output needs is kept.
    """
    result = next(node for node in graph.nodes if node.op == "output")
    # What writes state or draws is data, and so has one place; the rest of what acts runs for the
    # output's sake, or is read by nobody and runs where it lies.
    acting = {node for node in graph.nodes if with_effects and _acts(node, root)}
    for_output = _reaching([result])
    unread = {
        node
        for node in graph.nodes
        if with_effects
        and node not in for_output
        and (node.op == "call_module" or written(node, root) is not None)
    }
    effects = acting | unread
    needed = _reaching([result, *effects])
    order = tuple(node for node in graph.nodes if node in needed and node is not result)
    data: set[Node] = set()
    sizes: set[Node] = set()
    for node in order:
        inputs = node.all_input_nodes
        if node.op == "placeholder" or node in acting:
            data.add(node)
        elif any(item in data for item in inputs):
            (sizes if _asks_size(node) else data).add(node)
        elif any(item in sizes for item in inputs):
            sizes.add(node)
    fronts = _fronts(order, data, result)
    return Flow(order, frozenset(data), frozenset(sizes), frozenset(effects), fronts, result)


def _acts(node: Node, root: nn.Module) -> bool:
    """Whether running a node a second time makes a difference."""
    return _writes_state(node, root) or _draws(node) or _has_state(node, root)


def _writes_state(node: Node, root: nn.Module) -> bool:
    """Whether a node writes into a buffer, or a view of one."""
    target = written(node, root)
    while target is not None and target.op != "get_attr":
        again = written(target, root)
        if again is None and target.op != "call_module" and _base(_name(target)) in _VIEWS:
            first = target.args[0] if target.args else None
            again = first if isinstance(first, Node) else None
        target = again
    return target is not None


def _has_state(node: Node, root: nn.Module) -> bool:
    """Whether a node calls a module that has buffers or draws, so that a second call counts."""
    if node.op != "call_module":
        return False
    module = root.get_submodule(str(node.target))
    drawing = nn.modules.dropout._DropoutNd
    return any(True for _ in module.buffers()) or any(
        isinstance(part, drawing) for part in module.modules()
    )


def _draws(node: Node) -> bool:
    """Whether a node draws random numbers."""
    return node.op in ("call_function", "call_method") and _base(_name(node)).rstrip("_") in _RANDOM


def _fronts(order: tuple[Node, ...], data: set[Node], result: Node) -> tuple[Front, ...]:
    """Sweep over the nodes and keep what data is still to be read behind each."""
    place = {node: index for index, node in enumerate((*order, result))}
    # Asking for a size is no reading of the numbers.
    last = {
        node: max(
            (place[user] for user in node.users if user in data or user is result), default=-1
        )
        for node in data
    }
    found = []
    alive: list[Node] = []
    for index, node in enumerate(order):
        if node not in data:
            continue
        alive = [item for item in (*alive, node) if last[item] > index]
        if node in alive and node.op != "placeholder":
            found.append(Front(node, tuple(alive)))
    return tuple(found)


def _reaching(ends: list[Node]) -> set[Node]:
    """Return all nodes that some nodes need, and these."""
    seen: set[Node] = set()
    waiting = list(ends)
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        waiting += node.all_input_nodes
    return seen


def _asks_size(node: Node) -> bool:
    if node.op == "call_method":
        return node.target in _SIZE_METHODS
    if node.op == "call_function":
        if _name(node) == "getattr":
            return node.args[1] in _SIZE_ATTRIBUTES
        return _name(node) in _SIZE_FUNCTIONS
    return False


def _name(node: Node) -> str:
    """Return the name of what a node calls, such as ``relu_``, ``add_.Tensor`` or ``iadd``."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _base(name: str) -> str:
    return name.partition(".")[0]


def _ends_in_place(name: str) -> bool:
    base = _base(name)
    in_operator = base in ("iadd", "isub", "imul", "itruediv", "imatmul", "ipow", "ifloordiv")
    return in_operator or (base.endswith("_") and not base.endswith("__"))
