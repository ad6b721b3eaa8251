"""What the layers between the cuts cost: work by formulas, bytes, saved tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles.table.operator_counts import OperatorCounts
from splitopt.profiles.table.tied import COPIES
from splitopt.profiles.tracing.costs.operating import operators_of
from splitopt.profiles.tracing.costs.work.agreement import watched
from splitopt.profiles.tracing.costs.work.declared import check_applied
from splitopt.profiles.tracing.costs.work.formulas import Declared
from splitopt.profiles.tracing.costs.work.meter import Runs, WorkMeter
from splitopt.profiles.tracing.cuts.finding import FEW, MANY
from splitopt.profiles.tracing.cuts.packing import Layout
from splitopt.profiles.tracing.running.example import Inputs, fresh, resized, tensors_in
from splitopt.profiles.tracing.running.outputs import output_note
from splitopt.profiles.tracing.running.passes import split_pass, whole_pass
from splitopt.profiles.tracing.running.quiet import SEED, undisturbed
from splitopt.profiles.tracing.split import SplitModel, parts_between

PHASES = ("forward", "backward")

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
    gradient_bytes
        Bytes of one sample's gradient of the output; none where nothing before it is trained.
    parameters
        The parameters of the layer that no layer before it has, by name.
    shared
        Parameters of the layer that a layer before it has as well, by name, where each holds its
        own: frozen ones, and tied ones of which both sides of a cut hold a copy.
    saved
        What the layer keeps for the backward pass, for batches of `FEW` and of `MANY` samples.
    unknown
        Phase -> operator -> its runs, for a batch of `FEW` samples: what is in no count of work.
    operators
        What the operators of the layer do.
    flop_per_batch
        Work of all layers that does not grow with the batch, such as on weights alone.
    """

    forward_flop: tuple[float, ...]
    backward_flop: tuple[float, ...]
    output_bytes: tuple[float, ...]
    gradient_bytes: tuple[float, ...]
    parameters: tuple[Mapping[str, nn.Parameter], ...]
    shared: tuple[Mapping[str, nn.Parameter], ...]
    saved: tuple[tuple[Storages, Storages], ...]
    unknown: tuple[Mapping[str, Mapping[str, Runs]], ...]
    operators: OperatorCounts
    flop_per_batch: float


def count(
    split: SplitModel, inputs: Inputs, declared: Mapping[str, Declared] | None = None
) -> Counts:
    """Run a split model forward and backward and count.

    Parameters
    ----------
    split, inputs
        The model and an example.
    declared
        Formulas of the user for the work of operators, by the operator's name.

    Raises
    ------
    InputError
        The work of the layers does not add up to that of the whole model, that of a module of
        PyTorch is not what its definition says, or a declared formula fails or was not used.
    """
    module = split.module
    with undisturbed(module):
        module.train()
        work = _work(split, resized(inputs, FEW), declared or {})
        found = _counted(split, inputs, declared or {}, work, operators_of(split, inputs))
    check_applied(declared or {}, work.applied, work.unknown)
    return found


def count_again(
    split: SplitModel,
    inputs: Inputs,
    declared: Mapping[str, Declared] | None,
    operators: OperatorCounts,
) -> Counts:
    """Count a model that differs from one that `count` took in the sizes of layers alone.

    Whether its layers add up to the whole is not looked at again; `operators` are noted as they
    are.
    """
    with undisturbed(split.module):
        split.module.train()
        work = _parts_work(split, resized(inputs, FEW), declared or {})
        return _counted(split, inputs, declared or {}, work, operators)


def _counted(
    split: SplitModel,
    inputs: Inputs,
    declared: Mapping[str, Declared],
    work: _Passes,
    operators: OperatorCounts,
) -> Counts:
    """Count what `work`, that of a batch of `FEW` samples, lacks."""
    twice = _parts_work(split, resized(inputs, 2 * FEW), declared)
    few = _saved(split, resized(inputs, FEW))
    many = _saved(split, resized(inputs, MANY))
    saved = tuple((one.storages, two.storages) for one, two in zip(few, many, strict=True))
    return Counts(
        tuple(map(_per_sample, work.forward, twice.forward)),
        tuple(map(_per_sample, work.backward, twice.backward)),
        tuple(item.output_bytes / FEW for item in few),
        tuple(item.gradient_bytes / FEW for item in few),
        *_parameters(split),
        saved,
        work.unknown,
        operators,
        sum(map(_per_batch, (*work.forward, *work.backward), (*twice.forward, *twice.backward))),
    )


@dataclass(frozen=True)
class _Passes:
    """What a forward and a backward pass through some parts counted; an entry for each part."""

    forward: tuple[float, ...]
    backward: tuple[float, ...]
    unknown: tuple[Mapping[str, Mapping[str, Runs]], ...]
    applied: frozenset[str]


class _Meters:
    """A meter for each phase of each part."""

    def __init__(self, size: int, declared: Mapping[str, Declared]) -> None:
        self.of = [{phase: WorkMeter(declared) for phase in PHASES} for _ in range(size)]

    def __call__(self, part: int, phase: str) -> AbstractContextManager[Any]:
        return self.of[part][phase]

    def read(self) -> _Passes:
        return _Passes(
            tuple(one["forward"].flop for one in self.of),
            tuple(one["backward"].flop + _owed(one) for one in self.of),
            tuple({phase: one[phase].unknown for phase in PHASES} for one in self.of),
            frozenset(name for one in self.of for meter in one.values() for name in meter.applied),
        )


def _owed(meters: Mapping[str, WorkMeter]) -> float:
    """Return the backward work of broadcast products of a part.

    A checkpoint runs them again in the backward pass, where they owe the same once more, and
    perhaps without autograd in the forward pass, where they owe nothing.
    """
    return max(meters[phase].owed for phase in PHASES)


