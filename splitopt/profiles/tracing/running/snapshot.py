"""What a user's module is at a moment, so that it can be put back to it."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_CONTAINERS = frozenset({dict, OrderedDict, defaultdict, list, set, deque})
_NUMBERS = (bool, int, float, complex)


class Snapshot:
    """The attributes of a module and its submodules, and the values of their tensors.

    Builtin containers among the attributes are kept with their content, to any depth: parameters,
    buffers, submodules and hooks are in such. So are arrays of numpy. Other objects are kept by
    reference.

    Parameters
    ----------
    module
        It is not changed.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._attributes: list[tuple[str, nn.Module, dict[str, Any]]] = []
        self._contents: dict[int, tuple[Any, Any]] = {}
        self._arrays: dict[int, tuple[Any, Any]] = {}
        self._tensors: dict[int, _Held] = {}
        for path, part in module.named_modules():
            self._attributes.append((path, part, dict(vars(part))))
            self._keep(vars(part))

    def _keep(self, value: Any) -> None:
        """Keep the content of a value, if it has any that can change."""
        key = id(value)
        if key in self._tensors or key in self._arrays or key in self._contents:
            return
        if isinstance(value, Tensor):
            self._tensors[key] = _Held.of(value)
        elif isinstance(value, np.ndarray):
            self._arrays[key] = value, value.copy()
        elif type(value) in _CONTAINERS:
            self._contents[key] = value, value.copy()
            for item in value.values() if isinstance(value, dict) else value:
                self._keep(item)
        elif isinstance(value, tuple):
            for item in value:
                self._keep(item)

    def restore(self) -> None:
        """Restore attributes, contents, values, flags and gradients in place."""
        for _, part, attributes in self._attributes:
            own = vars(part)
            own.clear()
            own.update(attributes)
        for container, content in self._contents.values():
            container.clear()
            _fill(container, content)
        for array, values in self._arrays.values():
            array[...] = values
        for held in self._tensors.values():
            held.restore()

    def drop_gradients(self) -> None:
        """Remove the gradients of all parameters; `restore` brings them back."""
        for parameter in self.module.parameters():
            parameter.grad = None

    def buffers(self) -> tuple[frozenset[str], frozenset[str]]:
        """Name the buffers, and parameters that are not trained, whose values have changed since.

        Returns
        -------
        Those that changed, and of these the ones that are another tensor now.
        """
        written, replaced = set(), set()
        for path, part, attributes in self._attributes:
            for group in ("_buffers", "_parameters"):
                before = self._content_of(attributes[group])
                for name, tensor in getattr(part, group).items():
                    old = before.get(name)
                    if old is None or tensor is None or old.requires_grad:
                        continue
                    full = f"{path}.{name}" if path else name
                    if tensor is not old:
                        replaced.add(full)
                    if tensor is not old or self._has_changed(old):
                        written.add(full)
        return frozenset(written), frozenset(replaced)

    def attributes(self) -> dict[str, bool]:
        """Name what else has changed: attributes, and buffers that no state dict has.

        Returns
        -------
        The names with whether the value is a number or text; modes and trained parameters are
        left out.
        """
        found: dict[str, bool] = {}
        for path, part, before in self._attributes:
            for name, value in vars(part).items():
                if name in ("training", "_parameters", "_modules"):
                    continue
                prefix = f"{path}." if path else ""
                if name == "_buffers":
                    for buffer in self._unkept(part, before):
                        found[prefix + buffer] = False
                elif name not in before or self._differs(before[name], value):
                    found[prefix + name] = isinstance(value, (*_NUMBERS, str))
        return found

    def _unkept(self, part: nn.Module, before: dict[str, Any]) -> Iterator[str]:
        """Yield the changed buffers that are not persistent, or had no value."""
        old = self._content_of(before["_buffers"])
        for name, tensor in part._buffers.items():
            was = old.get(name)
            changed = tensor is not was or (tensor is not None and self._has_changed(tensor))
            if changed and (was is None or name in part._non_persistent_buffers_set):
                yield name

    def _content_of(self, container: Any) -> Any:
        return self._contents[id(container)][1]

    def _has_changed(self, tensor: Tensor) -> bool:
        return self._tensors[id(tensor)].has_changed()

    def _differs(self, before: Any, now: Any) -> bool:
        """Whether an attribute is not what it was."""
        if isinstance(now, Tensor):
            return now is not before or self._has_changed(now)
        if isinstance(now, np.ndarray):
            return now is not before or not np.array_equal(now, self._arrays[id(now)][1])
        if type(now) in _CONTAINERS:
            return now is not before or self._content_differs(now)
        if isinstance(now, _NUMBERS) and isinstance(before, _NUMBERS):
            return now != before
        return now is not before

    def _content_differs(self, container: Any) -> bool:
        old = self._content_of(container)
        if len(old) != len(container):
            return True
        if isinstance(container, dict):
            return any(k not in old or self._differs(old[k], v) for k, v in container.items())
        if isinstance(container, set):
            return bool(old != container)
        return any(self._differs(a, b) for a, b in zip(old, container, strict=True))


@dataclass(frozen=True)
class _Held:
    """A tensor with what it was; on meta it has a count of writes and no values."""

    tensor: Tensor
    values: Tensor | None
    writes: int
    leaf: bool
    trained: bool
    gradient: Tensor | None

    @classmethod
    def of(cls, tensor: Tensor) -> _Held:
        values = tensor.detach().clone() if tensor.device.type != "meta" else None
        gradient = tensor.grad if tensor.is_leaf else None
        trained = tensor.requires_grad
        return cls(tensor, values, tensor._version, tensor.is_leaf, trained, gradient)

    def has_changed(self) -> bool:
        if self.values is None:
            return self.tensor._version > self.writes
        return not _same(self.tensor.detach(), self.values)

    def restore(self) -> None:
        if self.values is not None and self.has_changed():
            self.tensor.data.copy_(self.values)
        if self.leaf:
            if not self.tensor.is_leaf:  # written with a value that has a graph behind it
                self.tensor.detach_()
            self.tensor.requires_grad_(self.trained)
            self.tensor.grad = self.gradient


def _fill(container: Any, content: Any) -> None:
    if isinstance(container, list | deque):
        container.extend(content)
    else:
        container.update(content)


def strided(tensor: Tensor) -> Tensor:
    """Return a tensor with all of its entries; for sparse ones not even equality is defined."""
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def _same(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors are equal bit for bit, not-a-numbers included."""
    if one.shape != two.shape or one.dtype != two.dtype or one.layout != two.layout:
        return False
    one, two = strided(one), strided(two)
    if torch.equal(one, two):
        return True
    if not one.is_floating_point():
        return False
    return bool(((one == two) | (one.isnan() & two.isnan())).all())
