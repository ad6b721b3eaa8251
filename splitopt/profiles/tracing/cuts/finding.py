"""Finding the chain of a module: as nn.Sequential, by torch.fx, by torch.export, as declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph

from splitopt.documents.checks import is_whole
from splitopt.errors import InputError
from splitopt.profiles.table.trace_record import METHODS
from splitopt.profiles.tracing.cuts.chain import Chain, StepChain
from splitopt.profiles.tracing.cuts.graph import GraphChain
from splitopt.profiles.tracing.cuts.traced import Traced
from splitopt.profiles.tracing.fx.containers import can_be_entered, encoder_layers
from splitopt.profiles.tracing.fx.exported import constants_of, export_graph
from splitopt.profiles.tracing.fx.tracer import NO_GRAD, StateTracer
from splitopt.profiles.tracing.running.example import Inputs, fresh, resized, tensors_in
from splitopt.profiles.tracing.running.outputs import without_caches
from splitopt.profiles.tracing.running.quiet import materialise, undisturbed
from splitopt.profiles.tracing.running.snapshot import Snapshot
from splitopt.profiles.tracing.running.state import State
from splitopt.user_code import reason

STAGES_METHOD = "split_stages"
FEW, MANY = 2, 3
"""Sizes of the batches that tell what grows with the batch; one sample is too few for a batch
normalisation."""

Stages = Sequence[str | nn.Module | Callable[..., Any]]
HOW_TO_DECLARE = (
    f"declare stages: give the module a method {STAGES_METHOD}() that returns its layers or "
    "functions in order, or name submodules that follow each other with stages=[...] "
    "(--stages a,b,c)"
)


class NotApplicableError(Exception):
    """A method does not apply to a module; the message says why."""


def _several_hint(error: Exception) -> str:
    """Return how several inputs are given, where ``forward`` misses an argument."""
    if isinstance(error, TypeError) and "missing" in str(error) and "argument" in str(error):
        return "; if it takes several inputs, a function gives them (--example FILE.py:FUNCTION)"
    return ""


def run_once(module: nn.Module, inputs: Inputs) -> Any:
    """Run a module forward; a failure is the user's, in one sentence."""
    try:
        materialise(module, *fresh(inputs))
        with undisturbed(module), torch.no_grad(), without_caches(module):
            module.train()
            result = module(*fresh(inputs))
    except Exception as error:
        shapes = ", ".join(f"{tuple(item.shape)} of {_type(item)}" for item in tensors_in(inputs))
        token_hint = (
            "; if the model takes token ids, give integers (--input-dtype int64)"
            if all(item.is_floating_point() for item in tensors_in(inputs))
            else ""
        )
        raise InputError(
            f"the model cannot take the example input {shapes} ({reason(error)}); give the shape "
            f"of one sample without the batch, as in --input-shape 3,32,32{token_hint}"
            f"{_several_hint(error)}"
        ) from None
    if not tensors_in(result):
        raise InputError(
            f"the model returns {type(result).__name__} without any tensor; only a model that "
            "returns tensors can be cut"
        )
    return result


def candidates(
    module: nn.Module,
    inputs: Inputs,
    stages: Stages | None,
    method: str,
    state: State,
    most: int = 1,
    shorter: Inputs | None = None,
) -> list[tuple[str, Callable[[], Chain]]]:
    """List the methods to try, in order, each as a function that finds the chain or raises.

    What the user declares is all that is tried where it is there. torch.fx first looks into the
    containers of torch.nn, and takes them whole where that does not work. Several tensors cross
    only where there is a graph, which is looked at before the layers of an nn.Sequential then.
    With `shorter`, the inputs with shorter samples, parts take samples of any length.
    """
    if method != "auto" and method not in METHODS:
        raise InputError.at("method", f"is {method!r}; choose one of auto, {', '.join(METHODS)}")
    _expect_graph(module, stages, method, most)
    if stages is not None:
        return [("stages", lambda: declared(module, stages))]
    batches = [resized(inputs, FEW), resized(inputs, MANY)]
    batches += [] if shorter is None else [resized(shorter, FEW)]
    ways: list[tuple[str, Callable[[], Chain]]] = [
        ("stages", lambda: own_stages(module)),
        ("sequential", lambda: sequential(module, inputs)),
        ("fx", lambda: by_fx(module, batches, state, True, most)),
        ("export", lambda: by_export(module, batches, True, most)),
        ("export", lambda: by_export(module, batches, False, most)),
    ]
    if any(can_be_entered(part) for part in module.modules()):
        ways.insert(3, ("fx", lambda: by_fx(module, batches, state, False, most)))
    if most > 1:
        ways.sort(key=lambda way: ("stages", "fx", "sequential", "export").index(way[0]))
    if method == "auto":
        method = "stages" if declares_stages(module) else "auto"
    return [(name, find) for name, find in ways if method in ("auto", name)]


