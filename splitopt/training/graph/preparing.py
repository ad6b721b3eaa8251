"""From a plan and a model to the parts that run it: the model compared with the plan's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import CapabilityError, InputError
from splitopt.profiles import ModelProfile
from splitopt.profiles.tracing.graphs import METHODS, traced_graph
from splitopt.profiles.tracing.layers import GraphLayers
from splitopt.profiles.tracing.running.example import Inputs, fresh, inputs_of, tensors_in
from splitopt.profiles.tracing.running.passes import Outcome, direction, whole_pass
from splitopt.profiles.tracing.running.quiet import SEED, undisturbed
from splitopt.training.graph.pipeline import GraphPipeline

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Relative differences of outputs and gradients that are rounding."""


def layers_for(profile: ModelProfile, module: nn.Module, inputs: Inputs) -> GraphLayers:
    """Trace a module again and return its layers, which must be those of a plan's profile.

    Raises
    ------
    InputError
        It is another model than the plan's, or cannot be traced.
    """
    known = profile.trace is not None and profile.trace.method in METHODS
    method = profile.trace.method if known and profile.trace is not None else "auto"
    found = traced_graph(module, inputs, None, None, method, True, {})
    own, graph = found.profile, profile.graph
    assert own.graph is not None  # it was traced so
    assert graph is not None  # so was it for the plan
    if own.layers != profile.layers:
        other = next(
            (i for i, (a, b) in enumerate(zip(own.layers, profile.layers, strict=False)) if a != b),
            min(len(own.layers), len(profile.layers)),
        )
        raise _other_model(
            profile, f"layer {other} is {_name(own, other)!r} here and {_name(profile, other)!r}"
        )
    if own.graph.to_dict() != graph.to_dict():
        raise _other_model(profile, "its edges or the bytes of its outputs differ")
    if own.device_model_bytes.tolist() != profile.device_model_bytes.tolist():
        raise _other_model(profile, "its parameters have other sizes")
    return GraphLayers(found.split)


def _name(profile: ModelProfile, layer: int) -> str:
    return profile.layers[layer] if layer < profile.layer_count else "missing"


def _other_model(profile: ModelProfile, how: str) -> InputError:
    return InputError.at(
        "model",
        f"is not the one that was planned, {profile.name!r}: {how}; give that model, or profile "
        "this one with boundaries 'graph' and plan anew",
    )


def check_parts(pipeline: GraphPipeline, module: nn.Module, inputs: Inputs) -> None:
    """Compare the parts with the whole module on an example, where it draws no random numbers.

    Raises
    ------
    CapabilityError
        Outputs or gradients differ by more than rounding.
    """
    if _draws(module, inputs):
        return
    with undisturbed(module) as before:
        module.train()
        whole = whole_pass(module, inputs)
        before.restore()
        result = pipeline.train(fresh(inputs), _directed)
        gradients = {id(p): p.grad for p in module.parameters() if p.grad is not None}
        before.drop_gradients()
    for traffic in pipeline.traffic.values():
        traffic.sent_bytes = traffic.received_bytes = 0
    _expect_equal(whole, result, gradients)


def _draws(module: nn.Module, inputs: Inputs) -> bool:
    """Whether a module gives other outputs with another seed."""
    found = []
    for seed in (SEED, SEED + 1):
        with undisturbed(module), torch.no_grad():
            module.train()
            torch.manual_seed(seed)
            found.append(tensors_in(module(*fresh(inputs))))
    return not all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def _directed(result: Any) -> tuple[Tensor, Tensor | None]:
    """Return where the backward pass begins: of several results, the sum along their directions."""
    if isinstance(result, Tensor):
        return result, direction(result)
    learned = [item for item in tensors_in(result) if item.requires_grad]
    terms = [(item * direction(item)).sum() for item in learned]
    return (torch.stack(terms).sum() if terms else torch.zeros(())), None


def _expect_equal(whole: Outcome, result: Any, gradients: dict[int, Any]) -> None:
    found = tensors_in(result)
    tolerance = max(TOLERANCES.get(item.dtype, 0.1) for item in found)
    pairs = list(zip(whole.outputs, found, strict=True))
    same = set(whole.gradients) == set(gradients)
    if same:
        pairs += [(whole.gradients[key], gradients[key]) for key in gradients]
    for one, two in pairs:
        scale = float(one.abs().max()) or 1.0
        same = same and float((one - two).abs().max()) <= tolerance * scale
    if not same:
        raise CapabilityError(
            "the parts of this plan do not compute what the whole model does; what they cannot "
            "see, such as memory that several layers write, belongs into one layer"
        )


def inputs_like(given: Any, module: nn.Module, number: int) -> Inputs:
    """Return the inputs of a micro-batch by position, or raise `InputError` that names it."""
    try:
        return inputs_of(given, module)
    except InputError as error:
        raise InputError.at(f"batches[{number}]", str(error)) from None
