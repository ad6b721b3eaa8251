"""`train_graph`: a plan of a graph, its model and batches to trained weights.

PyTorch is imported when `train_graph` is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from splitopt.errors import InfeasibleError, InputError, TrainingError, shown
from splitopt.extras import need_torch
from splitopt.planning.planner import OpenedPlan, open_plan
from splitopt.plans import PlanLike
from splitopt.problems.graph_partition import GraphPartition, GraphPartitionDecision
from splitopt.problems.graph_partition.tables import accelerators_of
from splitopt.user_code import reason

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

    from splitopt.training.graph.pipeline import GraphPipeline

    Batch = tuple[Any, Any]
    Loss = Callable[[Any, Any], Tensor]
    MakeOptimizer = Callable[[list[nn.Parameter]], optim.Optimizer]


@dataclass(frozen=True)
class MachineTraffic:
    """What a machine exchanged with the host in a training, and what the plan says it would.

    Parameters
    ----------
    name
        The machine.
    sent_bytes, received_bytes
        Counted, of all micro-batches, forward and backward.
    planned_sent_bytes, planned_received_bytes
        Those of the plan for as many samples.
    """

    name: str
    sent_bytes: int
    received_bytes: int
    planned_sent_bytes: float
    planned_received_bytes: float


@dataclass(frozen=True, eq=False)
class GraphRun:
    """What a training came to.

    Parameters
    ----------
    model
        The trained model, a copy of the one that was given.
    losses
        The mean loss of the micro-batches of each step.
    traffic
        A row for each machine in use, in an order that data follow.
    samples
        How many samples were trained with.
    """

    model: nn.Module
    losses: tuple[float, ...]
    traffic: tuple[MachineTraffic, ...]
    samples: int


def train_graph(
    plan: PlanLike,
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    loss: Loss,
    optimizer: MakeOptimizer,
    source: str = "plan",
) -> GraphRun:
    """Train a model in the parts of a plan of `GraphPartition`, all in this process.

    The parts compute what the whole model does, bit for bit but for one thing: where three layers
    or more, on several machines, read one output, their gradients may be added in another order. A
    model that draws random numbers (dropout) draws them part by part.

    Parameters
    ----------
    plan
        A plan with a decision, the path of its file or its plain data.
    model
        The model that was profiled; it is left as it was.
    batches
        Micro-batches: pairs of what the model takes (a tensor, a tuple, or a dict by the names of
        its arguments) and what the loss takes. A step of the optimizer follows every
        ``accelerators.micro_batches`` of them, and the last ones.
    loss
        Called with what the model returns, a tensor or several as the model has them, and the
        second of a pair; returns a tensor of one number, of which a step takes the mean over its
        micro-batches.
    optimizer
        Called with the trained parameters of one machine, such as
        ``lambda parameters: torch.optim.SGD(parameters, lr=0.1)``: every machine has its own.
    source
        How messages call the plan.

    Returns
    -------
    GraphRun
        The model, the losses, and what crossed between machines beside what was planned.

    Raises
    ------
    InputError
        The plan is of another problem, the model is not the one that was planned, or a batch, a
        loss or an optimizer cannot be used.
    InfeasibleError
        The plan has no decision.
    CapabilityError
        PyTorch is missing, or the parts cannot be built or do not compute what the whole does.
    TrainingError
        A loss is not a finite number; the step is named.
    """
    need_torch("training")
    opened = _opened(plan, source)
    given = iter(batches)
    first = next(given, None)
    if first is None:
        raise InputError.at("batches", "are none; give pairs of inputs and targets")
    from copy import deepcopy

    from splitopt.profiles.tracing.running.outputs import as_given
    from splitopt.training.graph.pipeline import GraphPipeline
    from splitopt.training.graph.preparing import check_parts, inputs_like, layers_for

    copy = deepcopy(model)
    inputs = inputs_like(_pair(first, 0)[0], copy, 0)
    layers = layers_for(opened.profile, copy, inputs)
    assert isinstance(opened.decision, GraphPartitionDecision)
    pipeline = GraphPipeline.of(layers, opened.decision.device.tolist())
    check_parts(pipeline, layers.split.module, inputs)
    count = accelerators_of(opened.scenario).micro_batches
    losses, samples = _run(pipeline, copy, _chained(first, given), count, loss, optimizer)
    traffic = _traffic(opened, pipeline, samples)
    return GraphRun(as_given(copy), tuple(losses), traffic, samples)


def _opened(plan: PlanLike, source: str) -> OpenedPlan:
    """Open a plan of the problem with a decision."""
    opened = open_plan(plan, source)
    if opened.plan.problem != GraphPartition.name:
        raise InputError(
            f"{source}: is a plan of {opened.plan.problem}; splitopt.train takes it, and this is "
            "for plans of graph_partition"
        )
    if opened.decision is None:
        why = opened.plan.result.get("message") or "no feasible decision was found"
        raise InfeasibleError(f"{source}: there is nothing to train: {why}")
    if opened.profile.trace is None:
        raise InputError(
            f"{source}: its profile {opened.profile.name!r} was not traced from a module, so that "
            "no model can be compared with it; profile yours with boundaries 'graph' and plan anew"
        )
    return opened


def _chained(first: Batch, others: Iterator[Batch]) -> Iterator[Batch]:
    yield first
    yield from others


def _pair(batch: Any, number: int) -> Batch:
    """Return the inputs and the targets of a micro-batch."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise InputError.at(
            f"batches[{number}]", f"is {shown(batch, 60)}; give a pair of inputs and targets"
        )
    return batch[0], batch[1]