def _expect_graph(module: nn.Module, stages: Stages | None, method: str, most: int) -> None:
    """Reject several tensors at a cut where there are stages, each of one tensor."""
    if not is_whole(most, 1):
        raise InputError.at("most_tensors", f"is {most!r}, it must be a whole number >= 1")
    by_stages = stages is not None or (method == "auto" and declares_stages(module))
    if most > 1 and (by_stages or method in ("stages", "sequential")):
        layers = "the layers of an nn.Sequential" if method == "sequential" else "declared stages"
        raise InputError.at(
            "most_tensors",
            f"is {most}, and between {layers} one tensor crosses; leave it out, or take the method "
            "fx without stages",
        )


def declares_stages(module: nn.Module) -> bool:
    """Whether a module has a method that gives its stages."""
    return callable(getattr(module, STAGES_METHOD, None))


def sequential(module: nn.Module, inputs: Inputs) -> StepChain:
    """List the layers of an nn.Sequential, and of those inside it."""
    if len(inputs) != 1 or not _is_sequential(module):
        raise NotApplicableError("the module is not an nn.Sequential")
    return StepChain("sequential", list(_steps(module, "")))


def by_fx(
    module: nn.Module, batches: Sequence[Inputs], state: State, entering: bool, most: int = 1
) -> GraphChain:
    """Trace the module symbolically in both modes."""
    module.train()
    train = _traced_by_fx(module, batches, state, entering)
    module.eval()
    evaluation = _traced_by_fx(module, batches, state, entering)
    module.train()
    same = _code(train.graph) == _code(evaluation.graph)
    return GraphChain("fx", module, train, train if same else evaluation, most=most)


def by_export(
    module: nn.Module, batches: Sequence[Inputs], trainable: bool, most: int = 1
) -> GraphChain:
    """Run torch.export through the module in both modes; or in one of them, to count only."""
    module.train()
    train = _traced_by_export(module, batches, with_effects=trainable)
    evaluation = train
    if trainable:
        module.eval()
        evaluation = _traced_by_export(module, batches, with_effects=True)
        module.train()
        if _code(train.graph) == _code(evaluation.graph):
            evaluation = train
    return GraphChain("export", module, train, evaluation, trainable=trainable, most=most)


def own_stages(module: nn.Module) -> StepChain:
    """Read the stages that the module declares."""
    method = getattr(module, STAGES_METHOD, None)
    if not callable(method):
        raise NotApplicableError(f"the module has no method {STAGES_METHOD}()")
    try:
        found = list(method())
    except Exception as error:
        raise InputError(f"the model's {STAGES_METHOD}() failed ({reason(error)})") from None
    return declared(module, found)


