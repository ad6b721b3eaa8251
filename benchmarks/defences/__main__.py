"""``python -m benchmarks.defences``: NoPeek and U-shaped training against measured leakage."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown
from splitopt.bench.running.machine import describe_machine
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
SCENARIO = "digits-clusters"
WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0)
"""Of the distance correlation in the loss."""
NOPEEK = [
    "NoPeek",
    "accuracy, %",
    "distance correlation",
    "cosine of inversions",
    "centred",
    "SSIM",
]
CUTS = ("pool2", "fc1")
"""Behind which the last part of a U-shaped chain may begin, on the device again."""
FLEET = "digits-splitfed"
NOISE = (
    ("gaussian", 0.05, "normalise"),
    ("gaussian", 0.05, "recompute"),
    ("laplace", 0.1, "normalise"),
)
"""Mechanism, radius of the noise layer, and what is done about norms of weights."""
PIXEL = [
    "noise",
    "keep",
    "radius",
    "clean, %",
    "without noise",
    "certified",
    "FGSM",
    "PGD",
    "flipped",
    "sensitivity",
    "Eq. 4",
]
LABELS = ["split", "weights", "what the server gets", "label AUC by norm", "by cosine"]


def trained(plan: Any, weight: float, rounds: int, seed: int) -> tuple[Any, float, Any]:
    """Train with a weight of NoPeek; return the model, its accuracy in % and where it is cut."""
    import splitopt
    from splitopt.training.options import Options

    options = Options(learning_rate=0.1, momentum=0.9, nopeek=weight)
    run = splitopt.train(plan, rounds=rounds, options=options, seed=seed, evaluate_every=rounds)
    return run.model, 100 * (run.history.rows[-1].accuracy or 0.0), run.scheme.clients[0].cuts[0]


def leaked(model: Any, cut: Any, attacks: Sequence[str], steps: int, seed: int) -> dict[str, float]:
    """Measure the leakage of a cut: measure -> mean."""
    from splitopt.privacy import leakage_table
    from splitopt.privacy.leakage.settings import LeakageSettings

    settings = LeakageSettings(
        attacks=tuple(attacks), views=("white",), samples=8, steps=steps, seed=seed
    )
    table = leakage_table(model, "digits", cuts=[cut], settings=settings)
    return {row.measure: row.value.mean for row in table.rows}


def nopeek_rows(rounds: int, seeds: int, steps: int) -> Iterator[list[str]]:
    """Accuracy and what is recovered at the plan's cut, with and without NoPeek."""
    import splitopt

    plan = splitopt.plan(splitopt.Scenario.load(SCENARIO), solver="similar_compute")
    for weight in WEIGHTS:
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            model, accuracy, cut = trained(plan, weight, rounds, seed)
            own = leaked(model, cut, ("feature_inversion", "distance_correlation"), steps, seed)
            for name, value in {"accuracy": accuracy, **own}.items():
                found.setdefault(name, []).append(value)
        mean = {name: statistics.mean(values) for name, values in found.items()}
        yield [
            f"{weight:g}" if weight else "none",
            f"{mean['accuracy']:.1f}",
            *(f"{mean[key]:.3f}" for key in ("distance_correlation", *_LIKENESS)),
        ]


_LIKENESS = ("cosine", "centred_cosine", "ssim")


def label_rows(rounds: int, seeds: int) -> Iterator[list[str]]:
    """Attack labels by gradients at a cut, beside a server that is sent them."""
    import splitopt

    yield ["two parts", "any", "the labels themselves", "1.000", "1.000"]
    plan = splitopt.plan(splitopt.Scenario.load(SCENARIO), solver="similar_compute")
    for words in ("drawn", "trained"):
        for cut in CUTS:
            found: dict[str, list[float]] = {}
            for seed in range(seeds):
                own = _drawn(seed) if words == "drawn" else trained(plan, 0.0, rounds, seed)[0]
                for name, value in leaked(own, cut, ("label_inference",), 1, seed).items():
                    found.setdefault(name, []).append(value)
            mean = {name: statistics.mean(values) for name, values in found.items()}
            what = f"gradients behind {cut}"
            cells = [f"{mean[key]:.3f}" for key in ("auc_by_norm", "auc_by_cosine")]
            yield ["U-shaped", words, what, *cells]


