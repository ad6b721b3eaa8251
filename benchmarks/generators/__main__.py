"""``python -m benchmarks.generators``: how good generators are, and what their privacy costs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.tables import Columns, write_rows
from splitopt.errors import InputError
from splitopt.generators import GeneratorOptions, NetworkSpec, Sanitizing, account_of, work_of
from splitopt.generators.accounting import epsilon_of_steps

if TYPE_CHECKING:
    from torch import Tensor

RESULTS = Path(__file__).parent / "results"
SIGMA = 1.07
"""The noise multiplier of GS-WGAN's MNIST, whose mechanism IoTSL takes over."""
STEPS, QUICK_STEPS = 1000, 100
MOST_SAMPLES = 6000
READINGS = ("batch", "sample", "value")
QUALITY: Columns = {
    "data": ("data", "{}"),
    "reading": ("sanitised", "{}"),
    "noise_multiplier": ("sigma", "{:.4g}"),
    "critics": ("critics", "{}"),
    "epsilon": ("epsilon", "{:.4g}"),
    "auc_by_distance": ("AUC by distance", "{:.3f}"),
    "auc_by_critic": ("AUC by critic", "{:.3f}"),
    "mean_quality": ("quality, mean", "{:.3f}"),
    "least_quality": ("least", "{:.3f}"),
    "from_generated": ("trained on generated", "{:.3f}"),
    "from_real": ("on real", "{:.3f}"),
    "gradient_norm": ("gradient norm", "{:.3f}"),
}
WORK: Columns = {
    "network": ("network", "{}"),
    "shape": ("images", "{}"),
    "parameters": ("parameters", "{:,}"),
    "critic_parameters": ("of the critic", "{:,}"),
    "payload_bytes": ("bytes to send", "{:,}"),
    "sample_flop": ("MFLOP per sample: to make it", "{:.4g}"),
    "critic_step_flop": ("in a critic's step", "{:.4g}"),
    "generator_step_flop": ("in a generator's step", "{:.4g}"),
    "training_flop": ("TFLOP of 2,000 steps", "{:.4g}"),
}
EPSILON: Columns = {
    "account": ("what is accounted", "{}"),
    "few": ("2,000 steps", "{:.4g}"),
    "many": ("20,000 steps", "{:.4g}"),
}


def variants(steps: int) -> Iterator[GeneratorOptions]:
    """Iterate over the trainings: as they are, each reading, several critics, and epsilon 10."""
    base = GeneratorOptions(steps=steps)
    yield base
    yield replace(base, critics=10)
    for reading in READINGS:
        yield replace(base, sanitize=Sanitizing(reading, 1.0, SIGMA))
    yield replace(base, critics=10, sanitize=Sanitizing("sample", 1.0, SIGMA))
    yield replace(base, sanitize=Sanitizing("sample", 1.0, noise_for(10.0, base)))


def noise_for(epsilon: float, options: GeneratorOptions) -> float:
    """Return the noise multiplier of the reading ``sample`` for an epsilon, by bisection."""
    shift = 2 * options.batch**0.5
    low, high = 1.0, 1e6
    for _ in range(100):
        middle = (low * high) ** 0.5
        enough = epsilon_of_steps(shift / middle, 1.0, options.steps, 1e-5) <= epsilon
        low, high = (low, middle) if enough else (middle, high)
    return high


def samples_of(name: str) -> list[Tensor] | None:
    """Return training and test samples; None with a word where they are not installed."""
    import torch

    from splitopt.training.data.sources import load_data

    try:
        data = load_data(name)
    except InputError as error:
        print(f"{name}: left out, {error}", file=sys.stderr)
        return None
    found = [data.train_inputs, data.train_targets, data.test_inputs, data.test_targets]
    found = [part[:MOST_SAMPLES] for part in found]
    if name == "fashion-mnist":  # 14 x 14
        for place in (0, 2):
            found[place] = torch.nn.functional.avg_pool2d(found[place], 2)
    return found


def measured(name: str, samples: list[Tensor], options: GeneratorOptions, probe: Any) -> Any:
    """Train one generator and judge it."""
    from splitopt.generators import train_generator
    from splitopt.generators.judging import judged

    train, test = (samples[0], samples[1]), (samples[2], samples[3])
    generator = train_generator(*train, classes=10, options=options)
    found = judged(generator, probe, train, test)
    own, quality = options.sanitize, list((found.generator.quality or {}).values())
    last = generator.history[-100:]
    return {
        "data": name,
        "reading": "no" if own is None else own.reading,
        "noise_multiplier": None if own is None else own.noise_multiplier,
        "critics": options.critics,
        "steps": options.steps,
        "epsilon": generator.account.epsilon,
        "auc_by_distance": found.membership.auc_by_distance,
        "auc_by_critic": found.membership.auc_by_critic,
        "mean_quality": sum(quality) / len(quality),
        "least_quality": min(quality),
        "from_generated": found.from_generated,
        "from_real": found.from_real,
        "probe": found.probe_accuracy,
        "gradient_norm": sum(row.gradient_norm for row in last) / len(last),
    }


