"""`export_plan`: a plan and the model it is for, as a folder that other software reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import decoded
from splitopt.errors import CapabilityError, InputError, SplitoptError
from splitopt.export.folder import MANIFEST, check_files, check_folder, write_folder
from splitopt.export.registry import EXPORTERS, Writer, exporter
from splitopt.export.sample import Sample, SampleFields
from splitopt.plans import PlanLike, as_plan
from splitopt.training.job import MatchFields, SchemeFields, TrainingJob
from splitopt.training.keywords import shared_out, takes_fields

if TYPE_CHECKING:
    from torch import nn

    from splitopt.export.job import Job


class ExportFields(MatchFields, SchemeFields, SampleFields, total=False):
    """The keywords of `export_plan` of a `TrainingJob` and of a `Sample`."""


@takes_fields(ExportFields, TrainingJob, Sample)
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
        `splitopt.export.sample.Sample`.

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
    matching, sample = shared_out("export_plan", ExportFields, given, TrainingJob, Sample)
    job = TrainingJob(as_plan(plan, source), model, source=source, **matching)
    return export_job(job, folder, Sample(**sample), to=to, weights=weights, force=force)


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


def _written(to: str, writer: Writer, export: Job) -> Mapping[str, bytes]:
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