def pixel_rows(rounds: int) -> Iterator[list[str]]:
    """Certified accuracy by radius, beside attacks, of trainings with a noise layer."""
    import tempfile

    import splitopt
    from splitopt.privacy import robustness_table
    from splitopt.privacy.robustness.settings import RobustnessSettings
    from splitopt.training.options import Options
    from splitopt.training.pixel_dp_options import PixelDP

    plan = splitopt.plan(splitopt.Scenario.load(FLEET))
    for mechanism, radius, keep in NOISE:
        how: Any = {"mechanism": mechanism, "keep": keep}
        pixel = PixelDP("conv1", 1.0, delta=0.05, radius=radius, insecure_test_seed=0, **how)
        options = Options(learning_rate=0.1, momentum=0.9, pixel_dp=pixel)
        with tempfile.TemporaryDirectory() as folder:
            splitopt.train(
                plan, rounds=rounds, options=options, evaluate_every=rounds, checkpoint=folder,
                checkpoint_every=rounds,
            )  # fmt: skip
            settings = RobustnessSettings((radius, 2 * radius, 4 * radius), samples=200)
            table = robustness_table(folder, settings=settings)
        for row in table.rows:
            shares = [table.clean, table.without_noise, row.certified, row.fgsm, row.pgd]
            yield [
                mechanism,
                keep,
                f"{row.radius:g}",
                *("" if share is None else f"{100 * share:.1f}" for share in shares),
                str(row.flipped),
                f"{table.sensitivity:.2f}",
                f"{table.empirical:.2f}",
            ]


def _drawn(seed: int) -> Any:
    import torch

    from splitopt.models import build

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return build("cnn", (1, 8, 8), 10)


def main(arguments: Sequence[str]) -> int:
    """Train, attack, print every row, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.defences", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150, help="of each inversion")
    parser.add_argument("--noisy-rounds", type=int, default=100, help="with a noise layer")
    parser.add_argument("--tables", default="nopeek,labels,pixel", help="which of these")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)
    machine = f"{describe_machine()['processor']}, one thread, PyTorch {torch.__version__}"
    begun = f"`{SCENARIO}`, {options.rounds} rounds of CPSL, learning rate 0.1, momentum 0.9"
    tables = {
        "nopeek": (
            NOPEEK,
            nopeek_rows(options.rounds, options.seeds, options.steps),
            f"{begun}; means of {options.seeds} seeds, leakage at the plan's cut (feature "
            f"inversion in the white box, {options.steps} steps, 8 samples). {machine} "
            "(`python -m benchmarks.defences`):",
        ),
        "labels": (
            LABELS,
            label_rows(options.rounds, options.seeds),
            f"{begun} where weights are trained (a gradient at a cut is the same whoever holds the "
            f"parts); means of {options.seeds} seeds. {machine} "
            "(`python -m benchmarks.defences`):",
        ),
    }
    tables["pixel"] = (
        PIXEL,
        pixel_rows(options.noisy_rounds),
        f"`{FLEET}`, {options.noisy_rounds} rounds of SplitFedV1, learning rate 0.1, momentum 0.9, "
        "noise behind conv1 with epsilon 1, delta 0.05 at the smallest radius shown (L2 for "
        "Gaussian, L1 for Laplace noise); shares in % of 200 test samples, 300 draws, 95 % for "
        f"each sample. {machine} (`python -m benchmarks.defences`):",
    )
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.tables.split(","):
        head, rows, note = tables[name]
        found = []
        for line in rows:
            found.append(line)
            print("  ".join(line), flush=True)
        write_atomic(options.output / f"{name}.md", markdown([head, *found], note))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
