"""Small random graphs: ties, orphans, circles of classes, tight memory, CPUs or none."""

from __future__ import annotations

import numpy as np

from splitopt import GraphPartition


def drawn(seed: int, most: int = 7) -> GraphPartition:
    """Draw a graph of a few layers, every option in some of them."""
    rng = np.random.default_rng(seed)
    layers = int(rng.integers(1, most + 1))
    whole = rng.random() < 0.5
    times = (lambda n: rng.integers(0, 5, n) * 1.0) if whole else (lambda n: rng.uniform(0, 5, n))
    dense = rng.uniform(0.15, 0.7)
    edges = [(a, b) for a in range(layers) for b in range(a + 1, layers) if rng.random() < dense]
    nodes, backward, colours = layers, [False] * layers, list(range(layers))
    if rng.random() < 0.4:  # nodes that stay together, on circles at times
        colours = [int(c) for c in rng.integers(-1, layers, layers)]
    if rng.random() < 0.5:
        edges, nodes, backward, colours = _with_backward(rng, layers, edges, colours)
    cpus = int(rng.integers(0, 3)) if rng.random() < 0.7 else 0
    work = times(nodes) * (rng.random(nodes) < 0.8)
    memory = times(nodes) if rng.random() < 0.6 else None
    accelerators = int(rng.integers(1, 4))
    room = None
    if memory is not None:
        room = float(memory.sum()) * rng.uniform(0.2, 1.1) + 0.1
    only = rng.random(nodes) < 0.1 if cpus and rng.random() < 0.3 else None
    return GraphPartition(
        accelerator_s=work,
        output_s=times(nodes) * rng.choice([0.0, 0.1, 0.5, 1.0]),
        edges=edges,
        accelerators=accelerators,
        cpus=cpus,
        cpu_s=times(nodes) * rng.choice([0.0, 1.0, 2.0, 5.0]),
        memory_bytes=memory,
        accelerator_memory_bytes=room,
        backward=backward,
        colour_classes=colours,
        cpu_only=only,
    )


def _with_backward(rng, layers, edges, colours):
    """Add a backward node to most layers, mirrored edges, and orphans with a class of their own."""
    nodes, mate = layers, {}
    colours = [c if c >= 0 else 100 + v for v, c in enumerate(colours)]
    for v in rng.permutation(layers)[: int(rng.integers(1, layers + 1))].tolist():
        mate[v] = nodes
        nodes += 1
        orphan = rng.random() < 0.25
        colours.append(-1 if orphan else colours[v])
    own = list(edges)
    for a, b in edges:
        if a in mate and b in mate:
            own.append((mate[b], mate[a]))
        if b in mate and rng.random() < 0.3:
            own.append((a, mate[b]))
    return own, nodes, [False] * layers + [True] * (nodes - layers), colours
