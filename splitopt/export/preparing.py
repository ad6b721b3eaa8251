"""From a training job to an export: the model is opened, compared and split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from torch import Tensor, nn

from splitopt.documents.checks import check_choice
from splitopt.errors import CapabilityError, InputError
from splitopt.export.holders import Chain, chains_of
from splitopt.export.job import Job, Origin
from splitopt.export.sample import Sample
from splitopt.export.weights import expect_no_noise, read_weights
from splitopt.models.adapters.adding import has_adapters
from splitopt.models.adapters.choice import Adapters
from splitopt.profiles import ModelProfile
from splitopt.profiles.tracing.pretrained import is_pretrained
from splitopt.profiles.tracing.running.example import Inputs, inputs_of, made, made_like
from splitopt.profiles.tracing.running.wrapped import unwrapped
from splitopt.profiles.tracing.source import open_model
from splitopt.training.job import TrainingJob
from splitopt.training.preparing.fitting import traced_sample, type_of
from splitopt.training.preparing.matching import By, cut_numbers, fingerprint, match, rows_of
from splitopt.training.preparing.prepare import default_model
from splitopt.training.preparing.setup import with_scheme
from splitopt.training.preparing.starting import begun, recorded
from splitopt.training.program import Program, program_of


def prepare(job: TrainingJob, sample: Sample, weights: str | Path | None = None) -> Job:
    """Open the model of a job and split it; see `splitopt.export.export_plan`."""
    check_choice("match", job.match, get_args(By))
    planned = program_of(job.plan, job.source)
    planned.expect_parties(job.source)
    program, _, _ = with_scheme(planned, job.scheme)
    if program.has_ranks:
        raise CapabilityError(
            "the plan gives devices adapters of different ranks, and an export has the parts of "
            "one model; plan with one rank in 'adapters', or train it with splitopt"
        )
    return job_of_chains(job, program, chains_of(program, job.source), sample, weights)


def job_of_chains(
    job: TrainingJob,
    program: Program,
    chains: tuple[Chain, ...],
    sample: Sample,
    weights: str | Path | None = None,
) -> Job:
    """Open the model of a job and split it where chains are cut.

    Raises
    ------
    InputError
        The model is another one, or lacks a cut; or the weights are not its own.
    """
    if weights is not None:
        expect_no_noise(weights)
    module, example, origin = opened_model(job.model, sample, program.profile)
    split = match(module, example, program.profile, job.match, job.stages)
    split.spans(())  # refuses cuts of torch.export, whose names mean little
    for cuts in dict.fromkeys(chain.cuts for chain in chains):
        cut_numbers(split, cuts)
    return Job(
        job.plan,
        program,
        chains,
        split,
        _arguments(example, module),
        fingerprint(rows_of(program.profile)),
        origin,
        None if weights is None else read_weights(weights, module),
    )


def _example(sample: Sample, profile: ModelProfile) -> Any:
    """Return the example that was given, or one of the several inputs that were traced."""
    record = profile.trace
    if sample.example is not None or sample.input_shape is not None or record is None:
        return sample.example
    return None if record.inputs is None else made_like(record.inputs)


def _arguments(example: Any, module: nn.Module) -> Inputs:
    """Return an example as what a part is called with.

    Raises
    ------
    InputError
        Arguments between the inputs keep their defaults, which no written part has.
    """
    inputs = inputs_of(example, module)
    if not all(isinstance(item, Tensor) for item in inputs):
        raise InputError.at(
            "example",
            "leaves out arguments between those that it has; wrap the model in a module whose "
            "forward takes these alone",
        )
    return inputs


def opened_model(
    model: str | nn.Module | None, sample: Sample, profile: ModelProfile
) -> tuple[nn.Module, Any, Origin]:
    """Return the model, an example of what it takes, and where it comes from."""
    traced = traced_sample(profile)
    shape = None if sample.input_shape is None else tuple(sample.input_shape)
    example = _example(sample, profile)
    if shape is None and traced is not None:
        shape = traced.shape
    if isinstance(model, nn.Module):
        if shape is None and example is None:
            raise InputError.at("input_shape", "is missing; give the shape of one sample")
        module, origin, own_type = model, Origin(None), "float32"
    else:
        target = model or default_model(profile)
        origin = Origin(target, ":" not in target or is_pretrained(target), sample.classes)
        module, _, shape, own_type = open_model(
            target, () if shape is None and example is not None else shape, sample.classes
        )
        origin = replace(origin, adapters=_added(target, module, profile))
    module = begun(unwrapped(module), profile)
    if example is None:
        assert shape is not None  # given, traced, or that of the shipped network
        example = made(
            shape, sample.input_dtype or (own_type if traced is None else traced.type_name)
        )
        own = type_of(module)
        if sample.input_dtype is None and own is not None and example.is_floating_point():
            example = example.to(own)  # `match` says whether it is the plan's
    return module, example, origin


def _added(target: str, module: nn.Module, profile: ModelProfile) -> Adapters | None:
    """Return the adapters that the model is given after it was built, None for none.

    Raises
    ------
    CapabilityError
        It is built by the user's code, which an export cannot change.
    """
    adapters = recorded(profile)
    if adapters is None or has_adapters(module):
        return None
    if ":" in target:
        raise CapabilityError(
            f"{profile.name} was profiled with --adapters, which {target} does not make, and an "
            "export builds the model by it; let it return splitopt.models.add_adapters(...), "
            "profile it without --adapters and plan anew"
        )
    return adapters