def _run(
    pipeline: GraphPipeline,
    model: nn.Module,
    batches: Iterator[Batch],
    micro_batches: int,
    loss: Loss,
    optimizer: MakeOptimizer,
) -> tuple[list[float], int]:
    """Make steps until there are no more batches; return the losses and the samples."""
    optimizers = _optimizers(pipeline, optimizer)
    losses: list[float] = []
    samples = number = 0
    while group := list(islice(batches, micro_batches)):
        for parameter in model.parameters():
            parameter.grad = None
        found = []
        for batch in group:
            value, size = _micro_batch(pipeline, model, batch, number, loss, len(group))
            if not math.isfinite(value):
                raise TrainingError(
                    f"step {len(losses) + 1}: the loss of micro-batch {number} is {value}; take a "
                    "smaller learning rate, or look into its inputs"
                )
            found.append(value)
            samples += size
            number += 1
        for one in optimizers:
            one.step()
        losses.append(math.fsum(found) / len(found))
    return losses, samples


def _micro_batch(
    pipeline: GraphPipeline, model: nn.Module, batch: Any, number: int, loss: Loss, among: int
) -> tuple[float, int]:
    """Run both passes of a micro-batch; return its loss and its samples."""
    from splitopt.profiles.tracing.running.example import tensors_in
    from splitopt.training.graph.preparing import inputs_like

    given, targets = _pair(batch, number)
    inputs = inputs_like(given, model, number)
    values: list[float] = []

    def root(result: Any) -> tuple[Tensor, None]:
        value = _loss_of(loss, result, targets, number)
        values.append(float(value.detach()))
        return value / among, None

    pipeline.train(inputs, root)
    return values[0], len(tensors_in(inputs)[0])


def _loss_of(loss: Loss, result: Any, targets: Any, number: int) -> Tensor:
    """Compute a loss; what is wrong with it is the caller's, in one sentence."""
    from torch import Tensor

    try:
        value = loss(result, targets)
    except Exception as error:
        raise InputError.at(
            "loss",
            f"fails on what the model returns for micro-batch {number}, of shape "
            f"{_shapes(result)}, and its targets ({reason(error)})",
        ) from None
    if not isinstance(value, Tensor) or value.numel() != 1:
        found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError.at("loss", f"returns {found}; it must return a tensor of one number")
    return value.reshape(())


def _shapes(result: Any) -> str:
    """Return the shapes of what a model returned."""
    from splitopt.profiles.tracing.running.example import tensors_in

    return " and ".join(str(tuple(item.shape)) for item in tensors_in(result))


def _optimizers(pipeline: GraphPipeline, optimizer: MakeOptimizer) -> list[optim.Optimizer]:
    """Make the optimizer of every machine that trains anything."""
    from torch import optim

    from splitopt.profiles.tracing.layers import parameters_of

    found = []
    for piece in pipeline.pieces.values():
        if parameters := parameters_of([piece]):
            try:
                made = optimizer(parameters)
            except Exception as error:
                raise InputError.at(
                    "optimizer", f"fails on a list of parameters ({reason(error)})"
                ) from None
            if not isinstance(made, optim.Optimizer):
                raise InputError.at(
                    "optimizer",
                    f"returns a {type(made).__name__}; it must return an optimizer of torch.optim, "
                    "such as 'lambda parameters: torch.optim.SGD(parameters, lr=0.1)'",
                )
            found.append(made)
    return found


def _traffic(
    opened: OpenedPlan, pipeline: GraphPipeline, samples: int
) -> tuple[MachineTraffic, ...]:
    """Return what crossed beside what was planned for as many samples."""
    assert opened.prediction is not None  # there is a decision
    prediction = opened.prediction.to_dict()
    rows: Sequence[Any] = prediction["machines"]
    planned = {row["name"]: row for row in rows}
    names = accelerators_of(opened.scenario).names()
    share = samples / prediction["batch_size"]
    return tuple(
        MachineTraffic(
            names[machine],
            found.sent_bytes,
            found.received_bytes,
            share * planned[names[machine]]["sent_bytes"],
            share * planned[names[machine]]["received_bytes"],
        )
        for machine, found in pipeline.traffic.items()
    )
