"""From a training job to an export: the model is opened, compared and split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from torch import nn

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.export.holders import chains_of
from splitopt.export.job import Job, Origin
from splitopt.export.sample import Sample
from splitopt.export.weights import read_weights
from splitopt.profiles import ModelProfile
from splitopt.profiles.tracing.pretrained import is_pretrained
from splitopt.profiles.tracing.running.example import inputs_of, made
from splitopt.profiles.tracing.source import open_model
from splitopt.training.job import TrainingJob
from splitopt.training.preparing.fitting import traced_sample, type_of
from splitopt.training.preparing.matching import By, cut_numbers, fingerprint, match, rows_of
from splitopt.training.preparing.prepare import default_model
from splitopt.training.program import program_of


def prepare(job: TrainingJob, sample: Sample, weights: str | Path | None = None) -> Job:
    """Open the model of a job and split it; see `splitopt.export.export_plan`."""
    check_choice("match", job.match, get_args(By))
    program = program_of(job.plan, job.source)
    chains = chains_of(program, job.source)
    module, example, origin = _opened(job.model, sample, program.profile)
    split = match(module, example, program.profile, job.match, job.stages)
    split.spans(())  # refuses cuts of torch.export, whose names mean little
    for cuts in dict.fromkeys(chain.cuts for chain in chains):
        cut_numbers(split, cuts)
    return Job(
        job.plan,
        program,
        chains,
        split,
        inputs_of(example),
        fingerprint(rows_of(program.profile)),
        origin,
        None if weights is None else read_weights(weights, module),
    )


def _opened(
    model: str | nn.Module | None, sample: Sample, profile: ModelProfile
) -> tuple[nn.Module, Any, Origin]:
    """Return the model, an example of what it takes, and where it comes from."""
    traced = traced_sample(profile)
    shape = None if sample.input_shape is None else tuple(sample.input_shape)
    example = sample.example
    if shape is None and traced is not None:
        shape = traced.shape
    if isinstance(model, nn.Module):
        if shape is None and example is None:
            raise InputError.at("input_shape", "is missing; give the shape of one sample")
        module, origin, own_type = model, Origin(None), "float32"
    else:
        target = model or default_model(profile)
        origin = Origin(target, ":" not in target or is_pretrained(target), sample.classes)
        module, _, shape, own_type = open_model(target, shape, sample.classes)
    if example is None:
        assert shape is not None  # given, traced, or that of the shipped network
        example = made(
            shape, sample.input_dtype or (own_type if traced is None else traced.type_name)
        )
        own = type_of(module)
        if sample.input_dtype is None and own is not None and example.is_floating_point():
            example = example.to(own)  # `match` says whether it is the plan's
    return module, example, origin
