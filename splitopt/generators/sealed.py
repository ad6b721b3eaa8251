"""A safetensors file that says in its metadata what its tensors are, with a digest of both."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from splitopt.documents.json_text import expect_format, parse_json
from splitopt.documents.reading import decoded, read_bytes
from splitopt.errors import InputError, shown
from splitopt.plans import digest
from splitopt.storage.writing import write_atomic
from splitopt.training.model_parts.weights_file import need_safetensors

VERSION = 1
_KEY = "splitopt"
_LENGTH = struct.Struct("<Q")


def write_sealed(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    document: Mapping[str, Any],
    name: str,
) -> None:
    """Write tensors and a document, which is JSON-ready, as a file of the format `name`.

    Raises
    ------
    InputError, WriteError
        It cannot be written.
    """
    need_safetensors("writing a generator")
    from safetensors.torch import save

    plain = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    whole = {"format": name, "version": VERSION, **document, "tensors": mark_of(plain)}
    whole["digest"] = digest(whole)
    text = json.dumps(whole, sort_keys=True, allow_nan=False)
    write_atomic(os.fspath(path), save(plain, {_KEY: text}))


def read_sealed(
    path: str | os.PathLike[str], name: str, most: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and document of a file of the format `name` and of at most `most` bytes.

    Raises
    ------
    InputError
        It cannot be read, is of another format, or does not match its digest.
    """
    need_safetensors("reading a generator")
    from safetensors import SafetensorError
    from safetensors.torch import load

    source = os.fspath(path)
    content = read_bytes(source, most)
    text = _document(content, source)
    found = expect_format(parse_json(text, source), source, name, VERSION)
    try:
        tensors = dict(load(content))
    except (SafetensorError, ValueError, KeyError) as error:
        words = shown(str(error))
        raise InputError(f"{source}: is no whole safetensors file ({words})") from None
    rest = {key: value for key, value in found.items() if key != "digest"}
    if found.get("digest") != digest(rest) or found.get("tensors") != mark_of(tensors):
        raise InputError(f"{source}: does not match its digest; the file was changed or damaged")
    return tensors, {key: value for key, value in rest.items() if key != "tensors"}


def mark_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: by name, a line with name, type and shape, and their bytes."""
    found = sha256()
    for name in sorted(tensors):
        own = tensors[name]
        kind = str(own.dtype).removeprefix("torch.")
        found.update(f"{name} {kind} {list(own.shape)}\n".encode())
        found.update(own.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _document(content: bytes, source: str) -> str:
    """Return the document in the metadata of a file."""
    (length,) = _LENGTH.unpack(content[: _LENGTH.size].ljust(_LENGTH.size, b"\0"))
    header = content[_LENGTH.size : _LENGTH.size + length]
    if length < 2 or len(header) != length or header[:1] != b"{":
        raise InputError(f"{source}: is no whole safetensors file; name one that splitopt wrote")
    document = parse_json(decoded(header, source), source)
    metadata = document.get("__metadata__") if isinstance(document, Mapping) else None
    text = metadata.get(_KEY) if isinstance(metadata, Mapping) else None
    if not isinstance(text, str):
        raise InputError(
            f"{source}: is a safetensors file without what splitopt writes beside its tensors; "
            "name one that 'splitopt generate' wrote"
        )
    return text
