"""The parts of a scenario with a pipeline: compute nodes, the links between them, the cuts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from splitopt import units
from splitopt.documents.checks import is_number, is_whole
from splitopt.errors import InputError, shown
from splitopt.scenario.machine import Count, Machine, Part
from splitopt.scenario.quantity import NUMBER, Delay, Factor, Rate, Truth

LinkModel: TypeAlias = Literal["none", "uniform", "pairwise", "nic", "serial"]
Price = Annotated[float, Field(ge=0, le=1e12), NUMBER]

AUTO = "auto"
"""A cut that the plan chooses."""

CHAIN_BOUNDARIES = ("cuts", "prefixes")
"""Where a pipeline may cut a model that was measured as a graph; see `Pipeline`."""
DEFAULT_BOUNDARIES = "prefixes"
"""Where a model that was measured as a graph can be cut, if there are nodes to host it."""


class Node(Machine):
    """A compute node, or a group of ``count`` alike ones that are named NAME-1 to NAME-count.

    ``slowdown`` multiplies the seconds of a measured machine or of a machine model: 2 is a node
    that takes twice as long. ``price_per_hour`` is in any currency. ``rate`` is that of the node's
    own interface, for the link models ``nic`` and ``serial``.
    """

    count: Count = 1
    slowdown: Factor | None = None
    price_per_hour: Price | None = None
    rate: Rate | None = None

    @model_validator(mode="after")
    def _slowdown_is_of_a_machine(self) -> Self:
        if self.slowdown is not None and self.compute is not None:
            raise InputError(
                "'slowdown' is for a measured machine; state a lower 'compute' instead"
            )
        return self

    def names(self) -> list[str]:
        """Name of every single node of the group."""
        return expanded_names(self.name, self.count)


class NodeLinks(Part):
    """How compute nodes reach each other; a bare rate stands for ``uniform``.

    ``none``: transfers cost nothing. ``uniform``: a link of ``rate`` between any two neighbours.
    ``pairwise``: ``rates``, a matrix over the entries of `nodes`: row sends to column, null is no
    link, the diagonal is for nodes of the same group. ``nic``: one interface per node, which both
    neighbours share; ``serial``: as nic, and a node cannot compute while it sends or receives; for
    both, ``rate`` holds for the nodes that state none. ``latency`` delays every message.
    """

    model: LinkModel
    rate: Rate | None = None
    rates: tuple[tuple[Rate | None, ...], ...] | None = None
    latency: Delay | None = None
    duplex: Literal["full", "half"] = "full"

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, value: Any) -> Any:
        if is_number(value):
            units.parse(value, "rate")  # says which unit is missing
        return {"model": "uniform", "rate": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_its_model(self) -> Self:
        if self.model == "none" and (self.rate or self.rates or self.latency):
            raise InputError(
                "the model 'none' has no rate and no latency; drop them or name a model"
            )
        if (self.rates is not None) != (self.model == "pairwise"):
            raise InputError(
                f"the model is {self.model!r}, but 'rates' is "
                f"{'missing' if self.rates is None else 'given'}; it belongs to 'pairwise' alone"
            )
        if self.model == "pairwise" and self.rate is not None:
            raise InputError("'rate' and 'rates' are both given; keep one")
        if self.model == "uniform" and self.rate is None:
            raise InputError("the model 'uniform' needs a 'rate'")
        return self

    def check(self, nodes: Sequence[Node]) -> None:
        """Check what depends on the nodes: the size of the matrix, rates that must be there."""
        if self.rates is not None and {len(nodes)} != {len(self.rates), *map(len, self.rates)}:
            raise InputError.at(
                "links.nodes.rates",
                f"must have a row and a column for each of the {len(nodes)} entries of nodes",
            )
        if self.model in ("nic", "serial") and self.rate is None:
            for index, node in enumerate(nodes):
                if node.rate is None:
                    raise InputError.at(
                        f"nodes[{index}] ({node.name})",
                        "has no 'rate' for its interface; give it here or in links.nodes",
                    )


def mean_bytes_per_s(links: NodeLinks | None, nodes: Sequence[Node]) -> float:
    """Return what crosses a link between nodes forward, per second that it takes both ways.

    With rates that differ it is their mean; infinite where transfers cost nothing.
    """
    if links is None or links.model == "none":
        return math.inf
    if links.rates is not None:
        rates = [rate for row in links.rates for rate in row if rate]
    else:
        rates = [rate for node in nodes for rate in node.count * [node.rate or links.rate] if rate]
    mean = sum(rates) / len(rates) / 8 if rates else math.inf
    return mean / 2 if links.duplex == "half" else mean


def _read_cut(value: Any) -> Any:
    """Read a whole number from 1, the name of a layer, or ``auto``."""
    if not is_whole(value, 1) and not (isinstance(value, str) and value.strip()):
        raise InputError(
            f"is {shown(value)}; give the number of layers before it, the name of the last of "
            "them, or 'auto'"
        )
    return value


Cut = Annotated[
    Annotated[int, Field(ge=1, le=10**9)] | Annotated[str, Field(min_length=1)],
    BeforeValidator(_read_cut),
]


class Pipeline(Part):
    """What the nodes host, and how.

    The owners keep the layers up to ``first_cut`` and those behind ``last_cut``, each a number of
    layers from the input or the name of the layer before the cut; ``auto`` leaves the choice to the
    plan. ``order``: nodes in any order along the chain, or as they are listed. ``use_all_nodes``:
    whether every node must host a layer. ``boundaries``, for a model that was measured as a graph:
    behind which operators it can be cut, ``prefixes`` (all of them, the default) or ``cuts`` (where
    one tensor crosses). ``memory``: what counts as the memory of a layer, see the page on profiles.
    """

    first_cut: Cut = AUTO
    last_cut: Cut = AUTO
    order: Literal["free", "given"] = "free"
    use_all_nodes: Truth = False
    boundaries: Literal["cuts", "prefixes"] | None = None
    memory: Literal["outputs", "saved", "gradients", "momentum", "adam"] = "momentum"


def expanded_names(name: str, count: int) -> list[str]:
    """Name the single members of a group: NAME alone, or NAME-1 to NAME-count."""
    return [name] if count == 1 else [f"{name}-{index + 1}" for index in range(count)]
