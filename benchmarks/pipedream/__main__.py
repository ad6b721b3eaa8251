"""``python -m benchmarks.pipedream``: default plans beside those of PipeDream's optimizer."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pipedream.graphs import operators, texts
from benchmarks.pipedream.reference import least_period, states
from benchmarks.tables import output_folder, printed, write_rows
from splitopt import solve
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.tables import Cuts, tables_from_scenario
from splitopt.profiles.readers.graph_file import arranged, parse_graph, profile_of_graph
from splitopt.profiles.table.provenance import Provenance
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import DEFAULT_BOUNDARIES

RESULTS = Path(__file__).parent / "results"
MACHINES = 4
BANDWIDTHS = (1e6, 12.5e6, 125e6, 1250e6)
"""Of the link between two neighbours, in byte/s."""
COLUMNS = {
    "model": ("model", "{}"),
    "rate": ("MB/s", "{:g}"),
    "states": ("states", "{}"),
    "pipedream_s": ("PipeDream's s", "{:.5f}"),
    "default_s": ("default plan's s", "{:.5f}"),
    "default": ("times PipeDream's", "{:.4f}"),
    "cuts": ("`cuts`", "{:.3f}"),
    "forced": ("`prefixes`, every node", "{:.3f}"),
    "cuts_forced": ("`cuts`, every node", "{:.3f}"),
}
NOTE = (
    f"Seconds from one batch to the next on {MACHINES} equal machines, links in half duplex. "
    "'PipeDream's' is the dynamic program of `reference.py`, over all states of the graph or, "
    "where those are too many, over the prefixes of three orders. The columns on the right are "
    "times PipeDream's with other settings: `pipeline.boundaries: cuts`, and "
    "`use_all_nodes: true`; a dash is a model with fewer layers than machines."
)


def main(arguments: Sequence[str]) -> int:
    """Print every row, and write the table."""
    folder = output_folder(arguments, "benchmarks.pipedream", RESULTS)
    if folder is None:
        return 2
    rows = printed(compare(), COLUMNS)
    worst = max(rows, key=lambda row: row["default"])
    words = f" Largest of {len(rows)} rows: {worst['default']:.4f} times PipeDream's."
    print(words.strip())
    write_rows(folder / "pipedream", rows, COLUMNS, NOTE + words)
    return 0


def compare() -> Iterator[dict[str, Any]]:
    """Yield a row for every model and bandwidth."""
    for model, text in texts().items():
        graph = operators(text)
        listed, complete = states(graph)
        for bandwidth in BANDWIDTHS:
            reference = least_period(graph, listed, bandwidth, MACHINES)
            row: dict[str, Any] = {
                "model": model,
                "rate": bandwidth / 1e6,
                "states": f"all {len(listed):,}" if complete else f"{len(listed):,} of orders",
                "pipedream_s": reference,
                "default_s": period(model, text, bandwidth),
            }
            row["default"] = (row["default_s"] or 0.0) / reference
            for name, boundaries, every in (
                ("cuts", "cuts", False),
                ("forced", "prefixes", True),
                ("cuts_forced", "cuts", True),
            ):
                found = period(model, text, bandwidth, boundaries, use_all_nodes=every)
                row[name] = None if found is None else found / reference
            yield row


def period(
    model: str,
    text: str,
    bandwidth: float,
    boundaries: str = DEFAULT_BOUNDARIES,
    **pipeline: bool,
) -> float | None:
    """Return the least period of a model on the machines, None if it has none."""
    scenario = Scenario.from_si(
        {
            "model": {"profile": "pipedream-vgg16"},
            "devices": [{"name": "owner", "machine": "gpu", "samples": 1, "batch_size": 1}],
            "links": {
                "downlink": {"rate": 1e9},
                "uplink": {"rate": 1e9},
                "nodes": {"model": "uniform", "rate": 8 * bandwidth, "duplex": "half"},
            },
            "nodes": [{"name": "gpu", "count": MACHINES, "machine": "gpu"}],
            "pipeline": pipeline,
        }
    )
    provenance = Provenance(kind="measured", source=f"PipeDream, {model}.graph.txt")
    graph = arranged(parse_graph(text), boundaries, scenario.equal_chain())
    profile = profile_of_graph(graph, 1, model, "gpu", boundaries, provenance)
    tables = tables_from_scenario(scenario, profile, Cuts(0, profile.layer_count))
    result = solve(PipelinePartition(**tables, objective="period"))
    if result.outcome == "infeasible":
        return None
    if result.outcome != "optimal":
        raise RuntimeError(f"{model} at {bandwidth:g} byte/s ended without a proof")
    return result.objective


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
