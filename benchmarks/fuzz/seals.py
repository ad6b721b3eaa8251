"""Making digests right again after a mutation: else nothing behind them would ever be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.fuzz.mutate.writing import parse, write

_PARTS = ("scenario", "profile", "decision", "prediction", "result")


def seal_plan(file: Path) -> None:
    """Write the hashes of a plan's parts anew; what cannot be hashed stays as it is."""
    try:
        document = parse(file.read_bytes())
        hashes = document["hashes"]
        for name in _PARTS:
            hashes[name] = _digest(document[name])
        file.write_bytes(write(document))
    except (ValueError, KeyError, TypeError, RecursionError):
        return


def seal_checkpoint(file: Path) -> None:
    """Write the digests of a checkpoint anew, of the tensors and of the document."""
    head = file.parent / "checkpoint.json"
    try:
        document = parse(head.read_bytes())
        if file != head:
            content = file.read_bytes()
            document["tensors"]["sha256"] = sha256(content).hexdigest()
            document["tensors"]["bytes"] = len(content)
        rest = {name: value for name, value in document.items() if name != "digest"}
        document["digest"] = _digest(rest)
        head.write_bytes(write(document))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def seal_document(file: Path) -> None:
    """Write the digest of a JSON file anew that ends with one of itself."""
    try:
        document = parse(file.read_bytes())
        rest = {name: value for name, value in document.items() if name != "digest"}
        document["digest"] = _digest(rest)
        file.write_bytes(write(document))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def seal_sealed(file: Path) -> None:
    """Write the digests in the metadata of a safetensors file anew, of tensors and document."""
    from safetensors import SafetensorError
    from safetensors.torch import load, save

    from splitopt.generators.sealed import mark_of

    content = file.read_bytes()
    try:
        length = int.from_bytes(content[:8], "little")
        document = parse(json.loads(content[8 : 8 + length])["__metadata__"]["splitopt"].encode())
        tensors = load(content)
        document["tensors"] = mark_of(tensors)
        rest = {name: value for name, value in document.items() if name != "digest"}
        document["digest"] = _digest(rest)
        file.write_bytes(save(tensors, {"splitopt": write(document).decode()}))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def _digest(part: Any) -> str:
    """Return the digest as splitopt makes it, of what the part is once it is read."""
    read = json.loads(write(part))
    text = json.dumps(read, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode()).hexdigest()


SEALS: dict[str, Callable[[Path], None]] = {
    "plan": seal_plan,
    "checkpoint": seal_checkpoint,
    "sealed": seal_sealed,
    "document": seal_document,
}
