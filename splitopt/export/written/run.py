"""Loads and runs the parts of a model, each from a file of its own, by a plan of splitopt.

``load_parts(party)`` gives the parts that a party holds, ``load_chain(client)`` those of a client's
model with who holds each; ``python run.py`` runs the latter with random inputs. It needs NumPy, and
onnxruntime for ``.onnx``, OpenVINO for ``.xml``, PyTorch for ``.pt2``, or ExecuTorch for ``.pte``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
Run = Callable[..., Any]
"""Takes arrays and gives an array, or a list of several."""


def manifest() -> dict[str, Any]:
    """Read ``parts.json``, which stands beside this file."""
    with open(HERE / "parts.json", encoding="utf-8") as stream:
        found: dict[str, Any] = json.load(stream)
    if (found.get("format"), found.get("version")) != ("splitopt-parts", 1):
        raise ValueError(f"{HERE / 'parts.json'}: is not a splitopt-parts file of version 1")
    return found


def load_part(name: str) -> Run:
    """Return a part by its name, such as ``Part1``."""
    known = {item["name"]: item["file"] for item in manifest()["parts"]}
    if name not in known:
        raise ValueError(f"there is no part {name!r}; choose one of {', '.join(known)}")
    path = HERE / known[name]
    opened = {
        ".onnx": _from_onnx,
        ".xml": _from_openvino,
        ".pt2": _from_torch,
        ".pte": _from_executorch,
    }
    return opened[path.suffix](path)


def load_chain(client: str) -> list[tuple[str, Run]]:
    """Return all parts of a client in the order of the forward pass, with who holds each."""
    chains = {item["name"]: item["chain"] for item in manifest()["clients"]}
    if client not in chains:
        raise ValueError(f"there is no client {client!r}; choose one of {', '.join(chains)}")
    return [(link["party"], load_part(link["part"])) for link in chains[client]]


def load_parts(party: str, client: str | None = None) -> list[Run]:
    """Return the parts of a client's model that a party holds, in the order of the forward pass.

    A device or owner holds its own; for a server or node the client must be named where clients
    have different parts.
    """
    held = {}
    for item in manifest()["clients"]:
        parts = tuple(link["part"] for link in item["chain"] if link["party"] == party)
        if parts:
            held[item["name"]] = parts
    if not held:
        raise ValueError(f"{party!r} holds no part of any model")
    if client is None and party in held:
        client = party
    if client is None and len(set(held.values())) > 1:
        raise ValueError(
            f"{party} holds different parts for different clients; say for which one: "
            f"{', '.join(held)}"
        )
    if client is not None and client not in held:
        raise ValueError(f"{party} holds no part of {client!r}; it does of {', '.join(held)}")
    return [load_part(name) for name in held[client or next(iter(held))]]


def _from_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]

    def run(*inputs: Any) -> Any:
        given = dict(zip(names, map(np.asarray, inputs), strict=True))
        return _one_or_all(session.run(None, given))

    return run


def _from_openvino(path: Path) -> Run:
    import openvino

    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # no bfloat16 where the processor has it
    part = openvino.Core().compile_model(path, "CPU", exact)

    def run(*inputs: Any) -> Any:
        found = part([np.asarray(item) for item in inputs])
        return _one_or_all([np.array(found[place]) for place in range(len(found))])

    return run


def _from_torch(path: Path) -> Run:
    import torch

    program = torch.export.load(path).module()

    def run(*inputs: Any) -> Any:
        with torch.no_grad():
            found = program(*(torch.as_tensor(np.asarray(item)) for item in inputs))
        values = list(found.values()) if isinstance(found, dict) else found
        several = values if isinstance(values, list | tuple) else [values]
        return _one_or_all([item.numpy() for item in several])

    return run


def _from_executorch(path: Path) -> Run:
    import torch
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(path).load_method("forward")

    def run(*inputs: Any) -> Any:
        given = [torch.as_tensor(np.ascontiguousarray(item)) for item in inputs]
        return _one_or_all([item.numpy().copy() for item in method.execute(given)])

    return run


def _one_or_all(found: list[Any]) -> Any:
    return found[0] if len(found) == 1 else found


def random_inputs(batch: int) -> list[Any]:
    """Draw a batch of inputs: normal numbers, or 0 and 1 where the model takes whole ones."""
    generator = np.random.default_rng(1)
    drawn = []
    for item in manifest()["model"]["inputs"]:
        shape = [batch, *item["shape"][1:]]
        kind = np.dtype(item["dtype"])
        whole = not np.issubdtype(kind, np.floating)
        numbers = generator.integers(0, 2, shape) if whole else generator.normal(size=shape)
        drawn.append(numbers.astype(kind))
    return drawn


def main() -> None:
    """Run the parts of a client in turn, and print what crosses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", help="whose parts; by default the first client's")
    only = manifest()["programs"].get("batch")
    parser.add_argument("--batch", type=int, default=only or 4, help="samples in the batch")
    given = parser.parse_args()
    values = random_inputs(given.batch)
    try:
        chain = load_chain(given.client or manifest()["clients"][0]["name"])
    except ValueError as error:
        sys.exit(str(error))
    for party, part in chain:
        result = part(*values)
        values = result if isinstance(result, list) else [result]
        print(party, *(f"{item.dtype} {item.shape}" for item in values))


if __name__ == "__main__":
    main()
