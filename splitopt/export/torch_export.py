"""``torch-export``: the parts as programs of torch.export, in files that PyTorch loads."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from torch import Tensor

from splitopt.export.job import Job
from splitopt.export.program_files import Written, program_files
from splitopt.export.programs import PartProgram, programs_of
from splitopt.profiles.tracing.running.example import Inputs, tensors_in


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        A part cannot be exported, or its program computes something else.
    """
    written = [_written(program) for program in programs_of(job)]
    return program_files(job, "torch-export", written, {"torch": str(torch.__version__)})


def _written(program: PartProgram) -> Written:
    stream = io.BytesIO()
    torch.export.save(program.exported, stream)
    content = stream.getvalue()
    loaded = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: Inputs) -> Sequence[Tensor]:
        with torch.no_grad():
            return tensors_in(loaded(*inputs))

    difference = program.difference(run, "a program of torch.export")
    return Written(program, f"{program.part.name}.pt2", content, difference)
