"""The folder of parts that are programs: a file for each, what runs them, a manifest and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from splitopt.export.folder import MANIFEST
from splitopt.export.job import Job
from splitopt.export.manifest import json_text, manifest_of
from splitopt.export.program_readme import program_readme
from splitopt.export.programs import PartProgram

RUNNER = "run.py"


@dataclass(frozen=True, eq=False)
class Written:
    """A part as a file.

    Parameters
    ----------
    program
        The part.
    file, content
        The name of the file, and what stands in it.
    difference
        The largest difference from the part, see `PartProgram.difference`.
    beside
        Further files that the first one names, and what stands in them.
    """

    program: PartProgram
    file: str
    content: bytes
    difference: float
    beside: Mapping[str, bytes] = field(default_factory=dict)


def program_files(
    job: Job, form: str, written: Sequence[Written], further: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the files of a folder of programs, by name.

    Parameters
    ----------
    job
        What is exported.
    form
        The name of the format.
    written
        Every part, in the order of the job.
    further
        What the manifest says beside of how the programs were made.
    """
    manifest = manifest_of(job, as_code=False)
    files = {
        item.program.part.name: {
            "file": item.file,
            "inputs": item.program.takes,
            "outputs": item.program.gives,
            "difference": item.difference,
        }
        for item in written
    }
    manifest["parts"] = [{**part, **files[part["name"]]} for part in manifest["parts"]]
    manifest["programs"] = {"form": form, "mode": "evaluation", **further}
    manifest["weights"] = None  # they are in the programs
    runner = resources.files("splitopt.export.written") / RUNNER
    return {
        MANIFEST: json_text(manifest).encode(),
        **{item.file: item.content for item in written},
        **{name: content for item in written for name, content in item.beside.items()},
        RUNNER: runner.read_bytes(),
        "README.md": program_readme(job, form, manifest["parts"]).encode(),
    }
