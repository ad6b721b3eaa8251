"""``torch`` for a plan of `GraphPartition`: a part of each machine as code, and a script."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn

from splitopt.errors import CapabilityError, InfeasibleError, InputError
from splitopt.export.code import graph_code
from splitopt.export.folder import check_files, check_folder, write_folder
from splitopt.export.job import Origin
from splitopt.export.manifest import WEIGHTS, json_text
from splitopt.export.plan_job import with_manifest
from splitopt.export.preparing import opened_model
from splitopt.export.sample import Sample
from splitopt.export.standalone import network_source
from splitopt.export.weights import need_safetensors, read_weights, tensors_of
from splitopt.models.adapters.adding import insertion_of
from splitopt.planning.planner import OpenedPlan, open_plan
from splitopt.plans import plan_digest
from splitopt.problems.graph_partition import GraphPartitionDecision
from splitopt.problems.graph_partition.tables import accelerators_of
from splitopt.profiles.tracing.layers import GraphLayers, GraphPiece
from splitopt.profiles.tracing.pretrained import is_pretrained, written_source
from splitopt.profiles.tracing.running.example import Inputs, inputs_of
from splitopt.training.graph.pipeline import GraphPipeline
from splitopt.training.graph.preparing import layers_for
from splitopt.training.job import TrainingJob
from splitopt.training.model_parts.averaging import state_bytes

FORMAT = "splitopt-torch-graph"
VERSION = 2
_SHARED = ("TYPES", "read_weights", "Part", "_take")
"""What ``parts.py`` has of the loader of other exports."""
_TITLE = '''"""The parts of a model by a plan, one for each machine; ``train_graph.py`` loads them.

Written by splitopt; ``graph.json`` says for which plan. It needs PyTorch alone.
"""
'''


def export_graph(
    job: TrainingJob,
    folder: str | Path,
    sample: Sample,
    *,
    to: str,
    weights: str | Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write the parts of a graph, and a script that trains them without splitopt.

    Parameters
    ----------
    job, folder, sample, to, weights, force
        As for `splitopt.export.exporting.export_job`.

    Raises
    ------
    InputError
        Another format than ``torch``, options of other plans, a model of another plan, weights of
        another model, or a folder that cannot be written.
    InfeasibleError
        The plan has no decision.
    CapabilityError
        The model uses what cannot be written as code.
    """
    opened = opened_graph(job, ("torch",), to)
    check_folder(folder, force)
    module, example, origin = opened_model(job.model, sample, opened.profile)
    inputs = inputs_of(example, module)
    layers = layers_for(opened.profile, module, inputs)
    assert isinstance(opened.decision, GraphPartitionDecision)
    pipeline = GraphPipeline.of(layers, opened.decision.device.tolist())
    names = accelerators_of(opened.scenario).names()
    _expect_flat(layers)
    pieces = {names[machine]: piece for machine, piece in pipeline.pieces.items()}
    script = resources.files("splitopt.export.written") / "train_graph.py"
    tensors = {name: list(item.shape) for name, item in tensors_of(layers.split.module).items()}
    manifest = _manifest(opened, pieces, inputs, tensors)
    found = {
        "graph.json": json_text(manifest).encode(),
        "parts.py": _parts(pieces).encode(),
        "train_graph.py": script.read_bytes(),
        "README.md": _readme(opened, manifest, origin).encode(),
    }
    if origin.shipped:
        found["model.py"] = _network(origin, module, inputs).encode()
    if weights is not None:
        need_safetensors("writing weights")
        found[WEIGHTS] = state_bytes(read_weights(weights, module))
    check_files(found, f"format {to!r}")
    written = with_manifest(found, job.plan, to)
    write_folder(folder, written, force)
    return {
        "to": to,
        "folder": str(folder),
        "files": list(written),
        "model": opened.profile.name,
        "machines": [{"name": row["name"], "part": row["part"]} for row in manifest["machines"]],
    }


def opened_graph(job: TrainingJob, formats: Sequence[str], to: str | None = None) -> OpenedPlan:
    """Open the plan, and reject what its export does not take.

    Parameters
    ----------
    job
        The plan, and options of which most are for other plans.
    formats, to
        Formats that hold its parts, and the one that is asked for; by default the first.

    Raises
    ------
    InputError
        Another format, an option that it does not take, or a profile that was not traced.
    InfeasibleError
        The plan has no decision.
    """
    if to is not None and to not in formats:
        raise InputError(
            f"{job.source}: is a plan of graph_partition, whose parts take and give several "
            f"tensors each, which {to!r} does not hold; export it to 'torch', or as "
            "tables"
        )
    for name, value in (("stages", job.stages), ("scheme", job.scheme)):
        if value is not None:
            raise InputError.at(name, "is for plans that cut a chain; leave it out")
    if job.match != TrainingJob.match:
        raise InputError.at(
            "match", f"is {job.match!r}, and the parts of a graph are matched by 'structure' alone"
        )
    opened = open_plan(job.plan, job.source)
    if opened.decision is None:
        why = opened.plan.result.get("message") or "no feasible decision was found"
        raise InfeasibleError(f"{job.source}: there is nothing to export: {why}")
    if opened.profile.trace is None:
        raise InputError(
            f"{job.source}: its profile {opened.profile.name!r} was not traced from a module; "
            "profile yours with boundaries 'graph' and plan anew"
        )
    return opened


