"""One training of a fleet by IoTSL, and by plain split learning beside it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from splitopt.storage.writing import write_atomic

BATCH, LEARNING_RATE, DEVICES = 16, 0.05, 5


@dataclass(frozen=True)
class Cell:
    """A fleet of five alike devices, and what is done with it.

    Parameters
    ----------
    data
        ``mnist``, ``fashion-mnist`` or ``cifar10``, halved to 14 x 14 or 16 x 16.
    partition
        Of the data, all of which are shared out.
    seed
        Of everything.
    classes
        How many of the data's classes, the first ones.
    per_class, tested
        Training and test images of each.
    steps
        Of each generator.
    sigma
        Noise multiplier of sanitising at each sample, clip 1; None for none.
    pretrain_epochs, impute
        As for `IotslJob`.
    rounds
        Of the split training, in each of which every device has a turn.
    """

    data: str
    partition: str
    seed: int
    classes: int = 10
    per_class: int = 200
    tested: int = 100
    steps: int = 200
    sigma: float | None = None
    pretrain_epochs: int = 0
    impute: bool = True
    rounds: int = 12

    @property
    def key(self) -> str:
        """What names it among others."""
        return json.dumps(asdict(self), sort_keys=True)


def outcome(cell: Cell) -> dict[str, Any]:
    """Train a cell and return accuracies by round, and what the generators were worth."""
    import torch

    import splitopt
    from benchmarks.forgetting.settings import images
    from splitopt.generators import GeneratorOptions, Sanitizing
    from splitopt.iotsl import IotslJob, run_iotsl
    from splitopt.models import build
    from splitopt.profiles.tracing import trace
    from splitopt.training.options import Options

    torch.set_num_threads(1)
    data = images(cell.data, tuple(range(cell.classes)), cell.per_class, cell.tested)
    sanitize = None
    if cell.sigma is not None:  # from a seed, so that the command repeats what it printed
        sanitize = Sanitizing("sample", 1.0, cell.sigma, 1e-5, insecure_test_seed=cell.seed)
    options = GeneratorOptions(steps=cell.steps, sanitize=sanitize)
    with tempfile.TemporaryDirectory() as place:
        model = build("cnn", data.shape, cell.classes)
        traced = trace(model, torch.zeros(2, *data.shape), name="cnn-small")
        traced.profile.save(f"{place}/cnn.json")
        job = IotslJob(
            splitopt.Scenario.from_dict(fleet(cell, f"{place}/cnn.json")),
            data=data,
            partition=cell.partition,
            samples="data",
            model="cnn",
            generators=options,
            pretrain_epochs=cell.pretrain_epochs,
            impute=cell.impute,
            options=Options(learning_rate=LEARNING_RATE),
            seed=cell.seed,
        )
        run = run_iotsl(job, f"{place}/run", plain=True)
    assert run.plain is not None  # it was asked for
    rows = run.devices
    return {
        "tuned": [row.accuracy for row in run.tuned.history],
        "plain": [row.accuracy for row in run.plain.history],
        "pretrained": run.pretrained,
        "epsilon": _epsilon(options, data.shape, cell.classes),
        "counts": [list(row.counts) for row in rows],
        "transfers": sum(len(row.received) for row in rows),
        "bytes": sum(one.bytes for one in run.messages),
    }


def _epsilon(options: Any, shape: Any, classes: int) -> float | None:
    """Return what the generators would be worth with noise from no seed."""
    from dataclasses import replace

    from splitopt.generators import NetworkSpec, account_of

    if options.sanitize is None:
        return None
    secret = replace(options, sanitize=replace(options.sanitize, insecure_test_seed=None))
    return account_of(NetworkSpec(options.network, shape, classes), secret).epsilon


def fleet(cell: Cell, profile: str) -> dict[str, Any]:
    """Return the scenario of a cell as plain data; times are not looked at."""
    names = [f"pi-{number + 1}" for number in range(DEVICES)]
    return {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "five-boards",
        "model": {"file": profile},
        "devices": [
            {"name": name, "compute": "1 GFLOP/s", "samples": 600, "batch_size": BATCH}
            for name in names
        ],
        "links": {"downlink": "50 Mbit/s", "uplink": "50 Mbit/s"},
        "servers": [{"name": "server", "compute": "100 GFLOP/s"}],
        "training": {"epochs": 1, "rounds": cell.rounds},
        "generators": {"size": "100 kB", "classes": {name: [0] for name in names}},
    }


def outcomes(cells: Sequence[Cell], kept: Path, workers: int) -> Iterator[tuple[Cell, Any]]:
    """Yield each cell with its outcome as it is there: kept ones first, others once trained.

    Parameters
    ----------
    cells
        What is wanted.
    kept
        The file of outcomes, which is written after each: a second call goes on.
    workers
        Processes, of one thread each.
    """
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for cell in cells:
        if cell.key in known:
            yield cell, known[cell.key]
    open_cells = [cell for cell in cells if cell.key not in known]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(outcome, cell): cell for cell in open_cells}
        for done in as_completed(waiting):
            cell = waiting[done]
            known[cell.key] = done.result()
            write_atomic(kept, json.dumps(known, indent=1, sort_keys=True) + "\n")
            yield cell, known[cell.key]
