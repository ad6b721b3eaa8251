"""Which schemes can train a plan that was made for one of them. Free of PyTorch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

WHOLE = ("centralized", "federated")
"""Schemes that cut nothing; they can train any plan's model and clients, to compare with."""
SHARED_SERVER = ("vanilla", "splitfed_v2")
"""Schemes with one server part and one cut that all clients share."""
THREE_PARTS = ("u_shaped", "split_nn")
"""Schemes of owners with the first and the last part of a pipeline, and one node between them."""
GRAPH = "graph"
"""The scheme of the parts of a graph, which no other scheme cuts."""
REPLICAS = "replicas"
"""The scheme of stages with several machines each, which share the micro-batches of a step."""
HOSTED = {
    GRAPH: "is a plan of graph_partition, whose machines exchange tensors through the memory of "
    "one host and are no parties of their own; 'splitopt train' trains it in one process, and "
    "'splitopt export --to torch' writes its parts",
    REPLICAS: "is a plan of replicated_pipeline, whose machines share the micro-batches of one "
    "host and are no parties of their own; 'splitopt train' trains it in one process, and "
    "'splitopt export --to torch' writes its stages",
}
"""Schemes of machines in one process, with one client, a host that has all data -> why they are no
parties of a protocol, and what to do instead."""

Takes = Literal["planned", "shared", "ends", "nothing"]
"""Which cuts a scheme takes of a plan: those of every client, one that all share, the first and the
last one, or none."""
Cuts = Collection[tuple[str, ...]]
"""The cuts of the clients of a plan, each once."""


def schemes_of(planned: str, cuts: Cuts, both_ends: bool) -> tuple[str, ...]:
    """Return the schemes that can train a plan of a scheme: its own first."""
    if planned in HOSTED:  # one client, whose rounds are steps: federated would be centralized
        return (planned, "centralized")
    found = [planned]
    if both_ends:
        found += ("multihop", *THREE_PARTS)
    else:
        found.append("splitfed_v1")
        if len(cuts) == 1 and len(next(iter(cuts))) == 1:
            found += SHARED_SERVER
    return tuple(dict.fromkeys([*found, *WHOLE]))


def misfit(planned: str, cuts: Cuts, takes: Takes) -> str | None:
    """Return what a scheme of somebody else's needs and a plan does not have, None if nothing."""
    if planned == GRAPH and takes != "nothing":
        return "a chain of layers with cuts, and the parts of this plan are those of a graph"
    if planned == REPLICAS and takes != "nothing":
        return "devices with data of their own, and the stages of this plan share one step"
    if takes == "shared" and (len(cuts) != 1 or len(next(iter(cuts))) != 1):
        return "one cut that all clients share"
    if takes == "ends" and min(map(len, cuts)) < 2:
        return "a first and a last cut of every client"
    return None