def _expect_flat(layers: GraphLayers) -> None:
    """Raise `CapabilityError` for results that are no tensor and no plain tuple of some."""
    values = tuple(range(len(layers.results)))
    found = layers.returned(values)
    if found != values[0] and (not isinstance(found, tuple | list) or tuple(found) != values):
        raise CapabilityError(
            "the model returns its results within each other, by name or one of them twice, and a "
            "folder of parts gives a tensor or a tuple of different ones; wrap it in a module "
            "that returns such a tuple"
        )


def _network(origin: Origin, module: nn.Module, inputs: Inputs) -> str:
    """Write the file of a shipped network, or of one of HuggingFace."""
    assert origin.target is not None  # a shipped one has a name
    if is_pretrained(origin.target):
        return written_source(origin.target)
    wanted = origin.adapters
    added = None if wanted is None else insertion_of(module, wanted)
    return network_source(origin.target, tuple(inputs[0].shape[1:]), origin.classes, added)


def _manifest(
    opened: OpenedPlan,
    pieces: Mapping[str, GraphPiece],
    inputs: Inputs,
    tensors: Mapping[str, list[int]],
) -> dict[str, Any]:
    """Return what ``graph.json`` says."""
    section, layers = accelerators_of(opened.scenario), opened.profile.layers
    return {
        "format": FORMAT,
        "version": VERSION,
        "plan": plan_digest(opened.plan),
        "profile": opened.profile.name,
        "batch_size": section.batch_size,
        "micro_batches": section.micro_batches,
        "inputs": [
            {"shape": list(item.shape[1:]), "dtype": str(item.dtype).removeprefix("torch.")}
            for item in inputs
        ],
        "machines": [
            {
                "name": name,
                "part": f"Part{number}",
                "layers": [layers[layer] for layer in piece.layers],
                "inputs": list(piece.inputs),
                "takes": [item._asdict() for item in piece.takes],
                "gives": [item._asdict() for item in piece.gives],
                "returns": list(piece.returns),
            }
            for number, (name, piece) in enumerate(pieces.items(), start=1)
        ],
        "tensors": dict(tensors),
    }


def _parts(pieces: Mapping[str, GraphPiece]) -> str:
    """Write ``parts.py``: what all parts share, and a class for each machine."""
    text = (resources.files("splitopt.export.written") / "loader.py").read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    shared = [
        "".join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.parse(text).body
        if getattr(node, "name", None) in _SHARED or _assigned(node) in _SHARED
    ]
    codes = [graph_code({True: piece.code}) for piece in pieces.values()]
    own = "from __future__ import annotations\n\nimport json\nimport math\nimport struct\n"
    own += "from pathlib import Path\n\nimport torch\nfrom torch import nn\n"
    further = sorted({line for code in codes for line in code.imports} - set(own.splitlines()))
    classes = [
        code.class_text(f"Part{number}", _title(piece))
        for number, (code, piece) in enumerate(zip(codes, pieces.values(), strict=True), start=1)
    ]
    top = own + "".join(f"{line}\n" for line in further)
    return f"{_TITLE}\n{top}\n" + "\n\n".join([*shared, *classes])


def _title(piece: GraphPiece) -> str:
    count = len(piece.layers)
    return f"{count} layer{'s' * (count > 1)} of the graph."


def _assigned(node: ast.stmt) -> str | None:
    """Return the name that a statement gives a value, if it is one."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def _results(numbers: Sequence[int]) -> str:
    """Return in words which results of the model a machine has."""
    if not numbers:
        return ""
    return "the result" if tuple(numbers) == (0,) else f"results {', '.join(map(str, numbers))}"


def _readme(opened: OpenedPlan, manifest: Mapping[str, Any], origin: Origin) -> str:
    """Write the page that goes with the folder."""
    rows = "\n".join(
        f"| `{row['name']}` | `{row['part']}` | {len(row['layers'])} | {_results(row['returns'])} |"
        for row in manifest["machines"]
    )
    model = "model:build" if origin.shipped else origin.target or "FILE.py:NAME"
    return f"""# {opened.profile.name} on {len(manifest["machines"])} machines

The parts of the model by the plan of the scenario `{opened.scenario.name}` (problem
`graph_partition`), written by splitopt. The code needs PyTorch alone.

| Machine | Part | Layers | Returns |
|---|---|---|---|
{rows}

`python train_graph.py --model {model}` makes a step on random inputs and compares it with the
whole model; `--device MACHINE=cuda:0` puts a machine on a device. In a program:

```python
import torch
from train_graph import load

model = ...  # the model that was profiled
pipeline = load(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
optimizer.zero_grad()
loss = pipeline.step([([inputs], targets)], torch.nn.functional.mse_loss)
optimizer.step()
```

By the plan, a step takes {manifest["micro_batches"]} micro-batches of {manifest["batch_size"]}
samples.
"""
