"""IoTSL's arithmetic: networks, traffic, energy, and when the generators pay (no training)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.papers.iotsl import published
from benchmarks.papers.iotsl.energy import energy_tables
from benchmarks.papers.tables import Cell, Table
from splitopt import Scenario, plan
from splitopt.latency.generator_training import (
    break_even_steps,
    critic_step_work,
    generator_step_work,
    step_work,
)
from splitopt.latency.turns import training_traffic, turn_traffic
from splitopt.planning.predictions.iotsl import CALLED, WORDS
from splitopt.profiles import load_profile
from splitopt.profiles.published.iotsl import VGG16, iotsl_networks

SCENARIO = "iotsl-mnist"
_STEPS = 2000
_BATCH, _CRITIC_STEPS = 32, 5


def tables() -> Iterator[Table]:
    """Yield all tables."""
    yield networks()
    yield traffic()
    yield from energy_tables()
    yield break_even()
    yield whole()


def networks() -> Table:
    """Count the networks beside what is printed of them."""
    profile = load_profile(VGG16)
    at = profile.layers.index("pool1")
    forward = profile.device_forward_flop / 2
    biases = 2 * 64 * 28**2
    made, scored = iotsl_networks()
    critic, generator = _step_works()
    rows: list[Sequence[Cell]] = [
        ["device part (two convolutions, pool)", "parameters", f"{published.PARAMETERS:,}",
         f"{profile.device_model_bytes[at] / 4:,.0f}"],
        ["", "operations, with biases", f"{published.OPERATIONS / 1e6:.1f} M",
         f"{(forward[at] + biases) / 1e6:.1f} M"],
        ["VGG-16 without its fifth pooling", "parameters", f"{published.WHOLE_PARAMETERS:.3g}",
         f"{profile.device_model_bytes[-1] / 4:.3g}"],
        ["", "operations", f"{published.WHOLE_OPERATIONS / 1e9:.2f} G",
         f"{forward[-1] / 1e9:.2f} G"],
        ["generator", "parameters", "", f"{made.parameters:,}"],
        ["", "MFLOP, forward", "", f"{2 * made.operations / 1e6:.1f}"],
        ["critic", "parameters", "", f"{scored.parameters:,}"],
        ["", "MFLOP, forward", "", f"{2 * scored.operations / 1e6:.1f}"],
        ["a critic step", "GFLOP per sample", "", f"{critic / 1e9:.2f}"],
        ["a generator step", "GFLOP per sample", "", f"{generator / 1e9:.2f}"],
    ]  # fmt: skip
    note = "Networks counted from their layers (section V-D), and what the paper prints of them."
    return Table("networks", ["network", "what", "paper", "here"], rows, note, text=(0, 1))


def traffic() -> Table:
    """Compute Eq. 1 beside the published totals, and what five generators and theta_a add."""
    turn = turn_traffic(
        published.SAMPLES, published.SMASHED, published.SMASHED, published.PARAMETERS
    )
    made, _ = iotsl_networks()
    histograms = published.DEVICES * published.CLASSES
    more = published.DEVICES * made.parameters + published.PARAMETERS + histograms
    rows: list[Sequence[Cell]] = []
    for data in published.DATA:
        (without, with_), moved = data.turns, data.moved
        plain, tuned = without * turn, with_ * turn
        rows += [
            [data.name, "split learning, numbers", f"{moved[0]:.3g}", f"{plain:.3g}"],
            ["", "IoTSL, numbers", f"{moved[1]:.3g}", f"{tuned:.3g}"],
            ["", "saved %", f"{100 * data.reduction:.1f}", f"{100 * (1 - tuned / plain):.2f}"],
            ["", "saved %, with five generators and theta_a", "",
             f"{100 * (1 - (tuned + more) / plain):.2f}"],
            ["", "time saved %", f"{100 * (1 - data.hours[1] / data.hours[0]):.1f}",
             f"{100 * (1 - with_ / without):.1f}"],
            ["", "split learning, if epochs were rounds (Eq. 1 with K = 5)", "",
             f"{training_traffic(published.DEVICES, without, turn):.3g}"],
        ]  # fmt: skip
    note = (
        f"Numbers moved: a turn of one device moves {turn:,.0f} (Table I). The published totals "
        "are this times the epochs, so that an epoch is the turn of one device; the factor K of "
        "Eq. 1 is not in them. Time saved: of the printed hours, and of turns that take equally "
        "long."
    )
    return Table("traffic", ["data", "what", "paper", "here"], rows, note, text=(0, 1))


def _step_works() -> tuple[float, float]:
    made, scored = (2.0 * unit.operations for unit in iotsl_networks())
    return critic_step_work(made, scored), generator_step_work(made, scored)


def _device_works() -> dict[str, float]:
    """FLOP of the device part for a sample, forward and backward, in two ways to count."""
    profile = load_profile(VGG16)
    at = profile.layers.index("pool1")
    first, second = 9 * 64 * 28**2, 9 * 64 * 64 * 28**2
    # Convolutions alone; the first one needs no gradient of its input.
    return {
        "convolutions alone": 2.0 * (2 * first + 3 * second),
        "every layer": float((profile.device_forward_flop + profile.device_backward_flop)[at]),
    }


def break_even() -> Table:
    """Compute the generator steps whose work is what the saved turns cost the devices."""
    one = step_work(_BATCH, _CRITIC_STEPS, *_step_works())
    rows: list[Sequence[Cell]] = []
    for data in published.DATA:
        saved = data.turns[0] - data.turns[1]
        for words, work in _device_works().items():
            flop = saved * published.SAMPLES * work
            for name, generators in (("one", 1), ("five", published.DEVICES)):
                steps = break_even_steps(flop, 0.0, generators * one)
                assert steps is not None  # a step takes work
                rows.append(
                    [f"{data.name}, {saved} turns", words, f"{work / 1e6:.1f}", f"{flop:.3g}",
                     name, f"{_STEPS * generators * one:.3g}", f"{steps:,.0f}"]
                )  # fmt: skip
    note = (
        f"FLOP of the devices. A generator step is {_BATCH} samples in {_CRITIC_STEPS} critic "
        f"steps and one of the generator, {one / 1e9:.1f} GFLOP. The saved turns are those of "
        "single devices, as in the published totals, and each of five devices trains a generator; "
        "against one generator alone five times as many steps pay."
    )
    head = [
        "saved", "counted", "MFLOP per sample", "FLOP saved", "generators",
        f"FLOP of {_STEPS:,} steps", "break-even",
    ]  # fmt: skip
    return Table("break-even", head, rows, note, text=(0, 1, 4))


def whole() -> Table:
    """Plan both data sets as a whole: what each way takes, whether it pays, and its break-even."""
    rows: list[Sequence[Cell]] = []
    for data in published.DATA:
        document = Scenario.load(SCENARIO).to_dict()
        epochs = dict(zip(("without", "with"), data.turns, strict=True))
        document["generators"]["training"]["epochs"] = epochs
        made = plan(Scenario.from_dict(document))
        assert made.prediction is not None  # nothing is to be paired
        for way in made.prediction["iotsl"]["ways"]:
            name = f"{data.name}, {CALLED[way['where']]}"
            rows += [_verdict(name, row) for row in way["verdicts"]]
    note = (
        f"`splitopt plan {SCENARIO}`, whose rate, speeds, powers, {_STEPS:,} generator steps and "
        "edge machine are guesses, with the turns of both data sets."
    )
    head = ["data and way", "in", "split learning", "IoTSL", "pays", "break-even steps"]
    return Table("whole", head, rows, note, text=(0, 1, 4))


def _verdict(name: str, row: Any) -> list[Cell]:
    steps = row.get("break_even_steps")
    return [
        name,
        WORDS[row["unit"]],
        f"{row['split_learning']:.3g}",
        f"{row['iotsl']:.3g}",
        "yes" if row["pays"] else "no",
        "any" if steps is None else f"{steps:,.0f}",
    ]
