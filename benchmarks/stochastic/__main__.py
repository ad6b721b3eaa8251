"""Measure re-planning of a round, and what rounds cost of which only the bounds are computed.

``python -m benchmarks.stochastic [-o FILE]`` prints a page of tables in Markdown. Numbers depend
on the machine; the ratios hold within one run.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from splitopt import Scenario
from splitopt.engine import Engine
from splitopt.planning.controller import Controller
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty
from splitopt.solvers.base import Search
from splitopt.solvers.cut_under_uncertainty.answering.drawing import DrawnRounds
from splitopt.solvers.cut_under_uncertainty.answering.inner import automatic_inner
from splitopt.solvers.cut_under_uncertainty.answering.ledger import Ledger
from splitopt.solvers.cut_under_uncertainty.saa.mean import BLOCK, PER_ANSWER
from splitopt.storage.writing import write_atomic

REPLAN_GOAL_MS = 50.0


def cell(devices: int, cut: str = "CONV1-POOL1") -> Scenario:
    """Draw the cell of CPSL section VIII-C: clusters of 5, 30 subcarriers of 1 MHz."""
    rng = np.random.default_rng(0)
    document = {
        "name": f"cell-{devices}",
        "model": "cpsl-lenet-paper",
        "devices": [
            {
                "name": f"device-{n}",
                "compute": float(2e9 * speed),
                "samples": 180,
                "batch_size": 16,
                "snr_db": float(snr),
            }
            for n, (speed, snr) in enumerate(
                zip(rng.uniform(0.1, 1.0, devices), rng.uniform(5, 30, devices), strict=True)
            )
        ],
        "links": {"downlink": {}, "uplink": {}},
        "servers": [{"name": "edge", "compute": 2e11}],
        "spectrum": {"subcarriers": 30, "bandwidth": 1e6},
        "clusters": {"size": 5, "cut": cut},
        "distributions": {
            "compute": {"kind": "normal", "std": 1e8, "low": 1e8},
            "snr": {"kind": "normal", "std_db": 2},
        },
    }
    return Scenario.from_si(document, "cell")


def replanning(devices: int, rounds: int) -> list[str]:
    """Time the controller's rounds, and compare them with three long chains."""
    lines = []
    for swaps in (300, 1000, 3000):
        controller = Controller.start(cell(devices), cut="CONV1-POOL1", swaps=swaps)
        report = controller.replay(controller.draw_rounds(rounds), ["clairvoyant"])
        taken = 1000 * np.array([entry.plan_s for entry in report.rounds[1:]])
        above = report.latencies("controller") / report.latencies("clairvoyant") - 1
        met = "yes" if np.median(taken) < REPLAN_GOAL_MS else "no"
        lines.append(
            f"| {devices} | {swaps:,} | {np.median(taken):.1f} | {taken.max():.1f} | "
            f"{100 * above.mean():.2f} | {met} |"
        )
    return lines


def cheap_rounds(devices: int, repeats: int = 5) -> str:
    """Time a round of which only the bounds are computed, against one exact answer."""
    problem = CutUnderUncertainty.from_scenario(cell(devices, "auto"))
    inner = automatic_inner(problem, "auto", {}, 0)
    with Engine("sequential").session() as session:
        ledger = Ledger(problem, Search(problem, None, 1e-9, 0), inner, session)
        rounds = DrawnRounds(problem, ledger)
        bounds = _seconds(lambda: rounds.draw(0, BLOCK), repeats)
    block = problem.block(0, 0)
    answer = _seconds(lambda: inner.solve(block, 0, 0), repeats)
    each = bounds / BLOCK / rounds.cuts
    return (
        f"| {devices} | {rounds.cuts} | {1e6 * each:.1f} | {1000 * answer:.1f} | "
        f"{100 * PER_ANSWER * each / answer:.1f} |"
    )


def _seconds(call: Callable[[], object], repeats: int) -> float:
    call()  # compiles
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def page(rounds: int) -> str:
    """Return the tables."""
    return "\n".join(
        [
            "# Re-planning and cheap rounds",
            "",
            f"Measured by `python -m benchmarks.stochastic` on {platform.machine()}.",
            "",
            f"## Re-planning a round, warm ({rounds} rounds; goal: 50 ms at 30 devices)",
            "",
            "Above is against three annealing chains of 20,000 swaps or more in every round.",
            "",
            "| devices | swaps | median ms | most ms | above, mean % | below 50 ms |",
            "|---|---|---|---|---|---|",
            *replanning(30, rounds),
            *replanning(100, rounds),
            "",
            "## What a cheap round costs",
            "",
            f"Both bounds of a round under one cut, in blocks of {BLOCK:,} rounds; `saa` draws "
            f"{PER_ANSWER} of them for each exact answer.",
            "",
            f"| devices | cuts | cheap, us | exact answer, ms | {PER_ANSWER} cheap, % of it |",
            "|---|---|---|---|---|",
            *(cheap_rounds(devices) for devices in (10, 30, 100)),
            "",
        ]
    )


def main() -> None:
    """Read the options and print the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stochastic", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    text = page(options.rounds)
    if options.output is not None:
        write_atomic(options.output, text)
    print(text)


if __name__ == "__main__":
    main()
