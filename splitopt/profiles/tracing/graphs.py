"""The profile of a module as a graph of layers, for placing branches on machines of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.profiles.table.tied import TOGETHER
from splitopt.profiles.tracing.costs.work.formulas import Declared
from splitopt.profiles.tracing.layers import GraphLayers
from splitopt.profiles.tracing.result import TracedModel, traced
from splitopt.profiles.tracing.running.example import Inputs
from splitopt.profiles.tracing.split import SplitModel, find

METHODS = ("fx", "export")
"""Methods that give a graph, in the order in which they are tried."""
_MOST = 10_000
"""Tensors that may cross a cut: as many as are alive."""
_NONE = "no cut was found"
_TRIED = "(tried: "


def find_layers(
    module: nn.Module, inputs: Inputs, method: str = "auto", verify: bool = True
) -> SplitModel:
    """Split a module at every value of its graph, however many tensors are alive there.

    Raises
    ------
    InputError
        The example does not fit, or no graph can be traced; the message says what to change.
    """
    check_choice("method", method, ("auto", *METHODS))
    said = []
    for name in METHODS if method == "auto" else (method,):
        try:
            found = find(module, inputs, None, name, verify, _MOST, TOGETHER)
        except InputError as error:
            text = str(error)
            if not text.startswith(_NONE):
                raise
            said.append(text.partition(_TRIED)[2].removesuffix(")") or text)
            continue
        fronts = [GraphLayers(found).chain.front(value) for value in found.structure.values]
        found.chain.most = max(len(front.values) for front in fronts if front is not None)
        return found
    raise InputError(
        f"the graph of the model cannot be traced ({'; '.join(said)}); move what decides by the "
        "numbers or the shape of the input to a function that torch.fx.wrap names, or profile the "
        "model as a chain, without boundaries 'graph'"
    )


def traced_graph(
    module: nn.Module,
    inputs: Inputs,
    name: str | None,
    names: Sequence[str] | None,
    method: str,
    verify: bool,
    formulas: Mapping[str, Declared],
) -> TracedModel:
    """Count a module layer by layer and make the profile of its graph; see `trace`.

    Parameters
    ----------
    module, method, verify
        As for `splitopt.profiles.trace`.
    inputs, names
        The example, and the names of the inputs where it had some.
    name
        Of the profile; by default the module's class.
    formulas
        Declared work of operators.
    """
    split = find_layers(module, inputs, method, verify)
    short = name or type(split.module).__name__.lower()
    found = traced(split, inputs, short, True, formulas, names)
    graph = GraphLayers(split).graph(found.counts.gradient_bytes)
    return replace(found, profile=replace(found.profile, graph=graph))


def check_options(**given: Any) -> None:
    """Raise `InputError` for an option of a chain: of a graph every value may be crossed.

    Parameters
    ----------
    **given
        What is no default, by name; None and False were not given.
    """
    for option, value in given.items():
        if value not in (None, False):
            raise InputError.at(
                option, "is for cuts of a chain, and a graph has its own; leave it out"
            )
