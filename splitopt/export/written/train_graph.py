"""Trains a model in the parts of a plan, each on a machine of its own; it needs PyTorch alone.

``load(model)`` gives a `Pipeline`, whose ``step(batches, loss)`` runs both passes of micro-batches:
parts forward in the order of the data and backward against it, with outputs and gradients through
the host's memory. ``python train_graph.py --model FILE.py:NAME`` makes a step on random inputs and
compares its gradients with those of the whole model. Written by splitopt; ``graph.json`` says for
which plan.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
parts = importlib.import_module("parts")  # parts.py, which stands beside this file
FORMAT = "splitopt-torch-graph"
Loss = Callable[[Any, Any], Tensor]


def manifest() -> dict[str, Any]:
    """Read ``graph.json``, which stands beside this file."""
    with open(HERE / "graph.json", encoding="utf-8") as stream:
        found: dict[str, Any] = json.load(stream)
    if (found.get("format"), found.get("version")) != (FORMAT, 2):
        raise ValueError(f"{HERE / 'graph.json'}: is not a {FORMAT} file of version 2")
    return found


def load(
    model: nn.Module,
    devices: Mapping[str, str] | None = None,
    weights: str | Path | None = None,
) -> Pipeline:
    """Return the parts of a model on their machines.

    Parameters
    ----------
    model
        The model that the plan is for; the parts share its parameters and buffers.
    devices
        Machine -> the device of PyTorch that stands for it, such as ``cuda:0``; the CPU by default.
    weights
        A safetensors file that is read into the model first.

    Raises
    ------
    ValueError
        The model is another one, a machine that there is not, or a file without the weights.
    """
    known = manifest()
    check_model(model, known)
    names = [machine["name"] for machine in known["machines"]]
    for name in devices or {}:
        if name not in names:
            raise ValueError(f"there is no machine {name!r}; choose of {', '.join(names)}")
    if weights is not None:
        own = model.state_dict()
        path = Path(weights)
        path = path if path.exists() else HERE / path
        for name, value in parts.read_weights(path, list(own)).items():
            own[name].copy_(value)
    return Pipeline(model, known, dict(devices or {}))


def check_model(model: nn.Module, known: Mapping[str, Any]) -> None:
    """Raise ValueError if a model's parameters and buffers are not those of the plan's model."""
    expected = known["tensors"]
    found = {n: list(t.shape) for n, t in (*model.named_parameters(), *model.named_buffers())}
    for name in (*expected, *found):
        if found.get(name) != expected.get(name):
            raise ValueError(
                f"this is another model than that of the plan: {name!r} has the shape "
                f"{found.get(name)} and not {expected.get(name)}"
            )


class Pipeline:
    """The parts of a model, and the bytes that each machine has exchanged with the host.

    Attributes
    ----------
    parts
        Machine -> its part, in an order in which every part finds what it takes.
    sent_bytes, received_bytes
        Machine -> bytes written to the host and read from it, both passes together.
    """

    def __init__(self, model: nn.Module, known: Mapping[str, Any], devices: dict[str, str]) -> None:
        self.machines: list[dict[str, Any]] = list(known["machines"])
        self.devices = {item["name"]: devices.get(item["name"], "cpu") for item in self.machines}
        self.parts: dict[str, nn.Module] = {
            item["name"]: getattr(parts, item["part"])(model) for item in self.machines
        }
        for name, part in self.parts.items():
            part.to(self.devices[name])
        self.sent_bytes = dict.fromkeys(self.parts, 0)
        self.received_bytes = dict.fromkeys(self.parts, 0)

    def step(self, batches: Iterable[tuple[Sequence[Tensor], Any]], loss: Loss) -> float:
        """Add the gradients of some micro-batches, of the mean of their losses, which it returns.

        Parameters
        ----------
        batches
            Pairs of the inputs of the model, in order, and what the loss takes.
        loss
            Called with what the model returns (a tensor, or a tuple of several, on the device of
            the last machine that has one) and the second of a pair.
        """
        given = list(batches)
        return sum(self._passes(*pair, loss, len(given)) for pair in given) / len(given)

    def _passes(self, inputs: Sequence[Tensor], targets: Any, loss: Loss, among: int) -> float:
        outputs: dict[int, list[Tensor]] = {}
        gradients: dict[int, list[Tensor]] = {}
        ran = []
        results: dict[int, Tensor] = {}
        for item in self.machines:
            name, device = item["name"], self.devices[item["name"]]
            self.parts[name].train()
            leaves = {
                take["layer"]: [self._arrived(name, t) for t in outputs[take["layer"]]]
                for take in item["takes"]
            }
            # A part may work in place, which a leaf does not bear.
            taken = [leaf.clone() for own in leaves.values() for leaf in own]
            own_inputs = [inputs[place].detach().clone().to(device) for place in item["inputs"]]
            made = list(self.parts[name](*own_inputs, *taken))
            own = made[len(made) - len(item["returns"]) :]
            results |= zip(item["returns"], own, strict=True)
            given = {}
            for gives in item["gives"]:
                given[gives["layer"]] = made[: gives["tensors"]]
                del made[: gives["tensors"]]
                outputs[gives["layer"]] = [self._sent(name, t) for t in given[gives["layer"]]]
            ran.append((item, leaves, given, own))
        place = next(self.devices[i["name"]] for i in reversed(self.machines) if i["returns"])
        back, value = _rooted(
            results, lambda made: loss(made, _moved(targets, place)), place, among
        )
        for item, leaves, given, own in reversed(ran):
            pairs = [(r, back[n]) for r, n in zip(own, item["returns"], strict=True)]
            learned = [(r, g.to(r.device)) for r, g in pairs if g is not None]
            self._back(item, leaves, given, learned, gradients)
        return value

    def _back(
        self,
        item: Mapping[str, Any],
        leaves: Mapping[int, list[Tensor]],
        given: Mapping[int, list[Tensor]],
        results: Sequence[tuple[Tensor, Tensor]],
        gradients: dict[int, list[Tensor]],
    ) -> None:
        """Run the backward pass of a part, and add its gradients to those at the host."""
        name = item["name"]
        roots = [result for result, _ in results]
        back = [gradient for _, gradient in results]
        for layer, tensors in given.items():
            if learned := [t for t in tensors if t.requires_grad]:
                self.received_bytes[name] += _size(gradients[layer])
                roots += learned
                back += [g.to(self.devices[name]) for g in gradients[layer]]
        if roots:
            torch.autograd.backward(roots, back)
        for layer, own in leaves.items():
            if learned := [leaf for leaf in own if leaf.requires_grad]:
                found = [
                    (torch.zeros_like(leaf) if leaf.grad is None else leaf.grad).cpu()
                    for leaf in learned
                ]
                self.sent_bytes[name] += _size(found)
                there = gradients.get(layer)
                added = (
                    found if there is None else [a + b for a, b in zip(there, found, strict=True)]
                )
                gradients[layer] = added

    def _sent(self, name: str, value: Tensor) -> Tensor:
        """Return a value as it lies at the host."""
        self.sent_bytes[name] += _size([value])
        return value.detach().cpu().requires_grad_(value.requires_grad)

    def _arrived(self, name: str, value: Tensor) -> Tensor:
        """Return a value of the host as a leaf on a machine."""
        self.received_bytes[name] += _size([value])
        own = value.detach().clone().to(self.devices[name])
        return own.requires_grad_(value.requires_grad)


def _rooted(
    results: Mapping[int, Tensor], loss: Callable[[Any], Tensor], device: str, among: int
) -> tuple[dict[int, Tensor | None], float]:
    """Return the loss, and the gradient at each result that has one, of one batch of several."""
    leaves = {
        n: results[n].detach().to(device).requires_grad_(results[n].requires_grad)
        for n in sorted(results)
    }
    # A loss may work in place, which a leaf does not bear.
    made = tuple(leaf.clone() for leaf in leaves.values())
    value = loss(made[0] if len(made) == 1 else made)
    if value.requires_grad:
        torch.autograd.backward([value / among])
    return {n: leaf.grad for n, leaf in leaves.items()}, float(value.detach())


def _moved(value: Any, device: str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return [_moved(item, device) for item in value] if isinstance(value, list | tuple) else value


def _size(tensors: Sequence[Tensor]) -> int:
    return sum(item.numel() * item.element_size() for item in tensors)


def compare(model: nn.Module, devices: Mapping[str, str] | None = None) -> float:
    """Make a step on random inputs in parts and whole; return the largest difference of a gradient.

    It is relative to the largest entry of the gradient.
    """
    known = manifest()
    torch.manual_seed(0)
    whole = copy.deepcopy(model).train()
    batches = [_drawn(known, whole) for _ in range(2)]
    loss = _distance
    for inputs, targets in batches:
        torch.autograd.backward(loss(whole(*inputs), targets) / len(batches))
    pipeline = load(model, devices)
    pipeline.step(batches, loss)
    worst = 0.0
    for one, two in zip(model.parameters(), whole.parameters(), strict=True):
        if one.grad is not None and two.grad is not None:
            scale = float(two.grad.abs().max()) or 1.0
            worst = max(worst, float((one.grad.cpu() - two.grad).abs().max()) / scale)
    for name in pipeline.parts:
        sent, received = pipeline.sent_bytes[name], pipeline.received_bytes[name]
        print(f"{name}: {sent} B sent, {received} B received")
    return worst


def _distance(returned: Any, targets: Any) -> Tensor:
    """Compute the mean squared error, of several tensors the sum."""
    if isinstance(returned, Tensor):
        return nn.functional.mse_loss(returned, targets)
    errors = [nn.functional.mse_loss(a, b) for a, b in zip(returned, targets, strict=True)]
    return torch.stack(errors).sum()


def _drawn(known: Mapping[str, Any], model: nn.Module) -> tuple[list[Tensor], Any]:
    """Draw a micro-batch, and targets for what the model returns for it."""
    inputs = []
    for item in known["inputs"]:
        kind, shape = getattr(torch, item["dtype"]), (known["batch_size"], *item["shape"])
        real = kind.is_floating_point
        inputs.append(torch.randn(shape, dtype=kind) if real else torch.zeros(shape, dtype=kind))
    with torch.no_grad():
        returned = copy.deepcopy(model)(*inputs)
    if isinstance(returned, Tensor):
        return inputs, torch.randn_like(returned)
    return inputs, [torch.randn_like(item) for item in returned]


def _model(target: str) -> nn.Module:
    """Call what makes the model: ``FILE.py:NAME`` or ``MODULE:NAME``."""
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location("the_model", place)
        if spec is None or spec.loader is None or not Path(place).exists():
            raise ValueError(f"--model: there is no file {place!r}")
        module = importlib.util.module_from_spec(spec)
        sys.modules["the_model"] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place or "model")
    made: nn.Module = getattr(module, name or "build")()
    return made


def main() -> int:
    """Compare a step in parts with one of the whole model, and print the difference."""
    parser = argparse.ArgumentParser(description="Compare a step in parts with the whole model.")
    parser.add_argument("--model", required=True, help="FILE.py:NAME or MODULE:NAME")
    parser.add_argument("--device", action="append", default=[], metavar="MACHINE=DEVICE")
    given = parser.parse_args()
    devices = dict(text.split("=", 1) for text in given.device)
    worst = compare(_model(given.model), devices)
    print(f"largest relative difference of a gradient: {worst:.2g}")
    return 0 if worst < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
