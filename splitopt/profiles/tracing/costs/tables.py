"""The profile of a traced model: its counts as a table over the cuts that are worth having."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance
from splitopt.profiles.table.tied import COPIES, TiedRecord
from splitopt.profiles.table.trace_record import TraceRecord
from splitopt.profiles.table.uncounted import Uncounted
from splitopt.profiles.tracing.costs.counting import PHASES, Counts, union
from splitopt.profiles.tracing.costs.work.meter import Runs
from splitopt.profiles.tracing.cuts.finding import FEW, MANY
from splitopt.profiles.tracing.running.outputs import output_note
from splitopt.profiles.tracing.split import SplitModel

_HOW = {
    "sequential": "the layers of an nn.Sequential",
    "fx": "torch.fx",
    "export": "torch.export",
    "stages": "declared stages",
}


@dataclass(frozen=True)
class Columns:
    """The table over all cuts, cumulative from the input; arrays of shape (layers,).

    `unknown` counts the operators without known work, `tied` the bytes of weights that layers on
    both sides train.
    """

    forward: Array
    backward: Array
    smashed: Array
    gradient: Array
    unknown: Array
    tied: Array


def columns_of(counts: Counts, split: SplitModel) -> Columns:
    """Add the layers up; nothing crosses behind the last one."""
    tied = np.zeros(len(counts.output_bytes))
    for _, weight, users in split.shared:
        tied[users[0] : users[-1]] += _bytes([weight])
    smashed = np.array(counts.output_bytes, dtype=np.float64)
    gradient = np.array(counts.gradient_bytes, dtype=np.float64)
    smashed[-1] = gradient[-1] = 0.0
    return Columns(
        np.cumsum(counts.forward_flop),
        np.cumsum(counts.backward_flop),
        smashed,
        gradient,
        np.cumsum([_runs(layer) for layer in counts.unknown]),
        tied,
    )


def _runs(layer: Mapping[str, Mapping[str, Runs]]) -> float:
    return float(sum(item.runs for phase in layer.values() for item in phase.values()))


def dominated(table: Columns) -> dict[int, int]:
    """Find the cuts that a later one beats: as few bytes both ways, no more work on the device.

    The later cut leaks no more, whatever the attack: what the server could tell from it, it could
    tell from the earlier one by running the layers between. Both are 0-based; the last entry,
    where nothing crosses, beats nobody.
    """
    found = {}
    last = len(table.forward) - 1
    for early in range(last):
        for late in range(last - 1, early, -1):
            if (
                table.forward[late] <= table.forward[early]
                and table.backward[late] <= table.backward[early]
                and table.unknown[late] <= table.unknown[early]
                and table.smashed[late] <= table.smashed[early]
                and table.gradient[late] <= table.gradient[early]
                and table.tied[late] <= table.tied[early]
            ):
                found[early] = late
                break
    return found


def profile_of(
    split: SplitModel,
    counts: Counts,
    kept: Sequence[int],
    name: str,
    example: str,
    record: TraceRecord,
) -> ModelProfile:
    """Build the profile over the layers that end with the entries `kept` (0-based)."""
    table, at = columns_of(counts, split), np.array(kept)
    starts = [0, *(index + 1 for index in kept[:-1])]
    runs = [range(first, last + 1) for first, last in zip(starts, kept, strict=True)]
    parameters = [_bytes(p for k in run for p in counts.parameters[k].values()) for run in runs]
    again = [_shared(run, counts) for run in runs]
    held = np.add(parameters, [_bytes(own) for own in again])
    trained = [
        _bytes(p for k in run for p in counts.parameters[k].values() if p.requires_grad)
        for run in runs
    ]
    learning = np.add(trained, [_bytes(p for p in own if p.requires_grad) for own in again])
    cumulative, constant = _memory([range(run.stop) for run in runs], counts)
    alone, _ = _memory(runs, counts)
    output = np.array(counts.output_bytes, dtype=np.float64)[at]
    return ModelProfile(
        name=name,
        layers=tuple(split.layers[index] for index in kept),
        device_forward_flop=table.forward[at],
        device_backward_flop=table.backward[at],
        server_forward_flop=table.forward[-1] - table.forward[at],
        server_backward_flop=table.backward[-1] - table.backward[at],
        smashed_bytes=table.smashed[at],
        gradient_bytes=table.gradient[at],
        device_model_bytes=np.cumsum(trained),
        device_memory_fixed_bytes=np.cumsum(parameters) + np.cumsum(trained),
        device_memory_per_sample_bytes=cumulative,
        layer_parameter_bytes=held,
        layer_output_bytes=output if output.all() else None,
        layer_saved_bytes=alone,
        operators=counts.operators.merged(runs),
        layer_trained_bytes=learning if np.any(learning != held) else None,
        work_unit="FLOP",
        uncounted=_uncounted(split, counts, runs),
        provenance=Provenance(
            kind="computed",
            source=f"traced by {_HOW[split.method]}, {example}",
            notes=_notes(split, counts, float(constant[-1]), record),
        ),
        trace=record,
    )


def _memory(runs: Sequence[range], counts: Counts) -> tuple[Array, Array]:
    """Bytes per sample that runs of layers keep, and what they keep whatever the batch."""
    few = np.array([union([counts.saved[k][0] for k in run]) for run in runs], dtype=np.float64)
    many = np.array([union([counts.saved[k][1] for k in run]) for run in runs], dtype=np.float64)
    slope = np.maximum(many - few, 0.0) / (MANY - FEW)
    return slope, few - FEW * slope


def _bytes(parameters: Iterable[nn.Parameter]) -> float:
    return float(sum(p.numel() * p.element_size() for p in parameters))


def _shared(run: range, counts: Counts) -> list[nn.Parameter]:
    """Return the parameters of a run of which layers before it hold a copy of their own."""
    own = {name for k in run for name in counts.parameters[k]}
    shared = {name: p for k in run for name, p in counts.shared[k].items() if name not in own}
    return list(shared.values())


def _notes(
    split: SplitModel, counts: Counts, constant: float, record: TraceRecord
) -> tuple[str, ...]:
    notes = [
        "Work is counted by operator: convolutions, matrix products, recurrent layers and "
        "attention, 2 FLOP per multiply-accumulate, nothing for element-wise operations, "
        "normalisation and pooling; the backward pass of the first layer needs no gradient of its "
        "input.",
        "Memory per sample holds the storages that autograd saves, each once; the fixed memory "
        "holds parameters and gradients, no optimizer state.",
        _checked(split),
        *split.chain.notes,
    ]
    if split.why_not_trained is not None:
        notes.append(
            "The cuts were found by torch.export, whose graph is fixed in training mode: it "
            f"counts, but training needs declared stages ({split.why_not_trained})."
        )
    if (said := output_note(split.module)) is not None:
        notes.append(said)
    if constant > 0:
        notes.append(
            f"Further {constant:.0f} B are saved whatever the batch; they are in no column."
        )
    if frozen := _bytes(
        p for own in counts.parameters for p in own.values() if not p.requires_grad
    ):
        notes.append(
            f"Frozen parameters ({frozen:.0f} B) travel once, before the first round, and are not "
            "in device_model_bytes."
        )
    if counts.flop_per_batch > 0:
        notes.append(
            f"Further {counts.flop_per_batch:.0f} FLOP are done once for a batch of any size; they "
            "are in no column."
        )
    if split.copying:
        notes.append(
            f"Behind {_some(split.copying)} the next part works in place, and is given a copy."
        )
    notes += _tied_notes(record.tied)
    if split.layouts:
        several = [f"{name} ({len(item.sections)})" for name, item in split.layouts.items()]
        notes.append(
            f"Several tensors cross, packed in one, behind {_some(several)}: their bytes are "
            "added, and of gradients those that are needed."
        )
    if split.state.others:
        notes.append(
            f"Forward changes {_some(split.state.others)}, no buffer of the model: what it comes "
            "to is in no copy of the model, and nothing that was compared depends on it."
        )
    notes += [f"{name} is no cut: {why}." for name, why in list(split.refused.items())[:8]]
    used = {name for own in counts.parameters for name in own}
    unused = [name for name, _ in split.module.named_parameters() if name not in used]
    if unused:
        notes.append(f"Not used by the forward pass, and in no column: {_some(unused)}.")
    return tuple(notes)


def _tied_notes(tied: TiedRecord | None) -> list[str]:
    """Describe what cuts between the uses of a trained weight mean."""
    if tied is None:
        return []
    meaning = (
        "where a cut lies between them both sides hold a copy, and in every mini-batch its "
        "gradient goes up and down once"
        if tied.how == COPIES
        else "one party must hold all of them, as the owner of a pipeline holds its ends"
    )
    return [
        f"The weight {weight.name} ({weight.size_bytes} B) is trained by the layers that end with "
        f"{_some(weight.layers)} (tied weights): {meaning}."
        for weight in tied.weights
    ]


def _checked(split: SplitModel) -> str:
    if split.difference is None:
        return "Split and whole were not compared."
    same = (
        "are the same bit for bit"
        if split.difference == 0
        else (f"differ by at most {split.difference:.1e} of the largest entry")
    )
    what = "Outputs, gradients and buffers" if split.state.written else "Outputs and gradients"
    return f"{what} of the module split at all cuts and of the whole {same}."


def _uncounted(split: SplitModel, counts: Counts, runs: Sequence[range]) -> tuple[Uncounted, ...]:
    """List the operators without known work by layer of the profile and phase, per sample."""
    found = []
    for run in runs:
        for phase in PHASES:
            together: dict[str, Runs] = {}
            for index in run:
                for name, item in counts.unknown[index][phase].items():
                    together[name] = together.get(name, Runs()) + item
            found += [
                Uncounted(
                    name,
                    split.layers[run[-1]],
                    phase,
                    item.runs,
                    item.elements / FEW,
                    item.at_most / FEW,
                )
                for name, item in together.items()
            ]
    return tuple(found)


def _some(names: Sequence[str] | Mapping[str, object], limit: int = 6) -> str:
    listed = list(names)
    more = len(listed) - limit
    return ", ".join(listed[:limit]) + (f" and {more} more" if more > 0 else "")
