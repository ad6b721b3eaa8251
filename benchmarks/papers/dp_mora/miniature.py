"""``python -m benchmarks.papers.dp_mora.miniature [FOLDER] [--quick]``: Figures 3 to 5, small.

The paper prints no leakage of its cuts, and 250 rounds of ResNet-18 on CIFAR-10 take days on two
cores. Here the ten devices of section 7.2 train networks whose leakage was measured: the round of
every scheme over the leakage limit (Fig. 5), and the accuracy over rounds and over the seconds that
these rounds take (Fig. 3 and 4).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.papers.dp_mora.comparison import baseline_rounds
from benchmarks.papers.dp_mora.schemes import (
    DP_MORA,
    OURS,
    PARALLEL,
    SEQUENTIAL,
    ours,
    scenario_at,
)
from benchmarks.papers.tables import Cell, Table
from splitopt import CutAndResources, Scenario
from splitopt.problems.base import FloatArray
from splitopt.profiles import ModelProfile, load_profile

RESULTS = Path(__file__).parent / "results"
NETWORKS = ("cnn-digits", "cnn-fashion-mnist")
LIMITS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Of Fig. 5."""
TRAINED_AT = 0.87
"""The smallest limit of two decimals at which `cnn-digits` may be cut behind its first pooling:
at the 0.5 of Fig. 3 and 4 every scheme would train on the devices alone."""
SAMPLES_FOR_EACH = 32
"""Of the scenario's samples stand for one of the 1,437 of digits."""
REACHED = (0.8, 0.9, 0.95)
LEARNING = {"parallel": "splitfed_v1", "in turn": "vanilla"}
"""Devices that train side by side on copies which are averaged, or one after the other."""
PRINTED = {DP_MORA: 1250.0, "FAAF": 2000.0, "FSAF": 2000.0, "SF1AF": 12000.0}
"""Until convergence in 1000 s, from the text on Fig. 3 and 4."""


@dataclass(frozen=True)
class Size:
    """How much is trained: rounds of one epoch, and runs with seeds of their own."""

    rounds: int
    seeds: int


FULL, QUICK = Size(40, 3), Size(3, 1)


def scenario_for(network: str, limit: float, samples: Sequence[int] | None = None) -> Scenario:
    """Return section 7.2's fleet with a network, slowed down to what it is beside ResNet-18.

    Speeds of devices and server are divided by the ratio of the work of the whole networks, rates
    by the ratio of the largest smashed data, so that both weigh as they do in the paper.
    """
    here, there = load_profile(network), load_profile("dp-mora-resnet18-recovered")
    work, data = _whole(there) / _whole(here), _largest(there) / _largest(here)
    document = scenario_at("resnet18").to_dict()
    fleet = scenario_at("resnet18").fleet()
    document["model"] = {"profile": network}
    document["note"] = f"DP-MORA section 7.2 with {network}"
    for k, (device, known) in enumerate(zip(document["devices"], fleet, strict=True)):
        device["compute"] = f"{known.compute / work:.6g} FLOP/s"
        if samples is not None:
            device["samples"] = samples[k]
            device["batch_size"] = min(device["batch_size"], samples[k])
    document["servers"][0]["compute"] = f"{200e9 / work:.6g} FLOP/s"
    document["links"] = {
        "downlink": f"{100e6 / data:.6g} bit/s",
        "uplink": f"{200e6 / data:.6g} bit/s",
    }
    document["privacy"] = {"leakage_limit": limit}
    return Scenario.from_dict(document)


def _whole(profile: ModelProfile) -> float:
    return float(profile.device_forward_flop[-1] + profile.device_backward_flop[-1])


def _largest(profile: ModelProfile) -> float:
    return float(profile.smashed_bytes[:-1].max())


def rounds_at(network: str, limit: float) -> dict[str, float]:
    """Compute every scheme's round in s at a limit on the measured leakage."""
    problem = CutAndResources.from_scenario(scenario_for(network, limit))
    plans = ours(problem)
    rounds = baseline_rounds(problem, tuple(plans[DP_MORA].cuts.tolist()))
    return rounds | {name: plan.round_s for name, plan in plans.items()}


def least_allowed(leakage: FloatArray, limit: float) -> int:
    """Return the first cut whose leakage keeps a limit."""
    return int((leakage <= limit).argmax()) + 1


def limits_of(leakage: FloatArray) -> list[float]:
    """Return the limits of Fig. 5 and those from which on another cut may be taken, in order."""
    steps = {math.ceil(1000 * float(value)) / 1000 for value in leakage[:-1]}
    return sorted({*LIMITS, *(step for step in steps if step <= 1)})


