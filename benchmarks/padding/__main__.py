"""``python -m benchmarks.padding``: batches as long as their longest sample, or as that of all."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import markdown
from splitopt.bench.running.machine import describe_machine
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
MOST, CLIENTS, SAMPLES, WIDTH = 256, 3, 200, 32
HEAD = [
    "samples in a batch",
    "activations, padded to all",
    "to the batch",
    "ratio",
    "largest difference of a loss",
]


def sentences(count: int) -> list[Any]:
    """Return sentences of Python's documentation, 8 to 256 bytes long, in an order of their own."""
    from pydoc_data.topics import topics

    text = " ".join(topics[name] for name in sorted(topics))
    found = [re.sub(r"\s+", " ", own).strip().encode() for own in re.split(r"(?<=\.)\s", text)]
    kept = [np.frombuffer(own, dtype=np.uint8).astype(int) for own in found if 8 < len(own) <= MOST]
    rows = np.random.default_rng(0).permutation(len(kept))[:count]
    return [kept[row] for row in rows]


def network() -> Any:
    """Return a causal language model of bytes; no position looks at a later one."""
    import torch

    from splitopt.models.gpt import GPT

    torch.manual_seed(0)
    return GPT(MOST, 256, width=WIDTH, heads=2, layers=2)


def planned(folder: Path, batch: int, longest: int) -> Any:
    """Return a plan for sentences padded to the longest one."""
    import torch

    import splitopt
    from splitopt.profiles import trace

    path = folder / "model.json"
    if not path.exists():
        example = torch.zeros(2, longest, dtype=torch.int64)
        trace(network(), example, name="bytes", keep_all=True).profile.save(path)
    device = {"compute": "1 MFLOP/s", "samples": SAMPLES, "batch_size": batch}
    scenario = splitopt.Scenario.load("digits-splitfed").to_dict() | {
        "model": {"file": str(path)},
        "devices": [{"name": f"d{k}", **device} for k in range(CLIENTS)],
    }
    return splitopt.plan(splitopt.Scenario.from_dict(scenario))


def row(folder: Path, batch: int, rounds: int) -> list[str]:
    """Train both ways and compare."""
    import splitopt
    from splitopt.training.options import Options

    texts = sentences(CLIENTS * SAMPLES + 100)
    data = [own[:-1] for own in texts], [own[1:] for own in texts]
    cut = CLIENTS * SAMPLES
    given = (data[0][:cut], data[1][:cut], data[0][cut:], data[1][cut:])
    plan, runs = planned(folder, batch, max(map(len, data[0]))), []
    for padding in ("data", "batch"):
        options = Options(learning_rate=0.1, padding=padding)
        runs.append(
            splitopt.train(plan, network(), given, task="language", rounds=rounds, options=options)
        )
    sent = [run.history.rows[-1].traffic_bytes["smashed"] for run in runs]
    pairs = zip(*(run.history.rows for run in runs), strict=True)
    far = max(abs(one.loss - other.loss) for one, other in pairs)
    return [
        str(batch),
        f"{sent[0] / 1e6:.2f} MB",
        f"{sent[1] / 1e6:.2f} MB",
        f"{sent[1] / sent[0]:.2f}",
        f"{far:.0e}",
    ]


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.padding", description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)
    note = (
        f"{describe_machine()['processor']}, one thread, PyTorch {torch.__version__}; SplitFedV1 "
        f"of {CLIENTS} devices with {SAMPLES} sentences of Python's documentation each, 8 to "
        f"{MOST - 1} bytes long, a language model of two blocks; bytes of a round, and "
        f"losses of {options.rounds} (`python -m benchmarks.padding`):"
    )
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for batch in options.batches:
            found.append(row(Path(folder), batch, options.rounds))
            print("  ".join(found[-1]), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomic(options.output / "padding.md", markdown([HEAD, *found], note))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
