"""``python -m benchmarks.codecs``: accuracy against the bits of activations and gradients."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown
from splitopt.bench.running.machine import describe_machine
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
SCENARIO = "digits-clusters"
HEAD = [
    "activations",
    "gradients",
    "kB a round",
    "bits a value",
    "s a round",
    "accuracy, %",
    "lowest, %",
    "highest, %",
]
WAYS = (
    ("none", "none"),
    ("fp16", "fp16"),
    ("bf16", "bf16"),
    ("int8", "int8"),
    ("int8:channel", "int8:channel"),
    ("int4", "int4"),
    ("int4:channel", "int4:channel"),
    ("int4:stochastic", "int4:stochastic"),
    ("topk:0.25", "topk:0.25"),
    ("topk:0.1", "topk:0.1"),
    ("topk:0.1:forget", "topk:0.1:forget"),
    ("topk:0.1:feedback", "topk:0.1:feedback"),
    ("none", "topk:0.01"),
    ("none", "topk:0.01:forget"),
    ("int8", "topk:0.1"),
    ("int4", "topk:0.03"),
)
"""Codecs of activations and of gradients."""


def row(plan: Any, up: str, down: str, rounds: int, seeds: Sequence[int]) -> list[str]:
    """Train with a pair of codecs on each seed, and write what was sent and learned."""
    import splitopt
    from splitopt.training.options import Options

    options = Options(learning_rate=0.1, momentum=0.9, codec=up, gradient_codec=down)
    accuracies: list[float] = []
    sent = whole = seconds = 0.0
    for seed in seeds:
        run = splitopt.train(plan, rounds=rounds, options=options, seed=seed, evaluate_every=rounds)
        (tested,) = run.history.evaluated
        accuracies.append(100 * (tested.accuracy or 0.0))
        traffic = run.history.traffic_bytes()
        sent += traffic["smashed"] + traffic["gradient"]
        whole += rounds * _values(run)
        seconds = (run.history.clock_s or 0.0) / rounds
    found = [statistics.median(accuracies), min(accuracies), max(accuracies)]
    kilobytes = sent / (1e3 * rounds * len(seeds))
    cells = [up, down, f"{kilobytes:.1f}", f"{8 * sent / whole:.2f}", f"{seconds:.2f}"]
    return [*cells, *(f"{value:.1f}" for value in found)]


def _values(run: Any) -> int:
    """Count the values that cross the cuts in a round, both ways."""
    import math

    scheme = run.scheme
    return sum(
        2 * math.prod(crossed.shape) * sum(client.batches.sizes(scheme.steps(client)))
        for client in scheme.clients
        for crossed in scheme.about.crossed(client.cuts)
    )


def rows(ways: Sequence[tuple[str, str]], rounds: int, seeds: int) -> Iterator[list[str]]:
    """All pairs of codecs on the plan of the scenario."""
    import splitopt

    plan = splitopt.plan(splitopt.Scenario.load(SCENARIO), solver="similar_compute")
    for up, down in ways:
        yield row(plan, up, down, rounds, range(seeds))


def main(arguments: Sequence[str]) -> int:
    """Train, print every row, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codecs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)
    machine = describe_machine()
    note = (
        f"`{SCENARIO}`, {options.rounds} rounds of CPSL with a learning rate of 0.1 and momentum "
        f"0.9; accuracy is the median of {options.seeds} seeds, bits are those of activations and "
        "gradients together, scales and positions included, seconds those that the plan predicts. "
        f"{machine['processor']}, one thread, PyTorch {torch.__version__} "
        "(`python -m benchmarks.codecs`):"
    )
    found = []
    for line in rows(WAYS, options.rounds, options.seeds):
        found.append(line)
        print("  ".join(line), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomic(options.output / "accuracy.md", markdown([HEAD, *found], note))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