def limits_table() -> Table:
    """Write the rounds over the limits of Fig. 5, and over those at which something changes."""
    names = (*OURS, *PARALLEL, *SEQUENTIAL)
    rows: list[list[Cell]] = []
    notes = []
    for network in NETWORKS:
        leakage = load_profile(network).leakage
        assert leakage is not None
        notes.append(f"{network} {' / '.join(f'{value:.3f}' for value in leakage[:-1])}")
        alike: list[tuple[float, list[Cell]]] = []  # limits, and what is the same for all of them
        for limit in limits_of(leakage):
            rounds = rounds_at(network, limit)
            found: list[Cell] = [f"{least_allowed(leakage, limit)}"]
            found += [rounds[name] / 1000 for name in names]
            if alike and alike[-1][1] != found:
                rows.append(_row(network, alike))
                alike = []
            alike.append((limit, found))
        rows.append(_row(network, alike))
    note = (
        "Fig. 5 with a measured curve: round in 1000 s over the leakage limit, for the fleet of "
        "section 7.2 slowed down to what the networks are beside ResNet-18. The measured cosine "
        f"of each cut: {'; '.join(notes)}. Limits are those of the paper and those from which on "
        "another cut may be taken."
    )
    head = ["network, limits", "first cut allowed", *names]
    return Table("figure-5-measured", head, rows, note, text=(0, 1))


def _row(network: str, alike: Sequence[tuple[float, list[Cell]]]) -> list[Cell]:
    first, last = alike[0][0], alike[-1][0]
    words = f"{first:g}" if first == last else f"{first:g} to {last:g}"
    return [f"{network}, {words}", *alike[-1][1]]


def learnt(size: Size, tell: Callable[[str], None]) -> dict[str, list[FloatArray]]:
    """Train digits on the ten devices side by side and in turn; accuracies by round and seed."""
    import numpy as np

    import splitopt
    from splitopt.training.options import Options

    fleet = scenario_at("resnet18").fleet()
    samples = [round(device.samples / SAMPLES_FOR_EACH) for device in fleet]
    plan = splitopt.plan(scenario_for("cnn-digits", TRAINED_AT, samples), scheme="splitfed_v1")
    found: dict[str, list[FloatArray]] = {}
    for words, scheme in LEARNING.items():
        for seed in range(size.seeds):
            tell(f"{words}, seed {seed}")
            run = splitopt.train(
                plan,
                scheme=scheme,
                data="digits",
                partition="iid",
                rounds=size.rounds,
                seed=seed,
                options=Options(learning_rate=0.05, momentum=0.9),
            )
            curve = np.array([run.history.value_of(row) for row in run.history.rows])
            found.setdefault(words, []).append(curve)
    return found


def rounds_until(curves: Sequence[FloatArray], accuracy: float) -> float | None:
    """Return the median round after which an accuracy is reached; None where a run never does."""
    from statistics import median

    reached = [int((curve >= accuracy).argmax()) + 1 for curve in curves if curve.max() >= accuracy]
    return float(median(reached)) if len(reached) == len(curves) else None


def learning_table(curves: Mapping[str, Sequence[FloatArray]], size: Size) -> Table:
    """Write when each scheme reaches an accuracy, in rounds and in the seconds that they take."""
    rounds = rounds_at("cnn-digits", TRAINED_AT)
    rows: list[list[Cell]] = []
    for name in (DP_MORA, "makespan optimum", "FAAF", "FSAF", "SF3AF", "SF1AF", "SF2AF"):
        way = "in turn" if name in SEQUENTIAL else "parallel"
        until = [rounds_until(curves[way], accuracy) for accuracy in REACHED]
        length = rounds[name] / 1000
        times = [None if number is None else number * length for number in until]
        base = rounds_until(curves["parallel"], REACHED[1])
        ours_s = None if base is None else base * rounds[DP_MORA] / 1000
        ratio = None if times[1] is None or ours_s is None else times[1] / ours_s
        printed = PRINTED[name] / PRINTED[DP_MORA] if name in PRINTED else None
        rows.append([name, way, length, *until, *times, ratio, printed])
    percents = [f"{100 * accuracy:g} %" for accuracy in REACHED]
    head = ["scheme", "learning", "round in 1000 s", *(f"rounds to {text}" for text in percents)]
    head += [*(f"1000 s to {text}" for text in percents), "time to 90 % by DP-MORA's", "as printed"]
    note = (
        f"Fig. 3 and 4 in miniature: {size.rounds} rounds of scikit-learn's digits on the ten "
        f"devices, dealt out in the paper's proportions, the network `cnn`, leakage limit "
        f"{TRAINED_AT:g} on the measured curve; medians over {size.seeds} seeds. Schemes in "
        "parallel learn the same whatever their cuts and shares. *As printed*: the time to "
        "convergence that the text names, by DP-MORA's 1,250,000 s."
    )
    return Table("figures-3-and-4-small", head, rows, note, text=(0, 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Plan, train, write and print."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.papers.dp_mora.miniature", description=__doc__
    )
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="a minute's worth, not to be kept")
    given = parser.parse_args(arguments)
    size = QUICK if given.quick else FULL
    given.folder.mkdir(parents=True, exist_ok=True)
    table = limits_table()
    table.save(given.folder)
    print(table.markdown())
    table = learning_table(learnt(size, _tell), size)
    table.save(given.folder)
    print(table.markdown())
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
