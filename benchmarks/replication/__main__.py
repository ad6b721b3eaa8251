"""``python -m benchmarks.replication``: replicated stages beside PipeDream's optimizer."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pipedream.graphs import texts
from benchmarks.replication.reference import pipedream_plan
from benchmarks.tables import output_folder, printed, write_rows
from splitopt import ReplicatedPipeline, solve
from splitopt.profiles.readers.graph_file import parse_graph, profile_of_graph
from splitopt.profiles.table.provenance import Provenance

RESULTS = Path(__file__).parent / "results"
MACHINES = (4, 16)
BANDWIDTHS = (125e6, 1250e6)
"""Of a machine's interface, in byte/s."""
SLOWER = 2.0
"""How many times as long the slower half of a mixed fleet takes."""
COLUMNS = {
    "model": ("model", "{}"),
    "layers": ("layers", "{:,}"),
    "machines": ("machines", "{}"),
    "rate": ("MB/s", "{:g}"),
    "stages": ("PipeDream's stages", "{}"),
    "pipedream_s": ("its s", "{:.5f}"),
    "same": ("`counts_dp`, same terms", "{:.4f}"),
    "sent": ("PipeDream's plan with transfers", "{:.3f}"),
    "mixed": ("as if alike, mixed fleet", "{:.3f}"),
    "took_s": ("`counts_dp`, mixed, s", "{:.3f}"),
}
NOTE = (
    "Seconds of a batch in a full pipeline; layers are the operators in the order of the file, and "
    "interfaces send and receive in turn. 'PipeDream's' is the dynamic program of `reference.py` "
    "with its replicas per stage, whose default terms count no transfers between stages. Columns "
    "that follow are ratios: `counts_dp` on the same terms over PipeDream's value; the plan of "
    "PipeDream's program with transfers, which takes them to run beside computing, over the "
    "optimum, where both add them to it; and, where half of the machines take twice as long, a "
    "plan as if all were alike (`alike_devices`) over the optimum."
)


def main(arguments: Sequence[str]) -> int:
    """Print every row, and write the table."""
    folder = output_folder(arguments, "benchmarks.replication", RESULTS)
    if folder is None:
        return 2
    rows = printed(compare(), COLUMNS)
    words = (
        f" {len(rows)} rows: on the same terms from {min(row['same'] for row in rows):.4f} to "
        f"{max(row['same'] for row in rows):.4f} of PipeDream's value; with transfers its plans "
        f"take up to {max(row['sent'] for row in rows):.2f} times the best, and plans as if alike "
        f"up to {max(row['mixed'] for row in rows):.2f} times."
    )
    print(words.strip())
    write_rows(folder / "replication", rows, COLUMNS, NOTE + words)
    return 0


def compare() -> Iterator[dict[str, Any]]:
    """Yield a row for every model, number of machines and bandwidth."""
    for model, text in texts().items():
        for machines in MACHINES:
            for bandwidth in BANDWIDTHS:
                yield compared(model, text, machines, bandwidth)


def compared(model: str, text: str, machines: int, bandwidth: float) -> dict[str, Any]:
    """Return one row; a model by the text of its graph."""
    sent = pipeline(model, text, machines, bandwidth)
    free = replace(sent, cut_up_bytes=None, cut_down_bytes=None)
    seconds = (sent.forward_s + sent.backward_s)[0]
    value, _, replicas = pipedream_plan(seconds, sent.weight_bytes, bandwidth, machines)
    _, cuts, counts = pipedream_plan(
        seconds, sent.weight_bytes, bandwidth, machines, sent.cut_up_bytes
    )
    mixed = in_halves(sent)
    begin = time.perf_counter()
    best = _least(mixed)
    took = time.perf_counter() - begin
    own = sent.complete(cuts, [[count] for count in counts])
    return {
        "model": model,
        "layers": sent.layers,
        "machines": machines,
        "rate": bandwidth / 1e6,
        "stages": "-".join(map(str, replicas)),
        "pipedream_s": value,
        "same": _least(free) / value,
        "sent": sent.evaluate(own) / _least(sent),
        "mixed": solve(mixed, "alike_devices").objective / best,
        "took_s": took,
    }


def pipeline(model: str, text: str, machines: int, bandwidth: float) -> ReplicatedPipeline:
    """Build the problem of a profiled model on alike machines without a limit of memory."""
    provenance = Provenance(kind="measured", source=f"PipeDream, {model}.graph.txt")
    profile = profile_of_graph(parse_graph(text), 1, model, "gpu", "prefixes", provenance)
    return ReplicatedPipeline.from_profile(
        profile,
        {"gpu": machines},
        batch_size=1,
        micro_batches=1,
        schedule="pipedream",
        bandwidth_bytes_per_s=[bandwidth],
        duplex="half",
    )


def in_halves(problem: ReplicatedPipeline) -> ReplicatedPipeline:
    """Return the problem where half of the machines take `SLOWER` times as long."""
    scale, rates = np.array([[1.0], [SLOWER]]), problem.bandwidth_bytes_per_s
    count = problem.device_count
    return replace(
        problem,
        forward_s=scale * problem.forward_s,
        backward_s=scale * problem.backward_s,
        devices=np.array([count - count // 2, count // 2]),
        bandwidth_bytes_per_s=None if rates is None else np.repeat(rates, 2),
        reserve_bytes=None,
    )


def _least(problem: ReplicatedPipeline) -> float:
    """Return the proved optimum."""
    result = solve(problem, "counts_dp")
    if result.outcome != "optimal":
        raise RuntimeError(f"a pipeline of {problem.layers} layers ended without a proof")
    return result.objective


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
