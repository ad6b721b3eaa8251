"""Symbolic tracing that keeps what forward writes, and where no gradient is wanted.

`torch.fx` runs what touches a buffer alone while it traces, and does not record it; nor does it
record ``torch.no_grad()``. Here buffers that forward writes are values of the graph, and every node
says whether gradients were on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, Node, Proxy, Tracer

from splitopt.models.adapters.quantised import QuantisedLinear
from splitopt.profiles.tracing.fx.containers import enter

NO_GRAD = "splitopt_no_grad"
"""In the meta data of a node: it ran without gradients."""


class StateTracer(Tracer):
    """Traces a module with the buffers that its forward pass writes.

    Parameters
    ----------
    written
        Name -> buffer (or parameter that is not trained) that forward writes.
    replaced
        Names of those that forward makes another tensor, instead of writing in place.
    entering
        Whether to trace into the containers of torch.nn, see `splitopt...containers`.
    """

    def __init__(
        self, written: Mapping[str, torch.Tensor], replaced: frozenset[str], entering: bool
    ) -> None:
        super().__init__()
        self._names = {id(tensor): name for name, tensor in written.items()}
        self._replaced, self._entering = replaced, entering
        self._buffers: dict[str, Proxy] = {}
        self._values: dict[str, Proxy] = {}

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> Graph:
        """Trace the module; values that it sets as buffers are written into those."""
        with self._writing_what_is_set():
            return super().trace(root, concrete_args)

    def create_node(self, *args: Any, **kwargs: Any) -> Node:
        """Record whether gradients are on where the node runs."""
        node = super().create_node(*args, **kwargs)
        if not torch.is_grad_enabled():
            node.meta[NO_GRAD] = True
        return node

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Read a buffer that is written as a value of the graph."""
        name = self._names.get(id(attr_val))
        if name is not None:
            return self._value(name)
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run a container of torch.nn layer by layer."""
        inside = enter(self, m, self.path_of_module(m)) if self._entering else None
        if inside is None:
            return super().call_module(m, forward, args, kwargs)
        self._inside = m
        return super().call_module(m, inside, args, kwargs)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is called as it is: not the container that is being entered."""
        if self._inside is m:
            self._inside = None
            return False
        if is_adapter(m):
            return True
        return super().is_leaf_module(m, module_qualified_name)

    _inside: nn.Module | None = None

    def _buffer(self, name: str) -> Proxy:
        if name not in self._buffers:
            self._buffers[name] = self.create_proxy("get_attr", name, (), {})
        return self._buffers[name]

    def _value(self, name: str) -> Proxy:
        """Return what a buffer is now: where it will be replaced, a copy that stays as it is."""
        if name not in self._values:
            own = self._buffer(name)
            self._values[name] = own.clone() if name in self._replaced else own
        return self._values[name]

    def _set(self, name: str, value: Proxy) -> None:
        self._value(name)
        self._buffer(name).copy_(value.detach())
        self._values[name] = value

    @contextmanager
    def _writing_what_is_set(self) -> Iterator[None]:
        """Allow modules to be given proxies as buffers, which torch.nn would reject."""
        original = nn.Module.__setattr__
        tracer = self

        def setattr_(module: nn.Module, name: str, value: Any) -> None:
            own = vars(module).get("_buffers", {}).get(name)
            known = tracer._names.get(id(own))
            if isinstance(value, Proxy) and known is not None:
                tracer._set(known, value)
            else:
                original(module, name, value)

        nn.Module.__setattr__ = setattr_  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            nn.Module.__setattr__ = original  # type: ignore[method-assign]


def is_adapter(module: nn.Module) -> bool:
    """Whether a module is a layer that no cut is inside of, and whose forward no graph shows.

    Those of `peft` decide by types and settings which adapters run.
    """
    if isinstance(module, QuantisedLinear):
        return True
    return any(
        own.__module__.startswith("peft.") and own.__name__ == "BaseTunerLayer"
        for own in type(module).__mro__
    )
