"""What the operators of a pass do: work by class, bytes that they touch, and how many they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.operator_counts import FEATURES, OperatorCounts
from splitopt.profiles.tracing.costs.work.formulas import flop_of, has_formula
from splitopt.profiles.tracing.cuts.finding import FEW, MANY
from splitopt.profiles.tracing.running.example import Inputs, resized
from splitopt.profiles.tracing.running.passes import split_pass
from splitopt.profiles.tracing.split import SplitModel, parts_between

_ALLOCATES = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
_CONVOLUTION, _DEPTHWISE, _MATRIX, _BYTES, _OPERATORS = range(5)


class OperatorMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Add up what the operators do that run inside.

    ``totals`` has the shape (5,): FLOP of convolutions, of depthwise convolutions and of matrix
    products and attention; bytes of all tensors that operators read and write; operators. What
    only makes a view or only allocates is none.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.totals = np.zeros(5)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operator and count it."""
        result = func(*args, **(kwargs or {}))
        if _is_view(func) or func._schema.name.removeprefix("aten::") in _ALLOCATES:
            return result
        seen = [*_tensors(args), *_tensors(tuple((kwargs or {}).values()))]
        self.totals[_OPERATORS] += 1
        self.totals[_BYTES] += sum(_bytes(item) for item in (*seen, *_tensors(result)))
        place, work = _work(func, args, kwargs or {}, result)
        self.totals[place] += work
        return result


@contextmanager
def operated(into: Array, index: int) -> Iterator[None]:
    """Add what the operators do inside to a row of an array of shape (rows, 5)."""
    with OperatorMeter() as meter:
        yield
    into[index] += meter.totals


def operators_of(split: SplitModel, inputs: Inputs) -> OperatorCounts:
    """Run the layers of a split model forward and backward and count what their operators do.

    The update is a step of plain SGD: three passes over the trained parameters in one operator for
    each of them.
    """
    parts = parts_between(split.chain, split.structure, split.structure.values[:-1], apart=True)
    found: dict[int, dict[str, Array]] = {}
    for batch in (FEW, MANY):
        totals = {phase: np.zeros((len(parts), 5)) for phase in ("forward", "backward")}
        found[batch] = totals

        def meter(
            part: int, phase: str, into: dict[str, Array] = totals
        ) -> AbstractContextManager[None]:
            return operated(into[phase], part)

        split_pass(parts, resized(inputs, batch), split.module, meter)
    forward, backward = (
        separated(found[FEW][phase], found[MANY][phase], FEW, MANY)
        for phase in ("forward", "backward")
    )
    update = np.zeros_like(forward)
    for index, part in enumerate(parts):
        trained = [p for p in part.parameters() if p.requires_grad]
        update[index, FEATURES.index("fixed_bytes")] = 3 * sum(map(_bytes, trained))
        update[index, FEATURES.index("operators")] = len(trained)
    return OperatorCounts(forward, backward, update)


def separated(few: Array, many: Array, batch_few: int, batch_many: int) -> Array:
    """Turn totals for two batches, (rows, 5), into the columns of `FEATURES`, (rows, 6).

    Bytes are ``fixed + batch * moved``; all else is in proportion to the batch, or the same.
    """
    moved = np.maximum(many[:, _BYTES] - few[:, _BYTES], 0.0) / (batch_many - batch_few)
    fixed = np.maximum(few[:, _BYTES] - batch_few * moved, 0.0)
    work = few[:, :_BYTES] / batch_few
    found = np.column_stack((work, moved, fixed, few[:, _OPERATORS]))
    assert found.shape[1] == len(FEATURES)
    return found


def _work(
    func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any
) -> tuple[int, float]:
    """Class and FLOP of an operator; 0 where its work is negligible or not known."""
    work = flop_of(func, args, kwargs, out) if has_formula(func) else None
    packet = getattr(func, "_overloadpacket", None)
    if packet in (torch.ops.aten.convolution, torch.ops.aten._convolution):
        return _class_of(args[1], args[6], args[8]), work or 0.0
    if packet is torch.ops.aten.convolution_backward:
        return _class_of(args[2], args[7], args[9]), work or 0.0
    return _MATRIX, work or 0.0


def _class_of(weight: Tensor, transposed: bool, groups: int) -> int:
    """Return the class of a convolution: depthwise if every group has one input channel."""
    per_group = weight.shape[0] // groups if transposed else weight.shape[1]
    return _DEPTHWISE if groups > 1 and per_group == 1 else _CONVOLUTION


def _is_view(func: Any) -> bool:
    """Whether an operator only gives a view of what it takes."""
    returns = func._schema.returns
    return bool(returns) and all(
        item.alias_info is not None and not item.alias_info.is_write for item in returns
    )


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [item for entry in value for item in _tensors(entry)]
    return []


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
