"""How far the output of a module can move when its input moves by 1: a proved bound.

The module is followed as a graph of torch.fx. A layer stretches distances by at most its factor, so
that the factors of layers one behind the other are multiplied, and those of branches that are added
up are added (the triangle inequality).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn

from splitopt.errors import InputError
from splitopt.training.privacy.pixel.layers import AS_LAYERS, KNOWN, LINEAR, METHODS, is_known
from splitopt.training.privacy.pixel.operators import Bound, Norm, linear_of, norm_of
from splitopt.user_code import reason

_SUMS = frozenset({operator.add, operator.iadd, operator.sub, operator.isub, torch.add, torch.sub})


@dataclass(frozen=True)
class LayerBound:
    """The factor of one layer.

    Parameters
    ----------
    name
        Of the layer in the module.
    kind
        Its type.
    bound
        By how much it can stretch distances, and why.
    """

    name: str
    kind: str
    bound: Bound


class Sensitivity:
    """The Lipschitz constant of a module, which follows its weights.

    Parameters
    ----------
    module
        From one tensor to one.
    example
        Some samples, whose values do not matter; shape (n, ...), n >= 2.
    norm
        Of inputs and outputs.

    Raises
    ------
    InputError
        The module cannot be followed, or it has a layer of unknown norm; the message names it.
    """

    def __init__(self, module: nn.Module, example: Tensor, norm: Norm) -> None:
        self.norm = norm
        try:
            self._graph = fx.GraphModule(_Whole(module), _Tracer().trace(_Whole(module)))
        except Exception as error:
            raise InputError.at(
                "after",
                f"has a module before it that cannot be followed ({reason(error)}); place the "
                "noise behind an earlier layer",
            ) from error
        self._shapes = _shapes(self._graph, example)
        self._layers = self._found()
        self.bounds()

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Return None: it is of this module's tensors, and a copy of the module makes its own."""
        return

    def value(self, *, normalised: bool = False) -> float:
        """Return Delta: the norm of outputs that differ, over that of the inputs, at most.

        Parameters
        ----------
        normalised
            Take 1 for the norm of every weight that is below, as it is after `normalise`, so that
            the noise does not follow the weights; above 1 (by the rounding of an average of
            normalised copies) the norm is what it is.
        """
        factors = {own.name: own.bound.value for own in self.bounds(normalised=normalised)}
        found: dict[fx.Node, float] = {}
        for node in self._graph.graph.nodes:
            if node.op == "output":
                return found[node.args[0]]
            if node.op == "placeholder":
                found[node] = 1.0
            elif self._shapes[node] is None or node.op == "get_attr":
                found[node] = 0.0  # a number or a constant, the same for all inputs
            elif node.target in _SUMS:
                found[node] = sum(found[own] for own in _terms(node))
            else:
                found[node] = found[node.all_input_nodes[0]] * factors[node.name]
        raise AssertionError("a graph has an output")

    def bounds(self, *, normalised: bool = False) -> list[LayerBound]:
        """Return the factor of every layer in the order in which they run."""
        found = []
        for node, layer in self._layers.items():
            bound = self._bound(node, layer)
            if normalised and _weight(layer) is not None and bound.value < 1:
                bound = Bound(1.0, "kept at 1 or below")
            found.append(LayerBound(node.name, type(layer).__name__, bound))
        return found

    def normalise(self) -> None:
        """Divide every weight whose operator norm is above 1 by that norm, in place."""
        for node, layer in self._layers.items():
            weight = _weight(layer)
            if weight is None:
                continue
            while (found := self._bound(node, layer).value) > 1:
                with torch.no_grad():
                    # Rounding of a float32 weight must not lift the norm above 1 again.
                    weight.div_(found * (1 + 4 * torch.finfo(weight.dtype).eps))

    def _bound(self, node: fx.Node, layer: nn.Module) -> Bound:
        if type(layer) in KNOWN:
            return KNOWN[type(layer)](layer, self.norm)
        shape = self._shapes[node.all_input_nodes[0]]
        assert shape is not None
        weight = _weight(layer)
        where = None if weight is None else weight.device
        return norm_of(linear_of(layer, shape[1:]), self.norm, where)

    def _found(self) -> dict[fx.Node, nn.Module]:
        """Return the layer of every node that is one; raise `InputError` for what is unknown."""
        found: dict[fx.Node, nn.Module] = {}
        for node in self._graph.graph.nodes:
            shape = self._shapes[node]
            if node.op in ("placeholder", "get_attr", "output") or shape is None:
                continue
            if node.target in _SUMS:
                moving = [own for own in _terms(node) if self._moves(own)]
                if any(self._shapes[own] != shape for own in moving) or node.kwargs:
                    _refuse(node, "a sum of tensors of different shapes or with a factor")
                continue
            layer = self._layer(node)
            moving = [own for own in node.all_input_nodes if self._moves(own)]
            if layer is None or len(moving) != 1 or node.all_input_nodes[0] is not moving[0]:
                _refuse(node, _kind(node, self._graph))
            found[node] = layer
        return found

    def _moves(self, node: fx.Node) -> bool:
        """Whether a value is a tensor that depends on the input."""
        return self._shapes[node] is not None and node.op != "get_attr"

    def _layer(self, node: fx.Node) -> nn.Module | None:
        if node.op == "call_module":
            layer = self._graph.get_submodule(str(node.target))
            hooked = layer._forward_hooks or layer._forward_pre_hooks  # may do anything
            return layer if is_known(layer) and not hooked else None
        known: Mapping[Any, Callable[..., nn.Module]] = METHODS
        if node.op == "call_function":
            known = AS_LAYERS
        make = known.get(node.target)
        if make is None or node.kwargs.get("return_indices"):
            return None
        return make(*node.args[1:], **{k: v for k, v in node.kwargs.items() if k != "input"})


