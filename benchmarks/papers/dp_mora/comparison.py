"""The reductions of section 7.2, and how far DP-MORA is from the optima of both objectives."""

from __future__ import annotations

import numpy as np

from benchmarks.papers.dp_mora.published import (
    DEFAULT,
    MODELS,
    printed_reductions,
    published_dp_mora_round,
    rounds_from_table,
    table,
)
from benchmarks.papers.dp_mora.schemes import (
    OURS,
    Planned,
    lower_by,
    parallel,
    recovered_cuts,
    replayed,
    scenario_at,
    sequential,
)
from benchmarks.papers.tables import Cell, Table
from splitopt import CutAndResources
from splitopt.problems.base import FloatArray


def samples_of(model: str) -> FloatArray:
    """Return the devices' numbers of samples (N,), known up to a common factor."""
    fleet = scenario_at(model).fleet()
    return np.array([device.samples for device in fleet], dtype=np.float64)


def baseline_rounds(
    problem: CutAndResources, cuts: tuple[int, ...], *, kept: bool = True
) -> dict[str, float]:
    """Return the length in s of every baseline's round."""
    rounds = {name: plan.round_s for name, plan in parallel(problem, cuts).items()}
    one_by_one = sequential(problem, cuts, kept=kept)
    return rounds | {name: float(found.round_s) for name, found in one_by_one.items()}


def reductions_table(model: str, problem: CutAndResources, plans: dict[str, Planned]) -> Table:
    """Return by how many per cent rounds of DP-MORA and of our plans are shorter than others."""
    cuts = recovered_cuts(model, problem.devices)
    replay = replayed(problem, cuts).round_s
    rounds, alone = (baseline_rounds(problem, cuts, kept=kept) for kept in (True, False))
    rows: list[list[Cell]] = []
    for name, seconds in rounds.items():
        by = [lower_by(replay, seconds), *(lower_by(plans[plan].round_s, seconds) for plan in OURS)]
        rows.append([name, seconds / 1000, *by])
    for name in ("SF1AF", "SF2AF"):
        by = [lower_by(replay, alone[name])]
        by += [lower_by(plans[plan].round_s, alone[name]) for plan in OURS]
        rows.append([f"{name[:3]} with everything", alone[name] / 1000, *by])
    head = ["baseline", "its round in 1000 s", "replay", *OURS]
    note = (
        f"{MODELS[model]}, leakage limit 0.5: by how many per cent a round is shorter than the "
        "baseline's. *replay* has DP-MORA's recovered cuts with the best shares for them. The "
        "sequential baselines keep their share of the resources while others run; *with "
        "everything* is the other reading, in which a device has all of them while it runs."
    )
    if model == "resnet18":
        head[2:2] = ["paper's text", "paper's table"]
        for row in rows:
            row[2:2] = _published(str(row[0]))
        note += (
            " *paper's table* follows from the waits printed in Table 2 and DP-MORA's round as "
            "the text's number for SF1AF gives it."
        )
    return Table(f"reductions-{model}", head, rows, note)


def _published(name: str) -> list[Cell]:
    """Return the printed per cent of a baseline with ResNet-18 and the one that Table 2 implies."""
    samples = samples_of("resnet18")
    implied = rounds_from_table("resnet18", samples).get(name)
    table_says = None if implied is None else lower_by(published_dp_mora_round(samples), implied)
    return [printed_reductions(dict(DEFAULT)).get(name), table_says]


def objectives_table(model: str, problem: CutAndResources, plans: dict[str, Planned]) -> Table:
    """Return the round time and the sum of every plan, and their distances to the optima."""
    cuts = recovered_cuts(model, problem.devices)
    found = {"DP-MORA, replay": replayed(problem, cuts), **plans}
    values = {name: (plan.round_s, plan.total_s) for name, plan in found.items()}
    chosen = {name: _by_type(plan) for name, plan in found.items()}
    if model == "resnet18":
        round_s = published_dp_mora_round(samples_of(model))
        total = problem.devices * round_s - float(table(model)["DP-MORA"].sum())
        values = {"DP-MORA, published": (round_s, total)} | values
    best_round, best_total = plans[OURS[2]].round_s, plans[OURS[1]].total_s
    rows: list[list[Cell]] = [
        [
            name,
            chosen.get(name),
            round_s / 1000,
            100 * (round_s / best_round - 1),
            total / 1000,
            100 * (total / best_total - 1),
        ]
        for name, (round_s, total) in values.items()
    ]
    head = ["plan", "cuts of rpi3 / rpi3A+ / rpi4B", "round in 1000 s", "% above the least round"]
    head += ["sum in 1000 s", "% above the least sum"]
    note = (
        f"{MODELS[model]}, leakage limit 0.5. P1 minimises the sum of the devices' latencies, "
        "section 7 reports the round, the largest of them. The two optima are certified."
    )
    return Table(f"objectives-{model}", head, rows, note)


def _by_type(plan: Planned) -> str:
    """Return the cuts by type of device, which repeats every three devices."""
    kinds = [sorted(set(plan.cuts[kind::3].tolist())) for kind in range(3)]
    return " / ".join(" or ".join(map(str, kind)) for kind in kinds)
