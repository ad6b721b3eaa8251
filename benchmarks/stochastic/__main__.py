"""Measure re-planning of a round, and rounds evaluated per second by NumPy and JAX.

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
from splitopt.files import write_atomic
from splitopt.latency.clustered import padded_clusters
from splitopt.latency.precision import double_precision
from splitopt.latency.sampled import compiled_rounds, sampled_round_seconds
from splitopt.planning.controller import Controller
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty

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
    return Scenario.from_dict(document, "cell")


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


def throughput(devices: int, samples: int, repeats: int = 5) -> str:
    """Count the rounds per second of NumPy and JAX for given decisions."""
    import jax

    problem = CutUnderUncertainty.from_scenario(cell(devices))
    terms = np.stack([problem.source.sample(j)[0].terms for j in range(samples)])
    decision = problem.block(0, 0).complete(
        np.split(np.arange(devices), np.cumsum(problem.block(0, 0).cluster_sizes)[:-1])
    )
    sizes = problem.block(0, 0).cluster_sizes
    server = float(problem.block(0, 0).server_s_per_device)
    rest = (decision.subcarriers, padded_clusters(decision.clusters), sizes, server)
    compiled = compiled_rounds(1)
    plain = _seconds(lambda: sampled_round_seconds(terms, *rest, 1), repeats)
    copied = _seconds(lambda: compiled(terms, *rest), repeats)
    with double_precision():
        there = jax.device_put(terms)
    kept = _seconds(lambda: compiled(there, *rest), repeats)
    rates = [samples / seconds for seconds in (plain, copied, kept)]
    return (
        f"| {devices} | {samples:,} | {rates[0]:,.0f} | {rates[1]:,.0f} | {rates[2]:,.0f} | "
        f"{rates[2] / rates[0]:.1f} |"
    )


def _seconds(call: Callable[[], object], repeats: int) -> float:
    call()  # compiles
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def page(rounds: int, samples: int) -> str:
    """Give the tables."""
    import jax

    device = jax.devices()[0]
    return "\n".join(
        [
            "# Re-planning and sampled rounds",
            "",
            f"Measured by `python -m benchmarks.stochastic` on {platform.machine()}, "
            f"JAX on {device.platform} ({device.device_kind}).",
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
            "## Rounds per second for given decisions",
            "",
            "| devices | samples | NumPy | JAX | JAX, data on its device | that over NumPy |",
            "|---|---|---|---|---|---|",
            *(throughput(devices, samples) for devices in (30, 100)),
            "",
        ]
    )


def main() -> None:
    """Read the options and print the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stochastic", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    text = page(options.rounds, options.samples)
    if options.output is not None:
        write_atomic(options.output, text)
    print(text)


if __name__ == "__main__":
    main()
