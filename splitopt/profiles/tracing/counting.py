"""What the layers between the cuts cost: work by FlopCounterMode, bytes, saved tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from splitopt.errors import InputError
from splitopt.profiles.operator_counts import OperatorCounts
from splitopt.profiles.tracing.example import Inputs, fresh, resized
from splitopt.profiles.tracing.finding import FEW, MANY
from splitopt.profiles.tracing.operating import operators_of
from splitopt.profiles.tracing.passes import Meter, split_pass, whole_pass
from splitopt.profiles.tracing.quiet import SEED, undisturbed
from splitopt.profiles.tracing.split import SplitModel, parts_between

Storages = Mapping[int, int]
"""The key of a storage -> its bytes."""


@dataclass(frozen=True)
class Counts:
    """What every layer of a split model costs by itself.

    Parameters
    ----------
    forward_flop, backward_flop
        Work for one sample, 2 per multiply-accumulate.
    output_bytes
        Bytes of one sample's output.
    needs_gradient
        Whether the output needs a gradient: something before it is trained.
    parameters
        The parameters of the layer that no layer before it has, by name.
    saved
        What the layer keeps for the backward pass, for batches of `FEW` and of `MANY` samples.
    operators
        What the operators of the layer do.
    """

    forward_flop: tuple[float, ...]
    backward_flop: tuple[float, ...]
    output_bytes: tuple[float, ...]
    needs_gradient: tuple[bool, ...]
    parameters: tuple[Mapping[str, nn.Parameter], ...]
    saved: tuple[tuple[Storages, Storages], ...]
    operators: OperatorCounts


def count(split: SplitModel, inputs: Inputs) -> Counts:
    """Run a split model forward and backward and count.

    Raises
    ------
    InputError
        The work of the layers does not add up to that of the whole model.
    """
    module = split.module
    with undisturbed(module):
        module.train()
        forward, backward = _work(split, resized(inputs, FEW))
        few = _saved(split, resized(inputs, FEW))
        many = _saved(split, resized(inputs, MANY))
        operators = operators_of(split, inputs)
    saved = tuple((one.storages, two.storages) for one, two in zip(few, many, strict=True))
    return Counts(
        tuple(value / FEW for value in forward),
        tuple(value / FEW for value in backward),
        tuple(item.output_bytes / FEW for item in few),
        tuple(item.needs_gradient for item in few),
        _parameters(split),
        saved,
        operators,
    )


@contextmanager
def counted(into: list[int], index: int) -> Iterator[None]:
    """Add the work that is done inside to an entry of a list."""
    with FlopCounterMode(display=False, custom_mapping=_ATTENTION_ON_CPU) as counter:
        yield
    into[index] += counter.get_total_flops()


def _meter(size: int) -> tuple[dict[str, list[int]], Meter]:
    found = {"forward": [0] * size, "backward": [0] * size}

    def around(part: int, phase: str) -> AbstractContextManager[Any]:
        return counted(found[phase], part)

    return found, around


def _work(split: SplitModel, batch: Inputs) -> tuple[list[int], list[int]]:
    """Count the layers, and the whole to compare with."""
    parts = parts_between(split.chain, split.structure, split.structure.values[:-1])
    layers, meter = _meter(len(parts))
    split_pass(parts, batch, split.module, meter)
    whole, meter = _meter(1)
    whole_pass(split.module, batch, meter)
    for phase in ("forward", "backward"):
        if sum(layers[phase]) != whole[phase][0]:
            raise InputError(
                f"the {phase} work of the layers adds up to {sum(layers[phase])} FLOP, but the "
                f"whole model counts {whole[phase][0]}: it computes otherwise when it is split; "
                "cut it with other stages"
            )
    return layers["forward"], layers["backward"]


@dataclass(frozen=True)
class _Kept:
    storages: Storages
    output_bytes: int
    needs_gradient: bool


def _saved(split: SplitModel, batch: Inputs) -> list[_Kept]:
    """Run the layers in one graph and see which storages autograd keeps in each.

    Nothing is copied at the cuts, so that this is what the device's part keeps wherever it ends.
    """
    module = split.module
    own = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
    bounds = [0, *split.structure.values]
    alive: list[Any] = []  # a freed storage's key could be given to another
    found: list[_Kept] = []
    given: tuple[Any, ...] = fresh(batch)
    torch.manual_seed(SEED)
    for first, last in pairwise(bounds):
        storages: dict[int, int] = {}

        def pack(tensor: Tensor, into: dict[int, int] = storages) -> Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in own:
                alive.append(storage)
                into[storage._cdata] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            result = split.chain.part(first, last)(*given)
        single = isinstance(result, Tensor)
        size = result.numel() * result.element_size() if single else 0
        found.append(_Kept(storages, size, bool(single and result.requires_grad)))
        given = (result,)
    return found


def _parameters(split: SplitModel) -> tuple[Mapping[str, nn.Parameter], ...]:
    """Give each layer the parameters that it is the first to use."""
    names = {id(parameter): name for name, parameter in split.module.named_parameters()}
    seen: set[int] = set()
    found = []
    for part in parts_between(split.chain, split.structure, split.structure.values[:-1]):
        own = {names[id(p)]: p for p in part.parameters() if id(p) not in seen}
        seen |= {id(parameter) for parameter in own.values()}
        found.append(own)
    return tuple(found)


def union(layers: Sequence[Storages]) -> int:
    """Bytes of the storages of several layers, each once."""
    together: dict[int, int] = {}
    for storages in layers:
        together |= storages
    return sum(together.values())


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    work = sdpa_backward_flop_count(grad, query, key, value)  # type: ignore[no-untyped-call]
    return int(work)


# The counter knows the fused attention of GPUs, but not that of CPUs, which it would count as 0.
_ATTENTION_ON_CPU: Any = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
