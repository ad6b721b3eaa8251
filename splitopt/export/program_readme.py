"""The page that goes with parts that are programs: what runs them, and what they compute."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from splitopt.export.holders import parties_of
from splitopt.export.job import Job
from splitopt.export.markdown import table
from splitopt.export.readme import client_rows, part_row, trained_on
from splitopt.profiles.tracing.pretrained import is_pretrained

_NEEDS = {
    "onnx": "ONNX models, which run under onnxruntime and whatever else reads ONNX, on phones and "
    "boards as well; neither PyTorch nor splitopt is needed",
    "openvino": "models of OpenVINO, whose runtime runs them on processors, graphics and NPUs of "
    "Intel; the weights of each `.xml` are in the `.bin` beside it, and neither PyTorch nor "
    "splitopt is needed",
    "executorch": "programs of ExecuTorch for batches of one sample, which its runtime runs on "
    "phones and boards, by XNNPACK where that has the operators; splitopt is not needed",
    "torch-export": "programs of `torch.export`, which `torch.export.load` reads; splitopt is not "
    "needed. A file of this kind may run code when it is loaded: take it from whom you trust",
}
_ALONE = {
    "onnx": """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])
{result} = session.run(None, {{{given}}})""",
    "openvino": """\
import numpy as np
import openvino

exact = {{"INFERENCE_PRECISION_HINT": "f32"}}
part = openvino.Core().compile_model("{file}", "CPU", exact)
{result} = part([{given}]).values()""",
    "executorch": """\
import torch
from executorch.runtime import Runtime

part = Runtime.get().load_program("{file}").load_method("forward")
{result} = part.execute([{given}])""",
    "torch-export": """\
import torch

part = torch.export.load("{file}").module()
result = part({given})""",
}
_MODE = """\
The programs are in evaluation mode: dropout does nothing, batch normalisation uses its running
statistics, and nothing is written into buffers. They compute outputs and no gradients; to train,
export to `torch`. {size} `difference` in `parts.json` is the largest difference from the part in
PyTorch, in units of its largest output if that is above 1, {checked}."""
_ANY_SIZE = {"size": "Any size of the batch does.", "checked": "for batches of 1, 4 and 7 samples"}
_ONE_SAMPLE = {"size": "They take one sample at a time.", "checked": "for one sample"}


def program_readme(job: Job, form: str, parts: Sequence[dict[str, Any]]) -> str:
    """Write the page.

    Parameters
    ----------
    job
        What is exported.
    form
        The name of the format.
    parts
        The manifest's entries for the parts.
    """
    program = job.program
    chain = next((chain for chain in job.chains if chain.cuts), job.chains[0])
    sections = [
        f"# {program.profile.name} in parts",
        f"The parts of the model by the plan of the scenario `{program.scenario.name}` (problem "
        f"`{program.problem}`), written by splitopt as {_NEEDS[form]}.",
        *trained_on(program.scenario),
        "\n".join(_contents(job, parts)),
        table(("Part", "From behind", "To behind", "Layers"), map(part_row, job.parts)),
        table(("Client", "Who holds its parts"), client_rows(job)),
        "One part by itself:",
        f"```python\n{_alone(form, parts[0])}\n```",
        "All parts of a client in turn, as `python run.py` does with random inputs:",
        "```python\n"
        "from run import load_chain, load_parts\n\n"
        "values = inputs  # a list of arrays, whose first side is the batch\n"
        f"for party, part in load_chain({json.dumps(chain.name)}):\n"
        "    result = part(*values)\n"
        "    values = result if isinstance(result, list) else [result]\n\n"
        "# those that the client holds itself\n"
        f"own = load_parts({json.dumps(parties_of([chain])[0].name)})\n"
        "```",
        _MODE.format(**(_ONE_SAMPLE if form == "executorch" else _ANY_SIZE)),
        _whose_weights(job),
    ]
    return "\n\n".join(sections) + "\n"


def _contents(job: Job, parts: Sequence[dict[str, Any]]) -> list[str]:
    return [
        *(
            f"- `{entry['file']}`: {part.title}"
            for part, entry in zip(job.parts, parts, strict=True)
        ),
        "- `run.py`: loads the parts that a party holds, or all of a client's.",
        "- `parts.json`: names, shapes and types of inputs and outputs, who holds which part, the "
        "bytes that cross, batch sizes, and the decision of the plan.",
    ]


def _alone(form: str, entry: dict[str, Any]) -> str:
    """Write how one part is run, with the names and shapes of this export."""
    batch = 1 if form == "executorch" else 4
    arrays = [_array(form, item, batch) for item in entry["inputs"]]
    if form == "onnx":
        names = (item["name"] for item in entry["inputs"])
        given = ", ".join(f'"{name}": {array}' for name, array in zip(names, arrays, strict=True))
    else:
        given = ", ".join(arrays)
    result = ", ".join(item["name"] for item in entry["outputs"])
    result = f"[{result}]" if len(entry["outputs"]) == 1 else result
    return _ALONE[form].format(file=entry["file"], given=given, result=result)


def _array(form: str, item: dict[str, Any], batch: int) -> str:
    sides = [
        batch * int(side[:-1] or 1) if isinstance(side, str) else side for side in item["shape"]
    ]
    shape = f"({', '.join(map(str, sides))}{',' if len(sides) == 1 else ''})"
    library = "np" if form in ("onnx", "openvino") else "torch"
    return f"{library}.zeros({shape}, dtype={library}.{item['dtype']})"


def _whose_weights(job: Job) -> str:
    if job.weights is not None:
        return "The weights in the programs are those that the export was given with `--weights`."
    if job.origin.shipped and not is_pretrained(job.origin.target):
        return (
            "The weights in the programs are fresh: the network was built for the export. "
            "`splitopt export --weights FILE.safetensors` writes trained ones."
        )
    return "The weights in the programs are those that the model had when it was exported."
