"""``onnx``: the parts as ONNX models, checked with onnxruntime before they are written."""

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
from splitopt.profiles.tracing.running.example import Inputs
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.user_code import reason

MOST_BYTES = 2**31 - 2**20
"""Of an ONNX model in one file, a message of Protocol Buffers."""


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        A part cannot be written in ONNX, is too large for one file, or onnxruntime does not compute
        what the part computes.
    """
    models = [(program, _model(program)) for program in programs_of(job)]
    written = [_written(program, model) for program, model in models]
    opset = max(item.version for _, model in models for item in model.opset_import)
    return program_files(job, "onnx", written, {"opset": int(opset)})


def _model(program: PartProgram) -> Any:
    """Return a part as the message of an ONNX model, without paths of this machine."""
    name = program.part.name
    size = sum(item.nbytes for item in program.exported.state_dict.values())
    if size > MOST_BYTES:
        raise CapabilityError(
            f"{name} has {size:.3g} B of weights, and an ONNX file holds 2 GiB; plan with more "
            "cuts, or export to 'torch-export'"
        )
    try:
        with undisturbed(program.module):
            made = torch.onnx.export(
                program.exported,
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=[item["name"] for item in program.takes],
                output_names=[item["name"] for item in program.gives],
                dynamic_shapes=program.dynamic_shapes,
            )
        assert made is not None
        model = made.model_proto
    except Exception as error:
        raise CapabilityError(
            f"{name} cannot be written in ONNX ({reason(error)}); export to 'torch-export'"
        ) from None
    for graph in (model.graph, *model.functions):
        for item in (graph, *graph.node):
            item.ClearField("metadata_props")
            item.ClearField("doc_string")
    return model


def _written(program: PartProgram, model: Any) -> Written:
    import onnxruntime

    content = model.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CapabilityError(
            f"onnxruntime does not take {program.part.name} ({reason(error)}); export to "
            "'torch-export'"
        ) from None
    names = [item.name for item in session.get_inputs()]

    def run(inputs: Inputs) -> Sequence[Tensor]:
        given = {name: item.numpy() for name, item in zip(names, inputs, strict=True)}
        return [torch.from_numpy(np.array(item)) for item in session.run(None, given)]

    difference = program.difference(run, "an ONNX model")
    return Written(program, f"{program.part.name}.onnx", content, difference)
