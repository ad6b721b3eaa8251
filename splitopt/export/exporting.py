"""`export_plan`: a plan and the model it is for, as a folder that other software reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import decoded
from splitopt.errors import CapabilityError, InputError, SplitoptError
from splitopt.export.deployment.settings import Deployment, DeploymentFields
from splitopt.export.folder import (
    MANIFEST,
    MANIFESTS,
    check_files,
    check_folder,
    write_folder,
)
from splitopt.export.registry import EXPORTERS, Writer, exporter, takes_of
from splitopt.export.sample import Sample, SampleFields
from splitopt.plans import Plan, PlanLike, as_plan
from splitopt.problems.graph_partition import GraphPartition
from splitopt.problems.replicated_pipeline import ReplicatedPipeline
from splitopt.training.job import MatchFields, SchemeFields, TrainingJob
from splitopt.training.keywords import shared_out, takes_fields

if TYPE_CHECKING:
    from torch import nn

    from splitopt.export.job import Job

DEPLOYED = ("compose", "kubernetes")
"""Formats that start parties as services."""


class ExportFields(MatchFields, SchemeFields, SampleFields, DeploymentFields, total=False):
    """The keywords of `export_plan` of a `TrainingJob`, of a `Sample` and of a `Deployment`."""


@takes_fields(ExportFields, TrainingJob, Sample, Deployment)
def export_plan(
    plan: PlanLike,
    folder: str | Path,
    *,
    to: str = "torch",
    model: str | nn.Module | None = None,
    weights: str | Path | None = None,
    force: bool = False,
    source: str = "plan",
    **given: Unpack[ExportFields],
) -> dict[str, Any]:
    """Write a plan and the parts of its model into a folder that needs neither plan nor splitopt.

    Parameters
    ----------
    plan
        A plan with a decision, the path of its file or its plain data.
    folder
        Where to write; it appears at once when all is written.
    to
        A format; `splitopt.export.EXPORTERS` has those of splitopt, entry points of the group
        ``splitopt.exporters`` bring others.
    model
        The model of the plan: a module, the name of a shipped network, or ``MODULE:FACTORY`` or
        ``FILE.py:FACTORY``, which is run. By default the shipped network that the profile is of.
    weights
        A safetensors file with the model's weights, such as ``splitopt train --save-model`` writes,
        or the folder of a checkpoint of its; they are written with the parts.
    force
        Replace an earlier export.
    source
        How messages call the plan.
    **given
        ``match``, ``stages`` and ``scheme`` as for `splitopt.training.job.TrainingJob`;
        ``example``, ``input_shape``, ``input_dtype`` and ``classes`` as for
        `splitopt.export.sample.Sample`; ``image``, ``train`` and ``fed_server`` as for
        `splitopt.export.deployment.settings.Deployment`. A format that is written from the plan
        alone takes nothing about a model, and only ``compose`` and ``kubernetes`` the last three.

    Returns
    -------
    dict
        The folder, its files and who holds what, as plain data.

    Raises
    ------
    InputError
        Unknown format, a model of another plan, a cut that it does not have, weights of another
        model, a folder that cannot be written or is not empty.
    InfeasibleError
        The plan has no decision.
    CapabilityError
        PyTorch or what the format needs is not installed, or the format cannot hold the model.
    """
    matching, sample, deployment = shared_out(
        "export_plan", ExportFields, given, TrainingJob, Sample, Deployment
    )
    found = as_plan(plan, source)
    deployed = Deployment(**deployment)
    check_used(to, deployed, {"model": model, "weights": weights, **matching, **sample})
    if takes_of(to) == "plan":
        return export_alone(found, folder, to=to, source=source, deployment=deployed, force=force)
    job = TrainingJob(found, model, source=source, **matching)
    return export_job(job, folder, Sample(**sample), to=to, weights=weights, force=force)


def check_used(to: str, deployment: Deployment, about_model: Mapping[str, Any]) -> None:
    """Raise `InputError` for what a format would ignore.

    Parameters
    ----------
    to
        The format.
    deployment
        How services are made.
    about_model
        What was given about a model, by name; what is None was not given.
    """
    if to not in DEPLOYED:
        for name, value in vars(deployment).items():
            if value != getattr(Deployment, name):
                raise InputError.at(
                    name, f"is for {' and '.join(DEPLOYED)}, and not for {to}; leave it out"
                )
    if takes_of(to) == "plan":
        for name, value in about_model.items():
            if value is not None and (name, value) != ("match", TrainingJob.match):
                raise InputError.at(
                    name, f"is about a model, and {to} is written from the plan alone; leave it out"
                )


def export_alone(
    plan: Plan,
    folder: str | Path,
    *,
    to: str,
    source: str = "plan",
    deployment: Deployment | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write what a format makes of a plan without its model into a folder; see `export_plan`."""
    writer = exporter(to)
    check_folder(folder, force)
    from splitopt.export.plan_job import plan_job, with_manifest

    files = _written(to, writer, plan_job(plan, source, deployment))
    check_files(files, f"format {to!r}")
    for name in MANIFESTS:
        if name in files:
            raise InputError(f"format {to!r}: gives a {name}, which is the export's own to write")
    files = with_manifest(files, plan, to)
    write_folder(folder, files, force)
    return {"to": to, "folder": str(folder), "files": list(files), "problem": plan.problem}