def declared(module: nn.Module, stages: Stages) -> StepChain:
    """Build the chain of stages that the user declares: names of submodules, layers, functions."""
    names = {id(part): name for name, part in module.named_modules()}
    steps: list[tuple[str, Callable[..., Any]]] = []
    for index, stage in enumerate(stages, start=1):
        if isinstance(stage, str):
            try:
                steps.append((stage, module.get_submodule(stage)))
            except AttributeError:
                known = ", ".join(name for name, _ in module.named_children())
                raise InputError.at(
                    "stages", f"{stage!r} is no submodule; at the top there are {known}"
                ) from None
        elif isinstance(stage, nn.Module) and id(stage) in names:
            steps.append((names[id(stage)], stage))
        elif isinstance(stage, nn.Module) and list(stage.parameters()):
            raise InputError.at(
                "stages",
                f"stage {index} is a {type(stage).__name__} with parameters that is no submodule "
                "of the model; make it one, so that its parameters have names",
            )
        elif callable(stage):
            steps.append((f"stage{index}", stage))
        else:
            raise InputError.at(
                "stages",
                f"stage {index} is a {type(stage).__name__}; give names of submodules, layers or "
                "functions of one tensor",
            )
    if len(steps) < 1:
        raise InputError.at("stages", "is empty; a model has at least one stage")
    return StepChain("stages", _uniquely_named(steps))


def _uniquely_named(
    steps: list[tuple[str, Callable[..., Any]]],
) -> list[tuple[str, Callable[..., Any]]]:
    """Reject a stage that is named twice: it would be on both sides of the cuts between."""
    seen: set[str] = set()
    for name, _ in steps:
        if name in seen:
            raise InputError.at("stages", f"{name!r} stands there twice; name each stage once")
        seen.add(name)
    return steps


def _is_sequential(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _steps(module: nn.Module, prefix: str) -> list[tuple[str, Callable[..., Any]]]:
    found: list[tuple[str, Callable[..., Any]]] = []
    for name, child in module._modules.items():  # named_children would drop repetitions
        assert child is not None
        path = f"{prefix}{name}"
        if _is_sequential(child):
            found += _steps(child, f"{path}.")
        elif isinstance(child, nn.TransformerEncoder) and can_be_entered(child):
            found += [(f"{path}.{name}", layer) for name, layer in encoder_layers(child)]
        else:
            found.append((path, child))
    return found


def _traced_by_fx(
    module: nn.Module, batches: Sequence[Inputs], state: State, entering: bool
) -> Traced:
    written = state.tensors(module)
    try:
        return _traced_with(module, batches, written, state.replaced, entering)
    except Exception:
        # A buffer may be asked for what only a value of the graph can do: ``expand(x.size(0))``.
        everything = written | dict(module.named_buffers())
        if len(everything) == len(written):
            raise
        return _traced_with(module, batches, everything, state.replaced, entering)


def _traced_by_export(
    module: nn.Module, batches: Sequence[Inputs], *, with_effects: bool
) -> Traced:
    graph, root = export_graph(module, batches[0], *batches[2:])
    constants = constants_of(graph, root, module)
    return Traced.of(graph, root, batches, constants, with_effects=with_effects)


def _traced_with(
    module: nn.Module,
    batches: Sequence[Inputs],
    values: Mapping[str, Tensor],
    replaced: frozenset[str],
    entering: bool,
) -> Traced:
    """Trace a module with some of its buffers as values of the graph."""
    before = Snapshot(module)
    known = set(vars(module))
    tracer = StateTracer(values, replaced, entering)
    try:
        graph = tracer.trace(module, _defaults(module, batches[0]))
        # The tracer puts tensors that it meets on the way into the module.
        added = {name: vars(module)[name] for name in set(vars(module)) - known}
        constants = {name: value for name, value in added.items() if isinstance(value, Tensor)}
    finally:
        before.restore()
    vars(module).update(constants)
    found = Traced.of(graph, module, batches, constants)
    before.restore()
    return found


def _defaults(module: nn.Module, inputs: Inputs) -> dict[str, Any]:
    """Return the defaults of the arguments that the example does not have."""
    parameters = inspect.signature(module.forward).parameters.values()
    return {
        item.name: item.default
        for item, given in zip_longest(parameters, inputs)
        if item is not None
        and not isinstance(given, Tensor)
        and item.default is not inspect.Parameter.empty
    }


def _code(graph: Graph) -> str:
    # Where gradients are off is in the meta data, not in the code.
    off = [node.name for node in graph.nodes if node.meta.get(NO_GRAD, False)]
    return graph.python_code("self").src + ", ".join(off)


def _type(item: torch.Tensor) -> str:
    return str(item.dtype).removeprefix("torch.")