def quality_table(folder: Path, names: Sequence[str], steps: int) -> None:
    """Train all variants on all data, and write a row as soon as it is there."""
    from splitopt.generators import train_probe

    rows: list[dict[str, Any]] = []
    note = (
        f"Network small, {steps:,} steps of the generator, 5 of a critic before each, batch 32, "
        f"clip 1, delta 1e-5, seed 0, one thread; digits at 8 x 8 (1,438 samples), "
        f"Fashion-MNIST at 14 x 14 (the first {MOST_SAMPLES:,}). Quality: share of 200 samples of "
        "a label that a probe takes for it. Trained on generated: accuracy on real test samples of "
        "a network trained on as many generated samples as there are real ones. Gradient norm: of "
        "the critic in between, mean of the last 100 steps."
    )
    for name in names:
        samples = samples_of(name)
        if samples is None:
            continue
        probe = train_probe(samples[0], samples[1], 10)
        for options in variants(steps):
            rows.append(measured(name, samples, options, probe))
            write_rows(folder / "quality.csv", rows, QUALITY, note)
            print({key: rows[-1][key] for key in QUALITY}, file=sys.stderr, flush=True)


def work_table(folder: Path) -> None:
    """Write what the networks take."""
    rows = []
    for spec in (
        NetworkSpec("iotsl", (1, 28, 28), 10),
        *(NetworkSpec("small", shape, 10) for shape in ((1, 8, 8), (1, 14, 14), (1, 28, 28))),
        NetworkSpec("small", (3, 32, 32), 10),
    ):
        found = work_of(spec)
        rows.append(
            {
                "network": spec.network,
                "shape": " x ".join(map(str, spec.shape)),
                "parameters": found.parameters,
                "critic_parameters": found.critic_parameters,
                "payload_bytes": found.payload_bytes,
                "sample_flop": found.sample_flop / 1e6,
                "critic_step_flop": found.critic_step_flop / 1e6,
                "generator_step_flop": found.generator_step_flop / 1e6,
                "training_flop": found.training_flop(GeneratorOptions()) / 1e12,
            }
        )
    note = "Ten classes, noise of 10, batch 32, 5 critic steps; two FLOP per multiplication."
    write_rows(folder / "work.csv", rows, WORK, note)


def epsilon_table(folder: Path) -> None:
    """Write what one noise multiplier is worth, by what is accounted."""
    from splitopt.training.privacy.accounting import epsilon_of

    spec, counts = NetworkSpec("iotsl", (1, 28, 28), 10), {"few": 2000, "many": 20_000}
    named = {"batch 32 of 12,000 samples amplifies: not so, the critic saw all": None}
    for critics in (1, 100, 1000):
        for reading in READINGS if critics == 1 else ("sample",):
            own = GeneratorOptions(critics=critics, sanitize=Sanitizing(reading, 1.0, SIGMA))
            who = "1 critic" if critics == 1 else f"{critics:,} critics"
            named[f"`{reading}`, {who}"] = own
    rows: list[dict[str, Any]] = []
    for name, options in named.items():
        row: dict[str, Any] = {"account": name}
        for key, steps in counts.items():
            if options is None:
                row[key] = epsilon_of(SIGMA, 32 / 12_000, steps, 1e-5)
            else:
                row[key] = account_of(spec, options, steps).epsilon
        rows.append(row)
    note = f"The paper's network, sigma {SIGMA}, clip 1, batch 32, delta 1e-5."
    write_rows(folder / "epsilon.csv", rows, EPSILON, note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables."""
    parser = argparse.ArgumentParser("python -m benchmarks.generators", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="digits, few steps: minutes")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    given.output.mkdir(parents=True, exist_ok=True)
    work_table(given.output)
    epsilon_table(given.output)
    steps = given.steps or (QUICK_STEPS if given.quick else STEPS)
    names = ("digits",) if given.quick else ("digits", "fashion-mnist")
    quality_table(given.output, names, steps)
    for name in ("work", "epsilon", "quality"):
        path = given.output / f"{name}.md"
        if path.exists():
            print(path.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
