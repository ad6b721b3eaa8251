"""The functions that find, count, take apart and time: what users call, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from splitopt.documents.checks import check_choice
from splitopt.extras import need_torch
from splitopt.profiles.table.tied import REFUSED

if TYPE_CHECKING:
    from torch import nn

    from splitopt.profiles.tracing.cuts.finding import Stages
    from splitopt.profiles.tracing.measuring import Measurement
    from splitopt.profiles.tracing.result import TracedModel
    from splitopt.profiles.tracing.split import SplitModel

BOUNDARIES = ("cuts", "graph")
"""What the layers of a profile are: what lies between cuts, or the values of a graph."""


def find_cuts(
    module: nn.Module,
    example: Any,
    *,
    stages: Stages | None = None,
    method: str = "auto",
    verify: bool = True,
    most_tensors: int = 1,
    tied: str = REFUSED,
    shorter: Any = None,
) -> SplitModel:
    """Find where a module can be cut.

    Parameters
    ----------
    module
        Any module; it is run on the example, and left as it was. Of a ``peft.PeftModel`` it is
        the model inside, with its adapters.
    example
        A batch as the module takes it: a tensor, a tuple of tensors in the order of the arguments
        of ``forward``, or a dict of tensors by the names of these arguments; the first axis of
        each is the batch. Samples are repeated or dropped as needed.
    stages
        The stages that the module runs through, instead of finding them: names of submodules,
        submodules or functions of one tensor, in order.
    method
        ``auto``, or only one of ``sequential``, ``fx``, ``export`` and ``stages`` (the module's
        own method ``split_stages()``).
    verify
        Compare split and whole; not possible for a module on the ``meta`` device.
    most_tensors
        How many tensors may cross a cut, packed in one of shape (batch, words): 2 for a hidden
        state and its mask, or for a level of skip connections of a U-Net. Above 1 cuts are found in
        the graph of ``fx`` or ``export``.
    tied
        What is made of a cut between layers that train one weight, such as an embedding that is
        the head as well. ``"refused"``: it is no cut. ``"copies"``: both sides hold a copy, and
        training adds the gradients of both in every step, so that they stay equal.
        ``"together"``: it is a cut where one party holds all these layers, as the owner of a
        pipeline does with the first and the last part.
    shorter
        The example with fewer positions of each sample, where samples may be of unequal length:
        what differs in size then follows from what crosses a cut, and is no number in a part.

    Returns
    -------
    SplitModel
        The cuts by name, the reasons why other values are none, and ``segments(cuts)``.

    Raises
    ------
    InputError
        An example that the module cannot take, stages that are not the module's, or no cut at all.
    CapabilityError
        PyTorch is not installed.
    """
    need_torch("tracing a module")
    from splitopt.profiles.tracing.running.example import inputs_of
    from splitopt.profiles.tracing.running.wrapped import unwrapped
    from splitopt.profiles.tracing.split import find

    inputs = inputs_of(example, unwrapped(module))
    short = None if shorter is None else inputs_of(shorter, unwrapped(module))
    return find(module, inputs, stages, method, verify, most_tensors, tied, short)


def trace(
    module: nn.Module,
    example: Any,
    *,
    name: str | None = None,
    stages: Stages | None = None,
    method: str = "auto",
    verify: bool = True,
    most_tensors: int = 1,
    tied: str = REFUSED,
    keep_all: bool = False,
    boundaries: str = "cuts",
    flop_formulas: Mapping[Any, Callable[..., Any]] | None = None,
) -> TracedModel:
    """Make the profile of a module: where it can be cut and what each cut costs.

    Parameters
    ----------
    module, example, stages, method, verify, most_tensors, tied
        As for `find_cuts`. On the ``meta`` device everything is counted and nothing computed.
    name
        The name of the profile, the module's class by default.
    keep_all
        Keep cuts that a later one beats: no more bytes cross there, the device works no more,
        and nothing more leaks. Their parameters and memory are not compared.
    boundaries
        ``"cuts"``, or ``"graph"``: a layer for every value of the graph of ``fx`` or ``export``,
        with the edges between them, to be planned by `graph_partition`. `stages`, `most_tensors`,
        `tied` and `keep_all` are for cuts alone.
    flop_formulas
        The work of operators that have no formula, or a better one: an operator,
        ``torch.ops.mylib.scan`` or ``"mylib::scan"``, -> a function of its arguments, with shapes
        in place of tensors, that returns FLOP. It takes what
        ``torch.utils.flop_counter.register_flop_formula`` takes; what is registered there is used
        as well. Shapes are those of a batch.

    Returns
    -------
    TracedModel
        ``profile`` is the table, ``segments(cuts)`` the parts.

    Raises
    ------
    InputError, CapabilityError
        As `find_cuts`; and for formulas that fail, or whose operator did not run.
    """
    need_torch("tracing a module")
    check_choice("boundaries", boundaries, BOUNDARIES)
    from splitopt.profiles.tracing.costs.work.declared import checked_formulas
    from splitopt.profiles.tracing.result import traced
    from splitopt.profiles.tracing.running.example import inputs_of
    from splitopt.profiles.tracing.running.wrapped import unwrapped

    inputs, formulas = inputs_of(example, unwrapped(module)), checked_formulas(flop_formulas)
    names = tuple(example) if isinstance(example, Mapping) else None
    if boundaries == "graph":
        from splitopt.profiles.tracing.graphs import check_options, traced_graph

        several, tying = most_tensors != 1 and most_tensors, tied != REFUSED and tied
        check_options(stages=stages, most_tensors=several, tied=tying, keep_all=keep_all)
        return traced_graph(module, inputs, name, names, method, verify, formulas)
    split = find_cuts(
        module,
        example,
        stages=stages,
        method=method,
        verify=verify,
        most_tensors=most_tensors,
        tied=tied,
    )
    short = name or type(split.module).__name__.lower()
    return traced(split, inputs, short, keep_all, formulas, names)


def segments(
    module: nn.Module,
    cuts: Sequence[str | int],
    example: Any,
    *,
    stages: Stages | None = None,
    most_tensors: int = 1,
    tied: str = REFUSED,
) -> list[nn.Module]:
    """Split a module at some cuts: `find_cuts` and `SplitModel.segments` in one call.

    Parameters
    ----------
    module, example, stages, most_tensors, tied
        As for `find_cuts`.
    cuts
        Names of cuts (the layers of a traced profile), or their numbers among all cuts from 1.

    Returns
    -------
    list of torch.nn.Module
        One more than cuts, which share the parameters and buffers of the module under the same
        names. Given ``leaf``, the detached output of the part before, they compute forward and
        backward bit for bit as the whole module does.
    """
    found = find_cuts(module, example, stages=stages, most_tensors=most_tensors, tied=tied)
    return found.segments(cuts)


def measure(traced: TracedModel, machine: str = "here", **how: Any) -> Measurement:
    """Time the layers of a traced model on this machine.

    See `splitopt.profiles.tracing.measuring.measure` for the options ``batch``, ``repeats``,
    ``warmup``, ``threads`` and ``clock``; the result's ``profile`` has the times under the
    machine's name.
    """
    from splitopt.profiles.tracing.measuring import measure as timed

    return timed(traced, machine, **how)