def export_job(
    job: TrainingJob,
    folder: str | Path,
    sample: Sample,
    *,
    to: str,
    weights: str | Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write the plan and the model of a job into a folder; see `export_plan`."""
    writer = exporter(to)
    if job.plan.problem == GraphPartition.name:
        from splitopt.export.graph_chain import FORMATS, chain_job
        from splitopt.export.graph_parts import export_graph

        if to not in FORMATS:
            return export_graph(job, folder, sample, to=to, weights=weights, force=force)
        check_folder(folder, force)
        export = chain_job(job, sample, weights)
    elif job.plan.problem == ReplicatedPipeline.name:
        from splitopt.export import replicated_parts

        export = replicated_parts.replicas_job(job, sample, to, weights)
        check_folder(folder, force)
        writer = replicated_parts.files
    else:
        check_folder(folder, force)
        from splitopt.export.preparing import prepare

        export = prepare(job, sample, weights)
    files = _complete(_written(to, writer, export), export, f"format {to!r}")
    write_folder(folder, files, force)
    return {
        "to": to,
        "folder": str(folder),
        "files": list(files),
        "model": export.program.profile.name,
        "cuts_found_by": export.split.method,
        "clients": [
            {
                "name": chain.name,
                "cuts": list(chain.cuts),
                "parts": [
                    {"part": part.name, "party": party.name}
                    for part, party in zip(export.parts_of(chain), chain.parties, strict=True)
                ],
            }
            for chain in export.chains
        ],
    }


def _written(to: str, writer: Writer, export: Any) -> Mapping[str, bytes]:
    """Return the files of a format, and name the format of another package that fails."""
    try:
        return writer(export)
    except Exception as error:
        if to in EXPORTERS or isinstance(error, SplitoptError):
            raise
        raise CapabilityError(
            f"format {to!r}: its package fails to write it ({type(error).__name__}: {error})"
        ) from error


def _complete(files: Mapping[str, bytes], export: Job, source: str) -> dict[str, bytes]:
    """Return the files of a format with a manifest that names them all."""
    from splitopt.export.manifest import manifest_of, with_digests

    check_files(files, source)
    if MANIFEST not in files:
        return with_digests(files, manifest_of(export, as_code=False))
    manifest = parse_json(decoded(files[MANIFEST], source), f"{source}: {MANIFEST}")
    if not isinstance(manifest, dict):
        raise InputError(f"{source}: gives a {MANIFEST} that is no object")
    return with_digests(files, manifest)
