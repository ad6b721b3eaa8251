"""A module that returns one tensor, seen in one that returns it by name or keeps a cache.

Models of HuggingFace return their outputs by name, and keep the keys and values of attention for
generating text. What is trained is one tensor: ``logits`` where there are some, else the first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.profiles.tracing.running.example import Inputs, fresh
from splitopt.profiles.tracing.running.positional import ByPosition
from splitopt.profiles.tracing.running.quiet import materialise, undisturbed

LEADING = "logits"
_CACHE = "use_cache"


class OneTensor:
    """Marks the classes of modules that are seen to return one tensor.

    Attributes
    ----------
    key
        The name of the output that is returned, None for a module that returns no names.
    others
        Names of the outputs that are left out.
    """

    key: str | None
    others: tuple[str, ...]
    _seen: type[nn.Module]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle by the module's own class."""
        return _blank, (self._seen, self.key, self.others), vars(self)


def one_tensor(module: nn.Module, inputs: Inputs) -> nn.Module:
    """Return a module that returns one tensor: itself, or another view of it.

    Parameters
    ----------
    module
        It is run once, and left as it was.
    inputs
        An example of what it takes.

    Returns
    -------
    The module where it returns no names and keeps no cache. Otherwise a module of a subclass that
    has the same attributes, parameters, buffers and submodules, not copies of them. It computes
    the same with caches switched off (``config.use_cache``), and returns one tensor of the names.
    """
    if isinstance(module, OneTensor):
        return module
    materialise(module, *fresh(inputs))
    with undisturbed(module), torch.no_grad(), without_caches(module):
        module.train()
        result = module(*fresh(inputs))
    key = key_of(result)
    if key is None and not _caching(module):
        return module
    names = () if key is None else result.items()
    others = tuple(name for name, value in names if name != key and value is not None)
    seen = _blank(type(module), key, others)
    object.__setattr__(seen, "__dict__", vars(module))
    return seen


def as_given(module: nn.Module) -> nn.Module:
    """Return a module as its own class has it, with the same parameters and buffers."""
    while isinstance(module, OneTensor | ByPosition):
        kind = module._seen
        own: nn.Module = kind.__new__(kind)
        object.__setattr__(own, "__dict__", vars(module))
        module = own
    return module


def key_of(result: Any) -> str | None:
    """Name the output that is trained: ``logits``, or the first tensor; None without names."""
    if not isinstance(result, Mapping):
        return None
    tensors = [name for name, value in result.items() if isinstance(value, Tensor)]
    return LEADING if LEADING in tensors else next(iter(tensors), None)


def output_note(module: nn.Module) -> str | None:
    """Return which outputs of a module are left out, if any, in a sentence."""
    if not isinstance(module, OneTensor) or not module.others:
        return None
    return (
        f"Of what the model returns, {module.key} is trained; left out: {', '.join(module.others)}."
    )


@contextmanager
def without_caches(module: nn.Module) -> Iterator[None]:
    """Switch off the caches of a module for generating text, as transformers has them."""
    configs = _caching(module)
    for config in configs:
        setattr(config, _CACHE, False)
    try:
        yield
    finally:
        for config in configs:
            setattr(config, _CACHE, True)


def _caching(module: nn.Module) -> list[Any]:
    """Return the configurations of submodules that ask for a cache, each once."""
    found = (getattr(part, "config", None) for part in module.modules())
    return list({id(c): c for c in found if getattr(c, _CACHE, False) is True}.values())


def _blank(kind: Any, key: str | None, others: tuple[str, ...]) -> nn.Module:
    """Make a module of the subclass that returns one tensor, without any attributes yet."""
    seen: type[nn.Module] = _subclass(kind, key, others)
    return seen.__new__(seen)


@functools.cache
def _subclass(kind: Any, key: str | None, others: tuple[str, ...]) -> Any:
    @functools.wraps(kind.forward)
    def forward(self: nn.Module, *inputs: Any, **named: Any) -> Any:
        with without_caches(self):
            result = kind.forward(self, *inputs, **named)
        return result[key] if key is not None and isinstance(result, Mapping) else result

    names = {
        "forward": forward,
        "key": key,
        "others": others,
        "_seen": kind,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    return type(kind.__name__, (OneTensor, kind), names)
