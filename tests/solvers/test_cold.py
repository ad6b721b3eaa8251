"""Time limits on a cold cache: what compiles does so before the clock starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import json, sys
import numpy as np
from splitopt import solve
from splitopt.bench.instances.benchmark import Recipe, find_benchmark
from numba.core import event

name, solver, family, size, limit = json.loads(sys.argv[1])
late = []
class Late(event.Listener):
    def on_start(self, event):
        late.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

import splitopt.driver as driver
Search = driver.Search
def search(*args):
    event.register("numba:compile", Late())
    return Search(*args)
driver.Search = search
problem = find_benchmark(name).draw(Recipe(family, size, 0))
result = solve(problem, solver, time_limit_s=limit)
print(json.dumps([result.outcome, result.times.total_s, late]))
"""
PIPELINE = {"layers": 100, "nodes": 8}
GRAPH = {"nodes": 60, "accelerators": 6}
UNCERTAIN = {"devices": 6, "cuts": 3, "samples": 4}
CASES = [
    ("pipeline_partition", "subset_dp", "unrelated", PIPELINE),
    ("pipeline_partition", "subset_dp", "links_pairwise", PIPELINE),
    ("pipeline_partition", "subset_dp", "links_nic", PIPELINE),
    ("pipeline_partition", "order_search", "links_serial", PIPELINE),
    ("cluster_and_spectrum", "set_partition", "uneven", {"devices": 12}),
    ("cluster_and_spectrum", "set_partition", "cells", {"devices": 45}),
    ("cluster_and_spectrum", "set_partition", "fleets", {"devices": 2_000}),
    ("cluster_and_spectrum", "anneal", "uneven", {"devices": 12}),
    ("cluster_and_spectrum", "gibbs", "uneven", {"devices": 12}),
    ("cut_and_clusters", "set_partition", "unstructured", {"devices": 12, "own": 0}),
    ("cut_and_clusters", "set_partition", "unstructured", {"devices": 12, "own": 1}),
    ("cut_under_uncertainty", "enumerate", "drawn", UNCERTAIN),
    ("cut_under_uncertainty", "saa", "drawn", UNCERTAIN),
    ("cut_under_uncertainty", "highs", "drawn", UNCERTAIN),
    ("graph_partition", "ideals", "towers", GRAPH),
    ("graph_partition", "chains", "memory", GRAPH),
    ("replicated_pipeline", "counts_dp", "memory", {"layers": 60, "devices": 9}),
    ("replicated_pipeline", "alike_devices", "alike", {"layers": 60, "devices": 9}),
    ("cut_and_resources", "dp_mora", "uniform", {"devices": 8, "layers": 10}),
    ("cut_and_resources", "exact", "uniform", {"devices": 300_000, "layers": 10}),
    ("cut_and_resources", "exact", "partitions", {"devices": 20}),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case[:3]))
def test_nothing_compiles_while_the_clock_runs(case, tmp_path):
    """A process of its own with an empty cache: the limit holds, and no loop compiles late."""
    limit_s = 10.0
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([*case, limit_s])],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    outcome, total_s, late = json.loads(done.stdout)
    assert outcome in ("optimal", "feasible")
    assert total_s <= 1.2 * limit_s
    assert late == []
