"""The beginning of every ``parts.py``: what finds, checks and loads the parts of a model."""

from __future__ import annotations

import ctypes
import json
import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from torch import nn

HERE = Path(__file__).resolve().parent
TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""Types of tensors by their names in a safetensors file."""


@lru_cache(maxsize=1)
def manifest() -> dict[str, Any]:
    """Read ``parts.json``, which stands beside this file."""
    with open(HERE / "parts.json", encoding="utf-8") as stream:
        found: dict[str, Any] = json.load(stream)
    if (found.get("format"), found.get("version")) != ("splitopt-torch-parts", 1):
        raise ValueError(f"{HERE / 'parts.json'}: is not a splitopt-torch-parts file of version 1")
    return found


def load_parts(
    model: nn.Module, party: str, client: str | None = None, weights: str | Path | None = None
) -> list[nn.Module]:
    """Return the parts of a client's model that a party holds, in the order of the forward pass.

    Parameters
    ----------
    model
        The model that the plan is for. The parts share its parameters and buffers; for a party
        that keeps a copy per client, give ``copy.deepcopy(model)`` for each of them.
    party
        A name in ``parts.json``: a device or data owner, a server or compute node.
    client
        Whose model it is: for a server or node, one of those that it works for. It can be left out
        where all of them have the same parts; a device or owner holds its own.
    weights
        A safetensors file, or a folder with one for each part, named after it; what the parts hold
        is read into the model. A name that is not there from where Python runs is looked for
        beside this file.

    Raises
    ------
    ValueError
        No such party or client, a client that must be named, a model that is another one, or a
        file without the weights.
    """
    known = manifest()
    check_model(model, known)
    names = [item["name"] for item in known["parties"]]
    if party not in names:
        raise ValueError(f"there is no party {party!r}; choose one of {', '.join(names)}")
    chains = {item["name"]: item["chain"] for item in known["clients"]}
    held = {
        name: tuple(link["part"] for link in chain if link["party"] == party)
        for name, chain in chains.items()
    }
    held = {name: parts for name, parts in held.items() if parts}
    if client is None and party in held:
        client = party
    if client is None and len(set(held.values())) != 1:
        raise ValueError(
            f"{party} holds different parts for different clients; say for which one: "
            f"{', '.join(held) or 'it holds none of any'}"
        )
    if client is not None and client not in held:
        raise ValueError(f"{party} holds no part of {client!r}; it does of {', '.join(held)}")
    chosen = next(iter(held.values())) if client is None else held[client]
    return _built(model, chosen, weights)


def load_chain(
    model: nn.Module, client: str, weights: str | Path | None = None
) -> list[tuple[str, nn.Module]]:
    """Return all parts of a client's model in the order of the forward pass, with who holds each.

    Parameters and errors are those of `load_parts`.
    """
    known = manifest()
    check_model(model, known)
    chains = {item["name"]: item["chain"] for item in known["clients"]}
    if client not in chains:
        raise ValueError(f"there is no client {client!r}; choose one of {', '.join(chains)}")
    parts = _built(model, [link["part"] for link in chains[client]], weights)
    return [(link["party"], part) for link, part in zip(chains[client], parts, strict=True)]


def save_parts(
    folder: str | Path, parts: Sequence[nn.Module], client: str | None = None
) -> list[Path]:
    """Write the weights of trained parts, each into a file named after it.

    Parameters
    ----------
    folder
        Is made if it is not there. ``splitopt merge`` puts what is in it together.
    parts
        Of `load_parts`, or of `load_chain` without who holds them.
    client
        Whose copies they are; they go into a folder named after it. None for parts that all clients
        share, and where there is one model only.

    Returns
    -------
    The files.

    Raises
    ------
    ValueError
        There is no such client, or a module that is none of the parts.
    """
    known = manifest()
    clients = [item["name"] for item in known["clients"]]
    if client is not None and client not in clients:
        raise ValueError(f"there is no client {client!r}; choose one of {', '.join(clients)}")
    names = [type(part).__name__ for part in parts]
    for name in names:
        if name not in {item["name"] for item in known["parts"]}:
            raise ValueError(f"a {name} is none of the parts; give those of load_parts")
    place = Path(folder) if client is None else Path(folder) / folder_of(client)
    place.mkdir(parents=True, exist_ok=True)
    paths = [place / f"{name}.safetensors" for name in names]
    for path, part in zip(paths, parts, strict=True):
        write_weights(path, part.state_dict())
    return paths


def folder_of(client: str) -> str:
    """Return a client's name as that of a folder: what is no letter, digit, ``.-_~`` as ``%20``."""
    name = quote(client, safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def check_model(model: nn.Module, known: dict[str, Any] | None = None) -> None:
    """Raise ValueError if a model's parameters and buffers are not those of the plan's model."""
    expected = (known or manifest())["model"]["tensors"]
    found = {
        name: [str(tensor.dtype).removeprefix("torch."), *tensor.shape]
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    missing = [name for name in expected if name not in found]
    further = [name for name in found if name not in expected]
    if missing or further:
        words = f"{missing[0]!r} is missing" if missing else f"{further[0]!r} is unknown"
        raise ValueError(f"this is another model than that of the plan: {words}")
    for name, (_, *shape) in expected.items():  # the type may be another, such as bfloat16
        if found[name][1:] != shape:
            raise ValueError(
                f"this is another model than that of the plan: {name!r} has the shape "
                f"{found[name][1:]} and not {shape}"
            )


def read_weights(path: str | Path, names: list[str]) -> dict[str, torch.Tensor]:
    """Read tensors of these names from a safetensors file; nothing in it is executed.

    Raises
    ------
    ValueError
        The file is damaged or does not have them.
    """
    found = {}
    with open(path, "rb") as stream:
        try:
            (length,) = struct.unpack("<Q", stream.read(8))
            begin, end = 8 + length, stream.seek(0, 2)
            if begin > end:
                raise ValueError("the file is cut short")
            stream.seek(8)
            header = json.loads(stream.read(length))
            for name in names:
                if name not in header:
                    raise ValueError(f"there is no tensor {name!r}")
                kind, shape = TYPES[header[name]["dtype"]], header[name]["shape"]
                first, last = header[name]["data_offsets"]
                if any(not isinstance(side, int) or side < 0 for side in shape):
                    raise ValueError(f"the shape of {name!r} is none")
                size = math.prod(shape) * kind.itemsize
                if not (first >= 0 and last - first == size and begin + last <= end):
                    raise ValueError(f"the place of {name!r} is not in the file")
                stream.seek(begin + first)
                raw = bytearray(stream.read(size))
                flat = torch.frombuffer(raw, dtype=kind) if raw else torch.empty(0, dtype=kind)
                found[name] = flat.reshape(shape)
        except (struct.error, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: is no safetensors file with these weights ({error})"
            ) from None
    return found


def write_weights(path: str | Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as a safetensors file, which `read_weights` and others read."""
    names = {kind: name for name, kind in TYPES.items()}
    header, content = {}, bytearray()
    for name, tensor in tensors.items():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        first = len(content)
        content += ctypes.string_at(flat.data_ptr(), flat.numel() * flat.element_size())
        place = [first, len(content)]
        header[name] = {
            "dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place
        }  # fmt: skip
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    made = Path(f"{path}.part")
    made.write_bytes(struct.pack("<Q", len(text)) + text + bytes(content))
    made.replace(path)


class Part(nn.Module):
    """A run of layers that shares parameters and buffers with the model, under the same names."""

    takes: tuple[str, ...] = ()
    """Submodules, parameters and buffers of the model that the part uses."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.training = model.training
        for name in self.takes:
            _take(self, model, name)


def _take(part: nn.Module, model: nn.Module, name: str) -> None:
    """Put what the model has under a dotted name into a part, with empty modules between."""
    *path, leaf = name.split(".")
    owner = model
    for step in path:
        owner = owner.get_submodule(step)
        below = part._modules.get(step)
        if below is None:
            below = nn.Module()
            part.add_module(step, below)
        part = below
    if leaf in part._modules or leaf in part._parameters or leaf in part._buffers:
        return  # a module that is there already brought it along
    if leaf in owner._modules:
        part.add_module(leaf, owner._modules[leaf])
    elif leaf in owner._parameters:
        part.register_parameter(leaf, owner._parameters[leaf])
    else:
        persistent = leaf not in owner._non_persistent_buffers_set
        part.register_buffer(leaf, owner._buffers[leaf], persistent=persistent)


def _built(model: nn.Module, names: Any, weights: str | Path | None) -> list[nn.Module]:
    """Build parts by the names of their classes."""
    parts: list[nn.Module] = [globals()[name](model) for name in names]
    if weights is not None:
        path = Path(weights)
        if not path.exists() and (HERE / path).exists():
            path = HERE / path
        for name, part in zip(names, parts, strict=True):
            _read_into(part, path / f"{name}.safetensors" if path.is_dir() else path)
    return parts


def _read_into(part: nn.Module, path: Path) -> None:
    """Read a part's weights from a file."""
    own = part.state_dict()
    for name, value in read_weights(path, list(own)).items():
        if own[name].shape != value.shape:
            raise ValueError(f"{path}: {name!r} has the shape {tuple(value.shape)}")
        own[name].copy_(value)