def _per_sample(once: float, twice: float) -> float:
    """Return the work of a sample, from a batch of `FEW` and one that has each sample twice.

    Where work grows faster than the batch, as that of all pairs of its samples, it is the work of
    the smaller batch over its samples.
    """
    return min(max(twice - once, 0.0), once) / FEW


def _per_batch(once: float, twice: float) -> float:
    return once - FEW * _per_sample(once, twice)


def _parts_work(split: SplitModel, batch: Inputs, declared: Mapping[str, Declared]) -> _Passes:
    """Count the layers between all cuts."""
    parts = parts_between(split.chain, split.structure, split.structure.values[:-1], apart=True)
    meters = _Meters(len(parts), declared)
    split_pass(parts, batch, split.module, meters)
    return meters.read()


def _work(split: SplitModel, batch: Inputs, declared: Mapping[str, Declared]) -> _Passes:
    """Count the layers; check them against the whole, and the whole against its modules.

    What is made anew in each part that needs it, such as a table of positions, may be counted
    more often than in the whole, as long as it does not grow with the batch. What only outputs
    need that are left out is in no layer.
    """
    layers, whole = _parts_work(split, batch, declared), _Meters(1, declared)
    with watched(split.module, whole.of[0]) as watch:
        whole_pass(split.module, batch, whole)
    together = whole.read()
    watch.check(whole.of[0])
    for phase in PHASES:
        parted, once = sum(getattr(layers, phase)), getattr(together, phase)[0]
        if math.isclose(parted, once, rel_tol=1e-12):
            continue
        if parted < once and output_note(split.module) is not None:
            continue
        further_parted, further_once = _growth(split, batch, declared, phase, parted, once)
        if parted < once or not math.isclose(further_parted, further_once, rel_tol=1e-12):
            raise InputError(
                f"the {phase} work of the layers adds up to {parted:.0f} FLOP, but the whole model "
                f"counts {once:.0f}: it computes otherwise when it is split; cut it with other "
                "stages"
            )
    return layers


def _growth(
    split: SplitModel,
    batch: Inputs,
    declared: Mapping[str, Declared],
    phase: str,
    parted: float,
    once: float,
) -> tuple[float, float]:
    """Count what twice the batch is more work, in parts and whole."""
    double = resized(batch, 2 * batch[0].shape[0])
    layers, whole = _parts_work(split, double, declared), _Meters(1, declared)
    whole_pass(split.module, double, whole)
    return sum(getattr(layers, phase)) - parted, getattr(whole.read(), phase)[0] - once


@dataclass(frozen=True)
class _Kept:
    storages: Storages
    output_bytes: int
    gradient_bytes: int


def _saved(split: SplitModel, batch: Inputs) -> list[_Kept]:
    """Run the layers in one graph and see which storages autograd keeps in each.

    Nothing is copied at the cuts, so that this is what the device's part keeps wherever it ends.
    """
    module = split.module
    held = (*module.parameters(), *module.buffers())
    own = {piece.untyped_storage()._cdata for tensor in held for piece in _dense(tensor)}
    bounds = [0, *split.structure.values]
    alive: list[Any] = []  # a freed storage's key could be given to another
    found: list[_Kept] = []
    given: tuple[Any, ...] = fresh(batch)
    torch.manual_seed(SEED)
    for first, last in pairwise(bounds):
        storages: dict[int, int] = {}

        def pack(tensor: Tensor, into: dict[int, int] = storages) -> Tensor:
            for piece in _dense(tensor):
                storage = piece.untyped_storage()
                if storage._cdata not in own:
                    alive.append(storage)
                    into[storage._cdata] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            result = split.chain.part(first, last, apart=True)(*given)
        found.append(
            _Kept(storages, *_crossing(result, split.packed.get(last), len(tensors_in(batch)[0])))
        )
        given = result if last in split.packed else (result,)
    return found


def _crossing(result: Any, packed: Layout | None, samples: int) -> tuple[int, int]:
    """Return the bytes of what a part sends, and of the gradient that comes back."""
    if packed is not None:
        return samples * packed.bytes, samples * packed.gradient_bytes
    if not isinstance(result, Tensor):
        return 0, 0
    size = result.numel() * result.element_size()
    return size, size if result.requires_grad else 0


def _dense(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors that hold the numbers of one: itself, or those of a sparse one."""
    if tensor.layout is torch.sparse_coo:
        return (tensor._indices(), tensor._values())
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return (tensor.crow_indices(), tensor.col_indices(), tensor.values())
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    return (tensor,)


def _parameters(
    split: SplitModel,
) -> tuple[tuple[Mapping[str, nn.Parameter], ...], tuple[Mapping[str, nn.Parameter], ...]]:
    """Assign each layer the parameters that it is the first to use, and those that it shares."""
    names = {id(parameter): name for name, parameter in split.module.named_parameters()}
    seen: set[int] = set()
    first, again, copied = [], [], split.tied == COPIES
    for part in parts_between(split.chain, split.structure, split.structure.values[:-1]):
        own = {names[id(p)]: p for p in part.parameters()}
        first.append({name: p for name, p in own.items() if id(p) not in seen})
        held = {name: p for name, p in own.items() if copied or not p.requires_grad}
        again.append({name: p for name, p in held.items() if id(p) in seen})
        seen |= {id(parameter) for parameter in own.values()}
    return tuple(first), tuple(again)


def union(layers: Sequence[Storages]) -> int:
    """Bytes of the storages of several layers, each once."""
    together: dict[int, int] = {}
    for storages in layers:
        together |= storages
    return sum(together.values())
