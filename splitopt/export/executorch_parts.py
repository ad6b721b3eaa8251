"""``executorch``: the parts as programs of ExecuTorch for one sample, with XNNPACK where it can.

What the runtime takes for any batch depends on the operators: a layer normalisation it does not. On
a device that runs its part of a trained model one sample is what comes, so that is what is written.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from splitopt.errors import CapabilityError
from splitopt.export.job import Job
from splitopt.export.program_files import Written, program_files
from splitopt.export.programs import PartProgram, programs_of
from splitopt.extras import installed_version
from splitopt.profiles.tracing.running.example import Inputs
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.user_code import reason

SAMPLES = 1
"""The size of the batch."""


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        A part cannot be written for ExecuTorch, or its runtime computes something else.
    """
    written = [_written(program) for program in programs_of(job)]
    further = {"batch": SAMPLES, "executorch": installed_version("executorch")}
    return program_files(job, "executorch", written, further)


def _written(program: PartProgram) -> Written:
    with undisturbed(program.module):  # importing it warns, too
        content = _program(program)
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(content).load_method("forward")

        def run(inputs: Inputs) -> Sequence[Tensor]:
            return [item.clone() for item in method.execute(list(inputs))]

        difference = program.difference(run, "a program of ExecuTorch", (SAMPLES,))
    return Written(program, f"{program.part.name}.pte", content, difference)


def _program(program: PartProgram) -> bytes:
    """Return the file of a part."""
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        exported = torch.export.export(program.module, program.entries[SAMPLES])
        edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        return bytes(edge.to_executorch().buffer)
    except Exception as error:
        raise CapabilityError(
            f"{program.part.name} cannot be written for ExecuTorch ({reason(error)}); export to "
            "'onnx' or 'torch-export'"
        ) from None
