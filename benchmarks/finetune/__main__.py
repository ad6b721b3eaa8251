"""``python -m benchmarks.finetune``: a split gpt, pre-trained, fine-tuned whole or by adapters."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown
from splitopt.bench.running.machine import describe_machine
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
BEFORE, AFTER = "text:python", "text:descriptions"
"""What the network is pre-trained on, and what it is fine-tuned on."""
DEVICES, BATCH = 3, 16
CUT = "blocks.1"
"""Behind the second of four blocks."""
HEAD = [
    "trained",
    "rank",
    "frozen bits",
    "model down, kB a round",
    "gradients, kB a round",
    "model on a device, kB",
    "s a round",
    "perplexity",
]


@dataclass(frozen=True)
class Way:
    """How the network is fine-tuned.

    Parameters
    ----------
    words
        For people.
    rank, bits
        Of adapters, and of the frozen weights; None to train everything.
    targets
        The layers with adapters.
    rate
        Of Adam.
    """

    words: str
    rank: int | None = None
    bits: int | None = None
    targets: str = "*"
    rate: float = 1e-3


WAYS = (
    Way("everything"),
    Way("adapters of all linear layers", 8, rate=4e-3),
    Way("adapters of all linear layers", 2, rate=4e-3),
    Way("adapters of all linear layers", 8, 8, rate=4e-3),
    Way("adapters of all linear layers", 8, 4, rate=4e-3),
    Way("adapters of the server's blocks", 8, targets="blocks.[23].*", rate=4e-3),
)


def unigram(train: Any, test: Any, symbols: int) -> float:
    """Return the perplexity of text under the frequencies of single tokens, each counted from 1."""
    import torch

    counts = torch.bincount(train.flatten(), minlength=symbols).double() + 1
    logs = (counts / counts.sum()).log()
    return math.exp(-float(logs[test.flatten()].mean()))


def plan_for(model: Any, samples: int, length: int, rounds: int, folder: Path) -> Any:
    """Plan a radio cell of identical devices in one cluster that cut behind the second block."""
    import torch

    import splitopt
    from splitopt.profiles import trace

    file = folder / "gpt.json"
    example = torch.zeros((2, length), dtype=torch.int64)
    trace(model, example, name="gpt", keep_all=True).profile.save(file)
    document = splitopt.Scenario.load("digits-clusters").to_dict()
    document |= {
        "name": "finetune",
        "model": {"file": str(file)},
        "devices": [
            {
                "name": "phone",
                "count": DEVICES,
                "compute": "20 GFLOP/s",
                "samples": samples,
                "batch_size": min(BATCH, samples),
                "snr_db": 20,
            }
        ],
        "servers": [{"name": "server", "compute": "1 TFLOP/s"}],
        "spectrum": {"subcarriers": 12, "bandwidth": "1 MHz"},
        "clusters": {"size": DEVICES, "cut": CUT},
        "training": {"epochs": math.ceil(samples / BATCH), "rounds": rounds},
    }
    scenario = splitopt.Scenario.from_dict(document)
    return splitopt.plan(scenario, solver="similar_compute")


def trained(model: Any, text: Any, way: Way, rounds: int, folder: Path) -> Any:
    """Train a model on a text, split by a plan, and return the run."""
    import splitopt
    from splitopt.training.options import Options

    samples = len(text.train_inputs) // DEVICES
    plan = plan_for(model, samples, text.shape[0], rounds, folder)
    options = Options(learning_rate=way.rate, optimizer="adam", optimizer_state="keep")
    return splitopt.train(
        plan, model, text, task="language", rounds=rounds, options=options, evaluate_every=rounds
    )


def row(model: Any, text: Any, way: Way, rounds: int, folder: Path) -> list[str]:
    """Fine-tune in one way, and write what travelled and what was learned."""
    from splitopt.models import add_adapters

    if way.rank is not None:
        model = add_adapters(model, way.rank, targets=way.targets, frozen_bits=way.bits)
    run = trained(model, text, way, rounds, folder)
    traffic = run.history.traffic_bytes()
    (tested,) = run.history.evaluated
    cells = [way.words, str(way.rank or "–"), str(way.bits or "–")]
    cells += [f"{traffic[kind] / (1e3 * rounds):.1f}" for kind in ("model_down", "gradient")]
    cells += [f"{_held(model, text):.1f}", f"{(run.history.clock_s or 0) / rounds:.2f}"]
    return [*cells, f"{tested.metrics['perplexity']:.2f}"]


def _held(model: Any, text: Any) -> float:
    """Return the kB of the parameters of a device's part, frozen ones included."""
    from splitopt.profiles.tracing import find_cuts

    device, _ = find_cuts(model, text.train_inputs[:2], verify=False).segments([CUT])
    return sum(p.numel() * p.element_size() for p in device.parameters()) / 1e3


def tested(model: Any, text: Any) -> float:
    """Return the perplexity of the test samples under a model as it is."""
    import torch
    from torch.nn import functional

    with torch.no_grad():
        model.eval()
        scores = torch.cat([model(part) for part in text.test_inputs.split(64)])
    loss = functional.cross_entropy(scores.flatten(0, 1), text.test_targets.flatten())
    return math.exp(float(loss))


def main(arguments: Sequence[str]) -> int:
    """Pre-train, fine-tune in all ways, print every row, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__)
    parser.add_argument("--length", type=int, default=64, help="tokens of a sample")
    parser.add_argument("--pretraining", type=int, default=4, help="rounds of the first text")
    parser.add_argument("--rounds", type=int, default=6, help="rounds of the second text")
    parser.add_argument("--share", type=int, default=1, help="take every so many samples")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)

    import torch

    from splitopt.models import build

    first, second = (_text(name, options.length, options.share) for name in (BEFORE, AFTER))
    torch.manual_seed(0)
    network = build("gpt", (options.length,))
    with tempfile.TemporaryDirectory(prefix="splitopt-") as made:
        folder = Path(made)
        run = trained(network, first, Way("everything"), options.pretraining, folder)
        model = run.model
        alone = [unigram(text.train_inputs, text.test_inputs, 256) for text in (first, second)]
        learned = [tested(model, text) for text in (first, second)]
        machine = describe_machine()
        note = (
            f"The shipped `gpt`, bytes as tokens, {options.length} in a sample, on {DEVICES} "
            f"devices in a cluster with a cut behind `{CUT}`. After {options.pretraining} rounds "
            f"on `{BEFORE}` the perplexity of its held-out text is {learned[0]:.2f}; that of a "
            f"unigram model is {alone[0]:.2f}. On `{AFTER}` it is {learned[1]:.2f} before "
            f"fine-tuning, and a unigram model's is {alone[1]:.2f}. Below, {options.rounds} rounds "
            f"of fine-tuning with Adam. {machine['processor']}, PyTorch {torch.__version__}, "
            "(`python -m benchmarks.finetune`):"
        )
        print(note, flush=True)
        found = []
        for way in WAYS:
            found.append(row(model, second, way, options.rounds, folder))
            print("  ".join(found[-1]), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomic(options.output / "perplexity.md", markdown([HEAD, *found], note))
    return 0


def _text(name: str, length: int, share: int) -> Any:
    """Load a text, or a part of it spread evenly."""
    from dataclasses import replace

    from splitopt.training.data import load_data
    from splitopt.training.tasks.known import LANGUAGE

    text = load_data(f"{name}:{length}", targets=LANGUAGE.targets)
    parts = ("train_inputs", "train_targets", "test_inputs", "test_targets")
    return replace(text, **{part: getattr(text, part)[::share] for part in parts})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
