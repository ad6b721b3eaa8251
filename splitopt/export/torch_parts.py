"""``torch``: the parts as modules in plain PyTorch, with a loader and a manifest."""

from __future__ import annotations

import ast
from importlib import resources

from splitopt.export.job import Job
from splitopt.export.manifest import WEIGHTS, json_text, manifest_of
from splitopt.export.readme import parts_readme
from splitopt.export.standalone import network_source
from splitopt.export.weights import need_safetensors
from splitopt.models.adapters.adding import insertion_of
from splitopt.profiles.tracing.pretrained import is_pretrained, written_source
from splitopt.training.model_parts.averaging import state_bytes

_TITLE = '''"""The parts of a model by a plan, and what finds, checks and loads them.

``load_parts(model, party)`` gives the parts that a party holds, ``load_chain(model, client)`` those
of a client, ``save_parts(folder, parts)`` writes their weights. Written by splitopt; ``parts.json``
says for which plan. It needs PyTorch alone.
"""
'''


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        The model uses what cannot be written as code.
    """
    found = {
        "parts.json": json_text(manifest_of(job)),
        "parts.py": parts_source(job),
        "README.md": parts_readme(job),
    }
    if job.origin.shipped:
        found["model.py"] = model_source(job)
    content = {name: text.encode() for name, text in found.items()}
    if job.weights is not None:
        need_safetensors("writing weights")
        content[WEIGHTS] = state_bytes(job.weights)
    return content


def model_source(job: Job) -> str:
    """Write the file of a shipped network, or of one of HuggingFace."""
    assert job.origin.target is not None
    if is_pretrained(job.origin.target):
        return written_source(job.origin.target)
    shape = tuple(job.inputs[0].shape[1:])
    wanted = job.origin.adapters
    added = None if wanted is None else insertion_of(job.split.module, wanted)
    return network_source(job.origin.target, shape, job.origin.classes, added)


def parts_source(job: Job) -> str:
    """Write ``parts.py``: the loader, and a class per part."""
    top, rest = _loader()
    imports = {line for code in job.codes.values() for line in code.imports} - set(top.splitlines())
    further = "".join(f"{line}\n" for line in sorted(imports))
    classes = "\n\n".join(
        job.codes[part.name].class_text(part.name, part.title) for part in job.parts
    )
    return f"{_TITLE}\n{top}\n{further}{rest}\n\n{classes}"


def _loader() -> tuple[str, str]:
    """Return the import lines of the loader and what stands below them."""
    text = (resources.files("splitopt.export.written") / "loader.py").read_text(encoding="utf-8")
    body = ast.parse(text).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    first, last = imports[0].lineno, imports[-1].end_lineno
    lines = text.splitlines(keepends=True)
    return "".join(lines[first - 1 : last]).rstrip(), "".join(lines[last:])
