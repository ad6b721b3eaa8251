"""``openvino``: the parts as models of OpenVINO, for Intel's processors, graphics and NPUs.

A model is two files: ``.xml`` says what is computed, ``.bin`` has the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitopt.errors import CapabilityError
from splitopt.export.job import Job
from splitopt.export.program_files import Written, program_files
from splitopt.export.programs import PartProgram, programs_of
from splitopt.extras import installed_version
from splitopt.profiles.tracing.running.example import Inputs
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.storage.temporary import temporary_folder
from splitopt.user_code import reason

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
"""Else processors that have bfloat16 compute in it."""


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        OpenVINO does not take a part, or computes something else.
    """
    written = [_written(program) for program in programs_of(job)]
    return program_files(job, "openvino", written, {"openvino": installed_version("openvino")})


def _written(program: PartProgram) -> Written:
    name = program.part.name
    with undisturbed(program.module), temporary_folder() as folder:
        try:
            import openvino

            model = openvino.convert_model(program.exported)
            for port, item in zip(model.inputs, program.takes, strict=True):
                port.get_tensor().set_names({item["name"]})
            for port, item in zip(model.outputs, program.gives, strict=True):
                port.get_tensor().set_names({item["name"]})
            openvino.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)
            compiled = openvino.Core().compile_model(folder / f"{name}.xml", "CPU", EXACT)
        except Exception as error:
            raise CapabilityError(
                f"OpenVINO does not take {name} ({reason(error)}); export to 'onnx' or "
                "'torch-export'"
            ) from None

        def run(inputs: Inputs) -> Sequence[Tensor]:
            found: Any = compiled([item.numpy() for item in inputs])
            return [torch.from_numpy(np.array(found[place])) for place in range(len(found))]

        difference = program.difference(run, "a model of OpenVINO")
        content = (folder / f"{name}.xml").read_bytes()
        weights = (folder / f"{name}.bin").read_bytes()
    return Written(program, f"{name}.xml", content, difference, {f"{name}.bin": weights})
