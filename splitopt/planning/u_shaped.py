"""Plans of a U shape for a server with devices: the server is the one node of a pipeline.

In U-shaped split learning (Vepakomma et al. 2018, section 2, without sharing labels) a device holds
the first and the last part of the model and its labels, and the server what lies between. That is
MP-SL's pipeline (Tirana et al. 2024) of a single node, so that it is planned, simulated, trained
and run over connections as one.
"""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.problems.cut_and_resources.choice_tables import has_choices
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import Node, Pipeline
from splitopt.scenario.parts import Link, Server

SCHEME = "u_shaped"
_WITHOUT = ("clusters", "spectrum", "distributions", "generators", "robust", "time_to_accuracy")
_OF_NODE = ("name", "compute", "machine", "machine_model", "memory", "price_per_hour")


def server_as_node(scenario: Scenario) -> tuple[Scenario, str]:
    """Return a scenario whose server is the one compute node, and a note that says so.

    Both cuts are left to the plan.

    Raises
    ------
    InputError
        There is no single server, or the scenario is about what no pipeline has.
    """
    if scenario.nodes:
        raise InputError.at(
            "scheme",
            f"is {SCHEME!r}, which makes the one server a node between both ends of the model, and "
            "this scenario has nodes of its own; leave the scheme out",
        )
    if len(scenario.servers) != 1:
        names = ", ".join(server.name for server in scenario.servers)
        raise InputError.at(
            "scheme",
            f"is {SCHEME!r}, which needs one server, and there are {len(scenario.servers)} "
            f"({names}); keep one of them",
        )
    for name in _WITHOUT:
        if getattr(scenario, name) is not None:
            raise InputError.at(
                "scheme", f"is {SCHEME!r}, whose plans know no {name!r}; drop one of both"
            )
    if has_choices(scenario):
        raise InputError.at(
            "scheme",
            f"is {SCHEME!r}, whose devices choose a first and a last cut together and nothing "
            "else; drop devices[].servers, devices[].frequency, servers[].seats, precision and "
            "energy",
        )
    server = scenario.servers[0]
    found = scenario._with(
        servers=(),
        nodes=(_node(server),),
        links=scenario.links._with(**_links(scenario, server)),
        pipeline=Pipeline(use_all_nodes=True),
        guesses=tuple(map(_of_nodes, scenario.guesses)),
    )
    note = (
        f"U-shaped: devices keep labels, the first and the last layers, and {server.name} has "
        "those between as the one node of a pipeline, which serves a batch at a time"
    )
    return found, note


def _of_nodes(path: str) -> str:
    """Return the path of a field of the server where it stands at the node."""
    kind, dot, rest = path.partition(".")
    return f"nodes{dot}{rest}" if kind == "servers" else path


def _node(server: Server) -> Node:
    """Return a server as a node."""
    stated = {name: getattr(server, name) for name in _OF_NODE}
    return Node(**{name: value for name, value in stated.items() if value is not None})


def _links(scenario: Scenario, server: Server) -> dict[str, Link]:
    """Return what the server says of its links, over what holds for all."""
    if server.links is None:
        return {}
    own = {"downlink": server.links.downlink, "uplink": server.links.uplink}
    return {
        name: link.over(getattr(scenario.links, name))
        for name, link in own.items()
        if link is not None
    }