class _Whole(nn.Module):
    """A module under a name, so that whatever arguments its forward has are given to it."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Any) -> Any:
        """Call the module."""
        return self.part(x)


class _Tracer(fx.Tracer):
    """Stops at the layers of the tables and at those of torch.nn that hold no others."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_known(m) or super().is_leaf_module(m, module_qualified_name)


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...] | None] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        self.shapes[n] = tuple(result.shape) if isinstance(result, Tensor) else None
        of_tensors = any(self.shapes[own] is not None for own in n.all_input_nodes)
        if n.op != "output" and self.shapes[n] is None and of_tensors and not _is_size(n):
            _refuse(n, "numbers or several tensors made of a tensor")
        return result


def _shapes(graph: fx.GraphModule, example: Tensor) -> dict[fx.Node, tuple[int, ...] | None]:
    """Return the shape of every tensor; raise `InputError` where samples do not stay apart."""
    modes = [(part, part.training) for part in graph.modules()]
    recorder = _Recorder(graph)
    try:
        graph.eval()  # leaves statistics and random numbers as they are
        with torch.no_grad():
            recorder.run(example)
    finally:
        for part, mode in modes:
            part.training = mode
    for node, shape in recorder.shapes.items():
        is_sample = node.op not in ("get_attr", "output") and shape is not None
        if is_sample and (not shape or shape[0] != len(example)):
            _refuse(node, "an operation whose first axis are not the samples")
    return recorder.shapes


def _is_size(node: fx.Node) -> bool:
    """Whether a value is the size or type of a tensor and not made of its numbers."""
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim", "dtype", "device")
    return node.op == "call_method" and node.target in ("size", "dim", "numel")


def _terms(node: fx.Node) -> list[fx.Node]:
    """Return the values that a sum adds up, one that is added to itself twice."""
    return [own for own in node.args if isinstance(own, fx.Node)]


def _weight(layer: nn.Module) -> Tensor | None:
    """Return the weight of a linear layer, None of any other."""
    weight = getattr(layer, "weight", None) if type(layer) in LINEAR else None
    return weight if isinstance(weight, Tensor) else None


def _kind(node: fx.Node, graph: fx.GraphModule) -> str:
    if node.op == "call_module":
        return type(graph.get_submodule(str(node.target))).__name__
    return str(getattr(node.target, "__name__", node.target))


def _refuse(node: fx.Node, what: str) -> NoReturn:
    name = str(node.target if node.op == "call_module" else node.name)
    raise InputError.at(
        "after",
        f"has {name.removeprefix('part.')} before it ({what}), of which no norm is known, so that "
        "no noise is known to be enough; place the noise behind an earlier layer",
    )


def layer_bounds(module: nn.Module, example: Tensor, norm: Norm) -> Sequence[LayerBound]:
    """Return the factors of the layers of a module; see `Sensitivity`."""
    return Sensitivity(module, example, norm).bounds()
