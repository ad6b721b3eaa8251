"""How far a model in two parts is from the whole, in training with dropout and in evaluation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

SEED = 7


def tensor_of(outputs: Any) -> Tensor:
    """Return the tensor that is trained: the logits of a model of transformers."""
    return outputs if isinstance(outputs, Tensor) else outputs["logits"]


def differences(
    model: nn.Module, cuts: tuple[str, ...], parts_of: Callable[..., list[nn.Module]], x: Tensor
) -> dict[str, float]:
    """Compare the model in two parts with a copy of the whole, for each cut.

    Parameters
    ----------
    model
        As a user builds it; it is copied.
    cuts
        Names of cuts.
    parts_of
        Called with a list of one cut and a copy of the model, gives two parts.
    x
        A batch.

    Returns
    -------
    For each cut the largest difference of an output, a gradient or a buffer, over a training pass
    and one in evaluation behind it.
    """
    whole = copy.deepcopy(model)
    expected = _passes([whole], whole, x)
    found = {}
    for cut in cuts:
        own = copy.deepcopy(model)
        got = _passes(parts_of([cut], own), own, x)
        assert got.keys() == expected.keys(), sorted(got.keys() ^ expected.keys())
        found[cut] = max(_apart(got[name], expected[name]) for name in expected)
    return found


def _passes(parts: list[nn.Module], model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Train with a batch and evaluate with it; return all that came of it, by name."""
    for part in (model, *parts):
        part.train()
    torch.manual_seed(SEED)
    entries, results = [x], []
    for part in parts:
        if results:
            entries.append(results[-1].detach())
            if results[-1].requires_grad:
                entries[-1].requires_grad_()
        results.append(tensor_of(part(entries[-1])))
    results[-1].square().mean().backward()
    for entry, result in zip(entries[:0:-1], results[-2::-1], strict=True):
        if result.requires_grad:
            result.backward(entry.grad)
    found = {"output in training": results[-1].detach()}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            found[f"gradient of {name}"] = parameter.grad
    found |= {f"buffer {name}": value.clone() for name, value in model.named_buffers()}
    for part in (model, *parts):
        part.eval()
    with torch.no_grad():
        value = x
        for part in parts:
            value = tensor_of(part(value))
    return {**found, "output in evaluation": value}


def _apart(one: Tensor, two: Tensor) -> float:
    return 0.0 if torch.equal(one, two) else float((one.double() - two.double()).abs().max())
