"""From a plan and a model to a job: the model is opened, compared and split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from torch import nn

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.export.holders import chains_of
from splitopt.export.job import Job, Origin
from splitopt.export.weights import read_weights
from splitopt.plans import Plan
from splitopt.profiles.tracing.example import inputs_of, made
from splitopt.profiles.tracing.finding import Stages
from splitopt.profiles.tracing.source import open_model
from splitopt.training.fitting import traced_sample, type_of
from splitopt.training.matching import By, cut_numbers, fingerprint, match, rows_of
from splitopt.training.prepare import default_model
from splitopt.training.program import program_of


def prepare(
    plan: Plan,
    model: str | nn.Module | None,
    example: Any,
    shape: tuple[int, ...] | None,
    dtype: str | None,
    classes: int | None,
    weights: str | Path | None,
    by: str,
    stages: Stages | None,
    source: str,
) -> Job:
    """Open the model of a plan and split it; see `splitopt.export.export_plan`."""
    by_name: By = "names" if by == "names" else "structure"
    check_choice("match", by, get_args(By))
    program = program_of(plan, source)
    chains = chains_of(program, source)
    traced = traced_sample(program.profile)
    if shape is None and traced is not None:
        shape = traced.shape
    if isinstance(model, nn.Module):
        if shape is None and example is None:
            raise InputError.at("input_shape", "is missing; give the shape of one sample")
        module, origin, own_type = model, Origin(None), "float32"
    else:
        target = model or default_model(program.profile)
        origin = Origin(target, ":" not in target, classes)
        module, _, shape, own_type = open_model(target, shape, classes)
    if example is None:
        assert shape is not None
        example = made(shape, dtype or (own_type if traced is None else traced.type_name))
        own = type_of(module)
        if dtype is None and own is not None and example.is_floating_point():
            example = example.to(own)  # `match` says whether it is the plan's
    split = match(module, example, program.profile, by_name, stages)
    split.spans(())  # refuses cuts of torch.export, whose names mean little
    for cuts in dict.fromkeys(chain.cuts for chain in chains):
        cut_numbers(split, cuts)
    return Job(
        plan,
        program,
        chains,
        split,
        inputs_of(example),
        fingerprint(rows_of(program.profile)),
        origin,
        None if weights is None else read_weights(weights, module),
    )
