"""The arguments of `GraphPartition` from a scenario with accelerators and the graph of its model.

Data goes through the host's memory. Forward, an accelerator writes the output of a layer there once
if anybody elsewhere needs it, and every other one that needs it reads it once. Backward it is the
same turned round: each of them writes its gradient once, the host adds them up, and the accelerator
of the layer reads the sum once. So one layer with both passes has one output that costs the bytes
of both ways, and the load of Tarnawski et al. 2020 holds for training without nodes of its own for
the backward pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.graph_pipeline import enough_in_flight
from splitopt.latency.layer_seconds import LayerSeconds, layer_seconds
from splitopt.problems.base import FloatArray
from splitopt.profiles import ModelProfile, layer_memory_bytes
from splitopt.profiles.table.layer_graph import LayerGraph
from splitopt.scenario import Scenario
from splitopt.scenario.accelerators import Accelerators

BITS = 8.0


class Passes(NamedTuple):
    """Shape (V,) each, per micro-batch: seconds of work, and bytes of outputs, of both passes."""

    forward_s: FloatArray
    backward_s: FloatArray
    cpu_forward_s: FloatArray
    cpu_backward_s: FloatArray
    output_bytes: FloatArray
    gradient_bytes: FloatArray


def tables_from_scenario(scenario: Scenario, profile: ModelProfile) -> dict[str, Any]:
    """Return the arguments of `GraphPartition`.

    Raises
    ------
    InputError
        The scenario has no accelerators, the profile no graph, a machine has layers that were not
        measured, or memory is limited and the profile does not say what its layers hold.
    """
    section, graph = accelerators_of(scenario), graph_of(profile)
    found = passes(scenario, profile)
    crossing = found.output_bytes + found.gradient_bytes
    tables: dict[str, Any] = {
        "accelerator_s": found.forward_s + found.backward_s,
        "output_s": BITS * crossing / section.rate,
        "edges": graph.edges,
        "accelerators": section.count,
        "colour_classes": graph.colour_classes(),
        "micro_batches": section.micro_batches,
    }
    if section.cpu is not None:
        tables |= {
            "cpus": section.cpu.count,
            "cpu_s": found.cpu_forward_s + found.cpu_backward_s,
        }
    if section.memory is not None:
        tables |= {
            "memory_bytes": memory_bytes(section, profile),
            "accelerator_memory_bytes": section.memory,
        }
    return tables


def check_in_flight(scenario: Scenario) -> None:
    """Reject a round where too few micro-batches may be in flight for the period to be sure."""
    section = accelerators_of(scenario)
    machines = section.count + (0 if section.cpu is None else section.cpu.count)
    needed = enough_in_flight(machines, section.micro_batches)
    if section.most_in_flight < needed:
        raise InputError.at(
            "accelerators.in_flight",
            f"is {section.in_flight}, and how long a round takes at most is known with {needed} "
            f"for {machines} machines; leave it out, raise it, or take the objective 'load'",
        )


def passes(scenario: Scenario, profile: ModelProfile) -> Passes:
    """Return the work and the bytes of every layer for a micro-batch, pass by pass."""
    section, graph = accelerators_of(scenario), graph_of(profile)
    batch = section.batch_size
    own = layer_seconds(profile, section.speed, section.slowdown or 1.0)
    zeros = np.zeros(len(graph))
    cpu = LayerSeconds(zeros, zeros)
    if section.cpu is not None:
        cpu = layer_seconds(profile, section.cpu.speed, section.cpu.slowdown or 1.0)
    return Passes(
        batch * own.forward,
        batch * own.backward,
        batch * cpu.forward,
        batch * cpu.backward,
        batch * graph.output_bytes,
        batch * graph.gradient_bytes,
    )


def memory_bytes(section: Accelerators, profile: ModelProfile) -> FloatArray:
    """Shape (V,): bytes of each layer on an accelerator, with the micro-batches in flight."""
    return layer_memory_bytes(profile, section.most_in_flight * section.batch_size, section.held)


def accelerators_of(scenario: Scenario) -> Accelerators:
    """Return the section, or raise `InputError` where there is none."""
    if scenario.accelerators is None:
        raise InputError.at(
            "accelerators", "there are none, and this problem asks which of them runs what"
        )
    return scenario.accelerators


def graph_of(profile: ModelProfile) -> LayerGraph:
    """Return the graph of a profile, or raise `InputError` where its layers are a chain."""
    if profile.graph is None:
        raise InputError.at(
            "model",
            f"the profile {profile.name!r} is a chain of layers and no graph; trace its model with "
            "'splitopt profile MODEL --boundaries graph', or take a graph of PipeDream such as "
            "pipedream-inception_v3",
        )
    return profile.graph
