"""A traced model: the profile, and the parts of the module between its cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.models.adapters.choice import Adapters
from splitopt.models.adapters.ranks import most_rank, rank_of, with_rank
from splitopt.profiles.counting.adapter_ranks import per_rank
from splitopt.profiles.table.adapter_ranks import AdapterRanks
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.tied import REFUSED, TiedRecord, TiedWeight
from splitopt.profiles.table.trace_record import InputRecord, TraceRecord
from splitopt.profiles.tracing.costs.counting import Counts, count, count_again
from splitopt.profiles.tracing.costs.tables import columns_of, dominated, profile_of
from splitopt.profiles.tracing.costs.work.formulas import Declared
from splitopt.profiles.tracing.cuts.chain import StepChain
from splitopt.profiles.tracing.cuts.finding import FEW, declares_stages
from splitopt.profiles.tracing.running.example import Inputs, layout_of, resized
from splitopt.profiles.tracing.running.passes import whole_pass
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.profiles.tracing.split import SplitModel


@dataclass(frozen=True, eq=False)
class TracedModel:
    """A module with its profile.

    Parameters
    ----------
    split
        All cuts of the module.
    profile
        The table over the cuts that were kept.
    counts
        What every layer between neighbouring cuts costs.
    dominated
        Cuts that were left out -> the cut that beats them.
    inputs
        The example.
    """

    split: SplitModel
    profile: ModelProfile
    counts: Counts
    dominated: Mapping[str, str]
    inputs: Inputs

    @property
    def method(self) -> str:
        """``sequential``, ``fx``, ``export`` or ``stages``."""
        return self.split.method

    @property
    def cuts(self) -> tuple[str, ...]:
        """Names of the cuts of the profile, without its last one, where nothing crosses."""
        return self.profile.layers[:-1]

    def segments(
        self, cuts: Sequence[str | int], module: nn.Module | None = None
    ) -> list[nn.Module]:
        """Split the module as `SplitModel.segments`; numbers are the profile's cuts."""
        return self.split.segments([self._name(cut) for cut in cuts], module)

    def named(
        self, model: str, classes: int | None = None, adapters: Adapters | None = None
    ) -> TracedModel:
        """Record in the profile how a command line named the model, to be proposed later."""
        record = self.profile.trace
        assert record is not None
        noted = replace(record, model=model, classes=classes, adapters=adapters)
        return replace(self, profile=replace(self.profile, trace=noted))

    def without_gradient(self) -> tuple[str, ...]:
        """Return the names of the trained parameters that a training pass gives no gradient."""
        module = self.split.module
        with undisturbed(module):
            module.train()
            reached = whole_pass(module, resized(self.inputs, FEW)).gradients
        trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        return tuple(name for name, p in trained if id(p) not in reached)

    def all_parts(self) -> list[nn.Module]:
        """Return the layers of the profile as modules, in order."""
        return self.segments(self.cuts)

    def _name(self, cut: str | int) -> str:
        if isinstance(cut, str):
            return cut
        if not 1 <= cut < self.profile.layer_count:
            raise InputError.at(
                "cuts",
                f"{cut} is not a number from 1 to {self.profile.layer_count - 1}, the cuts of "
                f"{self.profile.name} with {self.profile.layer_count} layers",
            )
        return self.profile.layers[cut - 1]


def traced(
    split: SplitModel,
    inputs: Inputs,
    name: str,
    keep_all: bool,
    formulas: Mapping[str, Declared] | None = None,
    names: Sequence[str] | None = None,
) -> TracedModel:
    """Count a split model and make its profile; `formulas` declare the work of operators.

    ``names`` are those of the inputs, where the example had some.
    """
    counts = count(split, inputs, formulas)
    beaten = {} if keep_all else dominated(columns_of(counts, split))
    kept = [index for index in range(len(split.layers)) if index not in beaten]
    taken = _taken(split.module, inputs, names)
    shapes = " and ".join(f"{f'{item.name} ' if item.name else ''}{item}" for item in taken)
    record = TraceRecord(
        split.method,
        stages=_stage_names(split),
        most_tensors=split.chain.most if split.chain.most > 1 else None,
        tied=_tied(split, kept),
        **_sample(taken),
    )
    profile = profile_of(split, counts, kept, name, f"input {shapes} per sample", record)
    profile = replace(profile, adapter_ranks=_ranks(split, inputs, kept, formulas, profile, counts))
    behind = {split.layers[early]: split.layers[late] for early, late in beaten.items()}
    return TracedModel(split, profile, counts, behind, inputs)


def _ranks(
    split: SplitModel,
    inputs: Inputs,
    kept: Sequence[int],
    formulas: Mapping[str, Declared] | None,
    profile: ModelProfile,
    counts: Counts,
) -> AdapterRanks | None:
    """Count the model with one rank less, or one more, and return what a rank costs.

    None where adapters have different ranks, and where no other rank is possible.
    """
    rank = rank_of(split.module)
    if rank is None or (most := most_rank(split.module)) == 1:
        return None
    other = rank - 1 if rank > 1 else rank + 1
    model = with_rank(split.module, other)
    again = replace(split, module=model, chain=split.chain.on(model))
    counted = count_again(again, inputs, formulas, counts.operators)
    assert profile.trace is not None  # it was traced
    changed = profile_of(again, counted, kept, profile.name, "", profile.trace)
    return AdapterRanks(rank, most, per_rank(profile, changed, other - rank))


def _tied(split: SplitModel, kept: Sequence[int]) -> TiedRecord | None:
    """Return the weights that several of the layers that end with `kept` (0-based) train."""
    if split.tied == REFUSED:
        return None
    weights = []
    for name, weight, users in split.shared:
        ends = dict.fromkeys(next(end for end in kept if end >= user) for user in users)
        if len(ends) > 1:
            size = weight.numel() * weight.element_size()
            weights.append(TiedWeight(name, size, tuple(split.layers[end] for end in ends)))
    return TiedRecord(split.tied, tuple(weights))


def _stage_names(split: SplitModel) -> tuple[str, ...] | None:
    """Return declared stages by name, if all are submodules and the model does not know them."""
    if not isinstance(split.chain, StepChain) or split.method != "stages":
        return None
    named = dict(split.module.named_modules(remove_duplicate=False))
    steps = split.chain.steps(0, split.chain.length)
    if declares_stages(split.module) or any(named.get(name) is not step for name, step in steps):
        return None
    return tuple(name for name, _ in steps)


def _taken(
    module: nn.Module, inputs: Inputs, names: Sequence[str] | None
) -> tuple[InputRecord, ...]:
    """Return what the model takes of a sample, input by input in the order of its arguments."""
    own = [None] * len(inputs) if names is None else [n for n, _ in layout_of(module, names)]
    return tuple(
        InputRecord(tuple(item.shape[1:]), str(item.dtype).removeprefix("torch."), name)
        for name, item in zip(own, inputs, strict=True)
        if isinstance(item, Tensor)
    )


def _sample(taken: tuple[InputRecord, ...]) -> dict[str, Any]:
    """Return the fields of a record for what a model takes: of one tensor, or of several inputs."""
    if len(taken) == 1 and taken[0].name is None:
        return {"input_shape": taken[0].shape or None, "input_dtype": taken[0].dtype}
    return {"inputs": taken}
