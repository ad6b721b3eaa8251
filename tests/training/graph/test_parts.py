"""The parts of a graph against the whole model, with the bytes between them counted by hooks."""

from __future__ import annotations

import copy
import itertools
import random

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from splitopt import GraphPartition
from splitopt.problems.graph_partition import GraphPartitionDecision
from splitopt.profiles import trace
from splitopt.profiles.tracing.layers import GraphLayers
from splitopt.training.graph.pipeline import GraphPipeline
from tests.branching import CASES, made

pytestmark = pytest.mark.train


def decisions(graph, machines, count, seed):
    """Draw placements of layers in which data flow one way, most of them of several machines."""
    ones = [1.0] * len(graph)
    problem = GraphPartition(
        ones, ones, graph.edges, machines, colour_classes=graph.colour_classes()
    )
    drawn, found = random.Random(seed), []
    while len(found) < count:
        # Levels with a little noise give placements that are no prefixes and often flow one way.
        device = [
            min(machines - 1, int(drawn.random() * machines * (v + 3) / len(graph)))
            for v in range(len(graph))
        ]
        for group in graph.together:
            for layer in group:
                device[layer] = device[group[0]]
        if not problem.violations(GraphPartitionDecision(device)):
            found.append(device)
    return found


def hooked(pipeline, inputs_of_model):
    """Count what parts take and give, with hooks on their modules: machine -> [sent, received]."""
    counted = {machine: [0, 0] for machine in pipeline.pieces}

    def size(tensor):
        return tensor.numel() * tensor.element_size()

    for machine, piece in pipeline.pieces.items():

        def count(module, given, returned, machine=machine, piece=piece):
            arrived = given[len(piece.inputs) :]
            left = returned[:-1] if piece.returns else returned
            counted[machine][1] += sum(map(size, arrived))
            counted[machine][0] += sum(map(size, left))
            for tensors, way in ((arrived, 0), (left, 1)):
                for tensor in tensors:
                    if tensor.requires_grad:
                        tensor.register_hook(
                            lambda gradient, way=way: counted[machine].__setitem__(
                                way, counted[machine][way] + size(gradient)
                            )
                        )

        piece.module.register_forward_hook(count)
    assert inputs_of_model >= 1
    return counted


def passes(run, module):
    """Return what a model gives and the gradients of its parameters."""
    for parameter in module.parameters():
        parameter.grad = None
    return run(), [None if p.grad is None else p.grad.clone() for p in module.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_any_placement_computes_what_the_whole_does(name):
    """Outputs bit for bit, gradients but for the order of sums, buffers, and bytes by hooks."""
    module, draw = made(name)
    layers = GraphLayers(trace(module, draw(2), boundaries="graph").split)
    graph = trace(module, draw(2), boundaries="graph").profile.graph
    batch = draw(4)
    inputs = batch if isinstance(batch, tuple) else (batch,)
    direction = torch.randn_like(module(*inputs))
    start = copy.deepcopy(module.state_dict())

    def whole():
        module.train()
        result = module(*inputs)
        result.backward(direction)
        return result.detach()

    expected, gradients = passes(whole, module)
    after = copy.deepcopy(module.state_dict())
    machines_used = set()
    for device in decisions(graph, 3, 12, seed=len(graph)):
        module.load_state_dict(start)
        pipeline = GraphPipeline.of(layers, device)
        machines_used.add(len(pipeline.pieces))
        counted = hooked(pipeline, len(inputs))
        found, own = passes(
            lambda p=pipeline: p.train(inputs, lambda result: (result, direction)), module
        )
        assert torch.equal(found, expected)
        for one, two in zip(own, gradients, strict=True):
            assert torch.allclose(one, two, rtol=1e-10, atol=1e-12)
        for key, value in module.state_dict().items():
            assert torch.equal(value, after[key])
        for machine, traffic in pipeline.traffic.items():
            assert [traffic.sent_bytes, traffic.received_bytes] == counted[machine]
        problem = GraphPartition(
            [0.0] * len(graph),
            4 * (graph.output_bytes + graph.gradient_bytes),
            graph.edges,
            3,
            colour_classes=graph.colour_classes(),
        )
        loads = problem.loads(GraphPartitionDecision(device))
        for machine, (sent, received) in counted.items():
            assert loads[machine] == sent + received
    assert machines_used >= {2, 3}


def test_gradients_of_two_takers_are_the_same_bit_for_bit():
    """A sum of two does not depend on its order: a U-Net split between its levels."""
    module, draw = made("unet")
    traced = trace(module, draw(2), boundaries="graph")
    names, x = traced.profile.layers, draw(3)
    device = [0 if names.index(n) < names.index("max_pool2d") else 1 for n in names]
    pipeline = GraphPipeline.of(GraphLayers(traced.split), device)
    direction = torch.randn_like(module.train()(x))
    start = copy.deepcopy(module.state_dict())
    _, own = passes(lambda: pipeline.train((x,), lambda r: (r, direction)), module)
    module.load_state_dict(start)
    _, whole = passes(lambda: module(x).backward(direction), module)
    assert all(torch.equal(a, b) for a, b in itertools.zip_longest(own, whole))


@pytest.mark.slow
def test_the_layers_of_a_traced_graph():
    """Edges of a U-Net, the inputs of towers, and layers that one machine must have."""
    module, draw = made("unet")
    profile = trace(module, draw(2), boundaries="graph").profile
    names = list(profile.layers)
    edges = {(names[a], names[b]) for a, b in profile.graph.edges}
    assert {("relu", "max_pool2d"), ("relu", "cat"), ("interpolate", "cat")} <= edges
    assert ("down", "cat") not in edges
    assert [[names[v] for v in group] for group in profile.graph.together] == [["deep", "relu_"]]
    sizes = dict(zip(names, profile.graph.output_bytes, strict=True))
    assert sizes["relu"] == 8 * 4 * 8 * 8
    assert sizes["up"] == 0
    shared, draw = made("shared")
    profile = trace(shared, draw(2), boundaries="graph").profile
    tied = [profile.layers[v] for group in profile.graph.together for v in group]
    assert "again" in tied
    assert "linear" in tied
    towers, draw = made("towers")
    graph = trace(towers, draw(2), boundaries="graph").profile.graph
    assert np_sources(graph) == 2


def np_sources(graph):
    """Count the layers that no other feeds."""
    return len(set(range(len(graph))) - set(graph.edges[:, 1].tolist()))
