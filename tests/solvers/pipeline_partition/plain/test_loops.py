"""The compiled loops against the same loops run by Python, and against the definitions."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.solvers.pipeline_partition.plain import reach as reach_module
from splitopt.solvers.pipeline_partition.plain.layout import Layout
from splitopt.solvers.pipeline_partition.plain.loops import SMALL, compiled, loops_for, plain
from splitopt.solvers.pipeline_partition.plain.reach import Reach
from splitopt.solvers.pipeline_partition.plain.scaled import NO_CAP, Scaled


def draw_sums(seed, kinds=3, layers=7):
    rng = np.random.default_rng(seed)
    sums = np.cumsum(rng.integers(0, 9, (2, kinds, layers + 1)), axis=2)
    total, other = sums - sums[:, :, :1]
    limit = np.minimum(np.arange(layers + 1) + rng.integers(2, 6, (kinds, 1)), layers)
    return total, other, limit.astype(np.int32), int(rng.integers(0, 30)), int(rng.integers(0, 30))


def test_ends_are_the_longest_runs_below_the_caps():
    for seed in range(20):
        total, other, limit, cap, second_cap = draw_sums(seed)
        kinds, positions = total.shape
        end, two = np.empty_like(limit), np.empty_like(limit)
        above = np.empty_like(total)
        lower, upper = plain().ends(total, limit, cap, end, above)
        plain().ends_of_two(total, other, limit, cap, second_cap, two)
        below_cap, above_cap = {0}, set()
        for k in range(kinds):
            for a in range(positions):
                sums = {b: total[k, b] - total[k, a] for b in range(a, limit[k, a] + 1)}
                seconds = {b: other[k, b] - other[k, a] for b in sums}
                assert end[k, a] == max(b for b in sums if sums[b] <= cap)
                assert two[k, a] == max(
                    b for b in sums if sums[b] <= cap and seconds[b] <= second_cap
                )
                below_cap |= {v for v in sums.values() if v <= cap}
                above_cap |= {v for v in sums.values() if v > cap}
        assert (lower, upper) == (max(below_cap), min(above_cap, default=NO_CAP))


@pytest.mark.parametrize("order", ["free", "given"])
@pytest.mark.parametrize("use_all", [True, False])
def test_compiled_loops_do_what_python_does(order, use_all, pipeline, monkeypatch):
    for seed in range(6):
        problem = pipeline(
            seed, 4, 9, whole=seed % 2 == 0, order=order, use_all_nodes=use_all, owners=1
        )
        layout = Layout.of(problem)
        scaled = Scaled.of(layout, np.inf, separate=False)
        seen = {}
        for name, loops in (("plain", plain()), ("compiled", compiled())):
            monkeypatch.setattr(reach_module, "loops_for", lambda _, loops=loops: loops)
            reach = Reach(layout, scaled)
            cap = int(scaled.both[:, -1].min()) // 3
            found = []
            for part in (1, 2, 4):
                found.append(reach.neighbours(scaled.both, cap * part))
                found.append(reach.below(scaled.both, cap * part))
                found.append(reach.quickest())
                found.append(reach.below_two(cap * part // 2, cap * part))
                found.append(reach.quickest())
            seen[name] = found
        assert seen["plain"] == seen["compiled"]


def test_little_work_is_left_to_python_until_the_loops_are_compiled():
    compiled.cache_clear()
    assert loops_for(SMALL - 1) == plain()
    assert loops_for(SMALL) == compiled() == loops_for(1)
