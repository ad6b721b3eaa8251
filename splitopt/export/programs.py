"""The parts of a model as programs of torch.export, in evaluation mode and for any batch.

What comes in is what the part before gives for batches of two sizes: the sides that differ are
those that grow with the batch. A program is only given away if it computes what the part computes,
for batches of other sizes than those it was made with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from splitopt.errors import CapabilityError
from splitopt.export.job import Ends, Job, WrittenPart
from splitopt.export.shapes import Shape, shape_of
from splitopt.profiles.tracing.cuts.finding import FEW, MANY
from splitopt.profiles.tracing.running.example import Inputs, fresh, resized, tensors_in
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.user_code import reason

BATCHES = (1, 4, 7)
"""Sizes for which a program is compared with its part; it is made with another one."""
TOLERANCE = {torch.float64: 1e-9, torch.float16: 1e-2, torch.bfloat16: 1e-1}
"""By the type of a tensor, the largest difference in units of its largest number, if that is > 1;
1e-4 for other types."""
BATCH = "batch"
"""The name of a side that grows with the batch."""


@dataclass(frozen=True, eq=False)
class PartProgram:
    """A part as a program.

    Parameters
    ----------
    part
        Which part it is.
    module
        The part in evaluation mode, with the weights of the export.
    exported
        What torch.export made of it.
    entries
        What comes in, by the size of the batch.
    """

    part: WrittenPart
    module: nn.Module
    exported: ExportedProgram
    entries: Mapping[int, Inputs] = field(repr=False)

    @cached_property
    def outputs(self) -> dict[int, list[Tensor]]:
        """What the part gives, by the size of the batch."""
        with undisturbed(self.module), torch.no_grad():
            return {
                size: [item.clone() for item in tensors_in(self.module(*fresh(entry)))]
                for size, entry in self.entries.items()
            }

    @property
    def takes(self) -> list[dict[str, Any]]:
        """Name, shape and type of every input, as JSON-ready data."""
        return _named("input", self.entries[FEW], self.entries[MANY])

    @property
    def gives(self) -> list[dict[str, Any]]:
        """Name, shape and type of every output, as JSON-ready data."""
        return _named("output", self.outputs[FEW], self.outputs[MANY])

    @property
    def dynamic_shapes(self) -> tuple[tuple[dict[int, Any], ...]]:
        """The sides of the inputs that grow with the batch, as torch.export takes them."""
        return _dynamic(self.entries)

    def difference(
        self,
        run: Callable[[Inputs], Sequence[Tensor]],
        what: str,
        sizes: Sequence[int] = BATCHES,
    ) -> float:
        """Return the largest difference between the part and what runs in its place.

        Parameters
        ----------
        run
            Takes and gives tensors.
        what
            Of what kind it is, for the message.
        sizes
            The sizes of the batches to run, of those in `entries`.

        Raises
        ------
        CapabilityError
            It cannot be run, gives other shapes, or differs by more than rounding.
        """
        most = 0.0
        for size in sizes:
            try:
                found = run(fresh(self.entries[size]))
            except Exception as error:
                raise CapabilityError(
                    f"{self.part.name} as {what} fails for a batch of {size} ({reason(error)})"
                ) from None
            if len(found) != len(self.outputs[size]):
                raise CapabilityError(
                    f"{self.part.name} as {what} gives {len(found)} tensors and the part "
                    f"{len(self.outputs[size])}, so it is not written; export to 'torch'"
                )
            for one, two in zip(self.outputs[size], found, strict=True):
                difference = _difference(one, two)
                if not difference <= TOLERANCE.get(one.dtype, 1e-4):
                    raise CapabilityError(
                        f"{self.part.name} as {what} differs from the part by {difference:.2g} for "
                        f"a batch of {size}, so it is not written; export to 'torch'"
                    )
                most = max(most, difference)
        return most


def programs_of(job: Job) -> list[PartProgram]:
    """Return the programs of all parts of an export.

    Raises
    ------
    CapabilityError
        A part cannot be made one: it decides by the numbers of its input, it works for one size of
        the batch only, or it writes its buffers in evaluation mode.
    """
    model = copy.deepcopy(job.split.module)
    if job.weights is not None:
        model.load_state_dict(job.weights)
    model.eval().requires_grad_(False)
    programs: dict[Ends, PartProgram] = {}
    with undisturbed(model):
        for chain in {chain.cuts: chain for chain in job.chains}.values():
            # What several tensors are packed in is of one type, which ONNX cannot read bytes as.
            modules = job.split.segments(chain.cuts, model, apart=True)
            values = {size: _batch(job.inputs, size) for size in (FEW, MANY, *BATCHES)}
            for part, module in zip(job.parts_of(chain), modules, strict=True):
                module.eval()
                if part.ends not in programs:
                    programs[part.ends] = _program(part, module, values)
                with torch.no_grad():
                    given = {size: module(*fresh(entry)) for size, entry in values.items()}
                if part.ends[1] is not None:
                    values = {
                        size: value if isinstance(value, tuple) else (value,)
                        for size, value in given.items()
                    }
    return [programs[part.ends] for part in job.parts]


def _batch(inputs: Inputs, size: int) -> Inputs:
    """Return a batch of that many samples, no two alike, so that none can stand in for another."""

    def varied(item: Tensor) -> Tensor:
        if item.is_floating_point():
            factors = 1 + torch.arange(size, device=item.device, dtype=item.dtype) / 16
            return item * factors.reshape(-1, *[1] * (item.ndim - 1))
        return torch.stack([sample.roll(place) for place, sample in enumerate(item)])

    return tuple(varied(item) for item in resized(inputs, size))


def _program(part: WrittenPart, module: nn.Module, entries: Mapping[int, Inputs]) -> PartProgram:
    where = f"{part.name} ({part.title[0].lower()}{part.title[1:-1]})"
    try:
        with _for_one_sample():
            exported = torch.export.export(module, entries[MANY], dynamic_shapes=_dynamic(entries))
            # Writes stand in the signature once no operator works in place.
            signature = exported.run_decompositions({}).graph_signature
    except Exception as error:
        raise CapabilityError(
            f"{where} is no program for torch.export ({reason(error)}); export to 'torch'"
        ) from None
    written = sorted(set(signature.buffers_to_mutate.values()))
    if written:
        raise CapabilityError(
            f"{where} writes its buffer {written[0]!r} in evaluation mode, which a program of any "
            "batch would keep to itself; export to 'torch'"
        )
    for item in exported.graph_module.modules():
        for node in getattr(getattr(item, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)  # paths of this machine
    return PartProgram(part, module, exported, entries)


def _for_one_sample() -> AbstractContextManager[None]:
    """Return the context in which torch.export assumes of no side that it is not 1.

    Else a part whose input has several rows to a sample would take no batch of one.
    """
    from torch.fx.experimental import _config

    config: Any = _config
    if not hasattr(config, "backed_size_oblivious"):  # before PyTorch 2.7
        return nullcontext()
    patched: AbstractContextManager[None] = config.patch(backed_size_oblivious=True)
    return patched


def _dynamic(entries: Mapping[int, Inputs]) -> tuple[tuple[dict[int, Any], ...]]:
    batch = Dim(BATCH, min=1)
    found = []
    for one, two in zip(entries[FEW], entries[MANY], strict=True):
        grown = {
            axis: small // FEW
            for axis, (small, large) in enumerate(zip(one.shape, two.shape, strict=True))
            if small != large
        }
        found.append({a: batch if times == 1 else times * batch for a, times in grown.items()})
    return (tuple(found),)  # parts take any number of inputs


def _named(kind: str, few: Sequence[Tensor], many: Sequence[Tensor]) -> list[dict[str, Any]]:
    shapes: list[Shape] = [shape_of(one, two) for one, two in zip(few, many, strict=True)]
    names = [kind] if len(shapes) == 1 else [f"{kind}_{n}" for n in range(len(shapes))]
    return [{"name": name, **shape} for name, shape in zip(names, shapes, strict=True)]


def _difference(one: Tensor, two: Tensor) -> float:
    """Return the largest difference of two tensors in units of the largest number, if above 1."""
    if one.shape != two.shape or one.dtype != two.dtype:
        return float("inf")
    if torch.equal(one, two) or one.numel() == 0:
        return 0.0
    a, b = one.double(), two.double()
    apart = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs())
    largest = a[a.isfinite()].abs().max() if bool(a.isfinite().any()) else a.new_ones(())
    return float(apart.max() / largest.clamp(min=1.0))
