"""``parts.json``: the plan's cuts by layer name, who holds which part, and what crosses."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from splitopt.export.folder import MANIFEST
from splitopt.export.holders import Chain, parties_of
from splitopt.export.job import Job
from splitopt.export.shapes import section_shape, shape_of
from splitopt.export.weights import notes_on_tensors, tensors_of
from splitopt.extras import installed_version

FORMAT = "splitopt-torch-parts"
"""The manifest of parts that are written as code, which its loader reads."""
OTHER_FORMAT = "splitopt-parts"
"""The same for parts that are written in another way."""
VERSION = 1
WEIGHTS = "weights.safetensors"
_FLAT = re.compile(r"\[[^\[\]{}]*\]")
_BREAK = re.compile(r"(,?)\n\s*")


def manifest_of(job: Job, *, as_code: bool = True) -> dict[str, Any]:
    """Return the manifest as JSON-ready data.

    Parameters
    ----------
    job
        What is exported.
    as_code
        Whether the parts are written as code; what a part takes are the modules that its code
        names then, and its parameters and buffers otherwise.
    """
    stated = job.program.scenario.data
    return {
        "format": FORMAT if as_code else OTHER_FORMAT,
        "version": VERSION,
        "made_by": f"splitopt {installed_version('splitopt')}",
        "plan": {
            "hash": job.program.plan_digest,
            "problem": job.plan.problem,
            "objective": job.plan.objective,
            "scenario": job.program.scenario.name,
            "outcome": job.plan.result.get("outcome"),
        },
        "model": {
            "profile": job.program.profile.name,
            "target": job.origin.target,
            "cuts_found_by": job.split.method,
            "fingerprint": job.fingerprint,
            "inputs": [shape_of(item, item) for item in job.inputs],
            "output": job.shapes[None],
            "tensors": {
                name: [str(item.dtype).removeprefix("torch."), *item.shape]
                for name, item in tensors_of(job.split.module).items()
            },
            **notes_on_tensors(job.split.module),
        },
        "parts": [
            {
                "name": part.name,
                "after": part.ends[0],
                "until": part.ends[1],
                "layers": list(part.layers),
                "takes": list(job.codes[part.name].takes if as_code else job.tensors_of(part)),
            }
            for part in job.parts
        ],
        "crossings": _crossings(job, as_code),
        "parties": [{"name": party.name, "role": party.role} for party in parties_of(job.chains)],
        "clients": [_client(job, chain) for chain in job.chains],
        "training": {
            "epochs": job.program.scenario.training.epochs,
            "rounds": job.program.scenario.training.rounds,
            **({} if stated is None else {"data": stated.model_dump(exclude_none=True)}),
        },
        "decision": job.plan.decision,
        "weights": None if job.weights is None else WEIGHTS,
    }


def with_digests(files: Mapping[str, bytes], manifest: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of an export with a manifest that names each other file by its SHA-256.

    By them a later export knows what an earlier one wrote, see `splitopt.export.folder`.
    """
    others = {name: content for name, content in files.items() if name != MANIFEST}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in others.items()}
    return {MANIFEST: json_text({**manifest, "files": digests}).encode(), **others}


def json_text(data: dict[str, Any]) -> str:
    """Return data as the text of a JSON file, with lists of numbers and texts on one line."""
    text = json.dumps(data, indent=1, allow_nan=False)
    # No text of JSON holds a line break, so that only layout is changed.
    return _FLAT.sub(lambda found: _BREAK.sub(_joint, found[0]), text) + "\n"


def _joint(found: re.Match[str]) -> str:
    return ", " if found[1] else ""


def _client(job: Job, chain: Chain) -> dict[str, Any]:
    return {
        "name": chain.name,
        "cuts": list(chain.cuts),
        "chain": [
            {"part": part.name, "party": party.name}
            for part, party in zip(job.parts_of(chain), chain.parties, strict=True)
        ],
        "samples": chain.samples,
        "batch_size": chain.batch_size,
        **chain.allocation,
    }


def _crossings(job: Job, as_code: bool) -> dict[str, Any]:
    """Return what crosses each cut that somebody uses: bytes per sample, shape and type.

    Several tensors are packed in one between parts that are code, and cross by themselves, in
    their order, between others.
    """
    apart = {} if as_code else job.split.layouts
    used = {cut for chain in job.chains for cut in chain.cuts}
    return {
        name: {
            "activation_bytes_per_sample": float(job.program.profile.smashed_bytes[index]),
            "gradient_bytes_per_sample": float(job.program.profile.gradient_bytes[index]),
            **(
                {"tensors": [section_shape(own) for own in apart[name].sections]}
                if name in apart
                else job.shapes[name] or {}
            ),
        }
        for index, name in enumerate(job.program.profile.layers)
        if name in used
    }
