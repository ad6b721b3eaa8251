"""Default plans beside PipeDream's optimizer: the reference itself, and the committed table."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def part(monkeypatch):
    """Return a function that imports a module of the benchmark."""
    monkeypatch.syspath_prepend(str(ROOT))

    def load(name):
        import importlib

        return importlib.import_module(f"benchmarks.pipedream.{name}")

    return load


def test_the_reference_by_brute_force(part):
    """Five operators in a diamond with a tail: every chain of states, one by one."""
    graphs, reference = part("graphs"), part("reference")
    seconds, sizes = (1.0, 3.0, 2.0, 2.0, 1.0), (4.0, 1.0, 6.0, 2.0, 0.0)
    graph = graphs.Operators(
        seconds, sizes, (0, 0b1, 0b1, 0b110, 0b1000), (0b110, 0b1000, 0b1000, 0b10000, 0)
    )
    listed, complete = reference.states(graph)
    assert complete
    assert len(listed) == 7  # {}, a, ab, ac, abc, abcd, abcde
    for bandwidth in (0.5, 2.0, 100.0):
        best = sum(seconds)
        for count in (1, 2):
            for inner in itertools.combinations(listed[1:-1], count):
                ends = (0, *inner, 0b11111)
                if any(a & ~b for a, b in itertools.pairwise(ends)):
                    continue
                stages = [
                    sum(s for n, s in enumerate(seconds) if (b & ~a) >> n & 1)
                    for a, b in itertools.pairwise(ends)
                ]
                sends = [
                    2
                    / bandwidth
                    * sum(
                        size
                        for n, size in enumerate(sizes)
                        if state >> n & 1 and graph.after[n] & ~state
                    )
                    for state in inner
                ]
                best = min(best, max(stages + sends))
        assert reference.least_period(graph, listed, bandwidth, 3) == pytest.approx(best)


def test_no_default_is_worse_than_pipedream(part):
    """All 56 committed rows within 1.01, and two of them made anew."""
    main, graphs, reference = part("__main__"), part("graphs"), part("reference")
    with (main.RESULTS / "pipedream.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 14 * 4
    assert max(float(row["default"]) for row in rows) <= 1.01
    texts = graphs.texts()
    assert {row["model"] for row in rows} == texts.keys()
    for model, rate in (("resnet50", 1250.0), ("gnmt", 1250.0), ("resnet50", 12.5)):
        (row,) = [r for r in rows if r["model"] == model and float(r["rate"]) == rate]
        found = main.period(model, texts[model], 1e6 * rate)
        assert found == pytest.approx(float(row["default_s"]), rel=1e-9)
        graph = graphs.operators(texts[model])
        least = reference.least_period(graph, reference.states(graph)[0], 1e6 * rate, 4)
        assert least == pytest.approx(float(row["pipedream_s"]), rel=1e-9)
