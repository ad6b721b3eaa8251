"""Whether a model is the one that a plan was made for.

A plan holds a table, not a network. The model to train is cut where the table is cut, and the two
are compared by their *fingerprints*: the names of the layers, the bytes of the trained parameters
before each cut and the bytes that cross it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.profiles import ModelProfile
from splitopt.profiles.table.tied import REFUSED
from splitopt.profiles.tracing import find_cuts
from splitopt.profiles.tracing.cuts.finding import FEW, STAGES_METHOD, Stages, declares_stages
from splitopt.profiles.tracing.running.example import fresh, inputs_of, resized
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.model_parts.copies import tensor_bytes

By = Literal["structure", "names"]
Row = tuple[float, float]
"""Bytes of the trained parameters up to a layer, and bytes of its output for one sample."""

_SIZES = {2.0, 4.0, 8.0}  # of the floating-point types, in bytes


def match(
    model: nn.Module,
    example: Any,
    profile: ModelProfile,
    by: By = "structure",
    stages: Stages | None = None,
) -> SplitModel:
    """Cut a model where the table of a plan is cut, and see that it is the model of that table.

    Parameters
    ----------
    model
        The model to train.
    example
        A batch as the model takes it, such as the first samples of the data.
    profile
        The table that the plan was made from.
    by
        ``"structure"``: layers, parameters and what crosses the cuts must be the same to the
        byte. ``"names"``: only the names of layers are used, for plans from published tables,
        whose numbers are those of a paper.
    stages
        The stages that the model was profiled with, where they were declared.

    Raises
    ------
    InputError
        The model is another one; or it cannot be cut at all.
    """
    check_choice("match", by, get_args(By))
    split = cut_again(model, example, profile, stages)
    if by == "structure":
        _compare(split, example, profile)
    return split


def cut_again(
    model: nn.Module,
    example: Any,
    profile: ModelProfile,
    stages: Stages | None = None,
    shorter: Any = None,
) -> SplitModel:
    """Find the cuts of a model as they were found for a profile, unless stages are given.

    With `shorter`, an example of shorter samples, its parts take samples of any length.

    Raises
    ------
    InputError
        The model cannot be cut so.
    """
    record = profile.trace
    known = None if record is None else record.tied
    tied = REFUSED if known is None else known.how
    if stages is not None or record is None:
        return find_cuts(model, example, stages=stages, tied=tied, shorter=shorter)
    most = record.most_tensors or 1
    if record.method == "export" and declares_stages(model):
        # It has been given them since, where the graph of torch.export served to count only.
        return find_cuts(model, example, tied=tied, shorter=shorter)
    if record.method == "stages" and record.stages is None and not declares_stages(model):
        raise InputError.at(
            "stages",
            f"of {profile.name} were declared when it was profiled, and are functions or the "
            f"model's own {STAGES_METHOD}(), which this model has not; give the same again, "
            "stages=[...] in Python, or name the model that was profiled",
        )
    return find_cuts(
        model,
        example,
        stages=record.stages,
        method=record.method,
        most_tensors=most,
        tied=tied,
        shorter=shorter,
    )


def cut_numbers(split: SplitModel, names: Sequence[str]) -> tuple[int, ...]:
    """Turn names of layers into the numbers, from 1, of the cuts behind them.

    Raises
    ------
    InputError
        The model has no such cut.
    """
    for name in names:
        if name not in split.cuts:
            why = split.refused.get(name)
            there = f"is no cut of the model: {why}" if why else "is no cut that the model has"
            raise InputError.at(
                "cuts",
                f"the plan cuts behind layer {name!r}, which {there}; its cuts are "
                f"{_listed(split.cuts)}",
            )
    return tuple(split.cuts.index(name) + 1 for name in names)


def fingerprint(rows: Mapping[str, Row | None]) -> str:
    """Name a table of layers by the first 16 hexadecimal digits of its SHA-256."""
    text = json.dumps([[name, row] for name, row in rows.items()], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rows_of(profile: ModelProfile) -> dict[str, Row | None]:
    """Return the fingerprinted columns of a profile."""
    columns = zip(
        profile.layers,
        profile.device_model_bytes.tolist(),
        profile.smashed_bytes.tolist(),
        strict=True,
    )
    return {name: (model, smashed) for name, model, smashed in columns}


def measured_rows(split: SplitModel, example: Any) -> dict[str, Row | None]:
    """Return the same columns of a model, at all its cuts."""
    seen: set[int] = set()
    held = 0
    found: dict[str, Row | None] = {}
    layouts = split.layouts
    with undisturbed(split.module), torch.no_grad():
        split.module.train()
        value: Any = fresh(resized(inputs_of(example, split.module), FEW))
        for name, part in zip(split.layers, split.segments(split.cuts), strict=True):
            value = part(*value) if isinstance(value, tuple) else part(value)
            for parameter in part.parameters():
                if parameter.requires_grad and id(parameter) not in seen:
                    seen.add(id(parameter))
                    held += tensor_bytes(parameter)
            crossing = tensor_bytes(value) / FEW if isinstance(value, Tensor) else 0.0
            if name in layouts:  # of several types, each travels in its own
                crossing = float(layouts[name].bytes)
            found[name] = (float(held), 0.0 if name == split.layers[-1] else crossing)
    return found


def _compare(split: SplitModel, example: Any, profile: ModelProfile) -> None:
    """Reject a model whose columns are not those of the profile."""
    wanted, there = rows_of(profile), measured_rows(split, example)
    found = {name: there.get(name) for name in wanted}
    if found == wanted:
        return
    if type_name := _other_type(split.module, wanted, found):
        raise InputError.at(
            "model",
            f"is of {type_name}, and the plan's profile {profile.name} is of the same layers in "
            "another type, so that its bytes are not this model's; profile this model and plan "
            "anew, or train it in the type that was profiled (--match names takes the cuts alone, "
            "with bytes and times that are not the plan's)",
        )
    name = next(name for name in wanted if found[name] != wanted[name])
    first = _difference(name, wanted, found)
    raise InputError.at(
        "model",
        f"is not the one that the plan was made for: {profile.name} has the fingerprint "
        f"{fingerprint(wanted)}, this model {fingerprint(found)}; {first}; name the model that was "
        "profiled, profile this one and plan anew, or take the cuts by the names of layers alone "
        "(--match names)",
    )


def _difference(
    name: str, wanted: Mapping[str, Row | None], found: Mapping[str, Row | None]
) -> str:
    planned, own = wanted[name], found[name]
    assert planned is not None
    if own is None:
        return f"the first difference is layer {name!r}, which this model cannot be cut behind"
    what, index = ("trained parameters up to", 0) if planned[0] != own[0] else ("the output of", 1)
    return (
        f"the first difference is in {what} layer {name!r}, {planned[index]:,.0f} B in the plan "
        f"and {own[index]:,.0f} B here"
    )


def _other_type(
    module: nn.Module, wanted: Mapping[str, Row | None], found: Mapping[str, Row | None]
) -> str | None:
    """Return the type of a model's numbers if it is all that differs: every size by one factor."""
    kinds = {tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()}
    pairs = [
        pair
        for name, planned in wanted.items()
        for pair in zip(planned or (1.0,), found[name] or (0.0,), strict=False)
        if pair != (0.0, 0.0)
    ]
    if len(kinds) != 1 or any(planned == 0.0 for planned, _ in pairs):
        return None
    (kind,), scales = kinds, {own / planned for planned, own in pairs}
    if len(scales) != 1 or kind.itemsize / max(scales.pop(), 1e-9) not in _SIZES - {kind.itemsize}:
        return None
    return str(kind).removeprefix("torch.")


def _listed(names: Sequence[str], limit: int = 12) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, ... ({len(names)} in all)"
