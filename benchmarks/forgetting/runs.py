"""Runs of cases, kept in CSV files that grow with every run, so that none is lost."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from benchmarks.forgetting.settings import SL, Case, Setting, images, network, planned
from splitopt import train
from splitopt.errors import TrainingError
from splitopt.storage.writing import write_atomic
from splitopt.training.forgetting import measured
from splitopt.training.history import History
from splitopt.training.randomness import seed_of

EVERY = 5
"""Rounds between tests of turns where a round has many."""


@dataclass(frozen=True)
class Result:
    """What one run came to; accuracies from 0 to 1, None where there is none.

    ``last`` and ``highest`` are after turns, without turns after rounds. ``diverged`` is the round
    in which the loss was no number any more.
    """

    setting: str
    case: str
    seed: int
    rounds: int
    turns: int
    highest: float | None
    last: float | None
    forgetting: float | None
    mean_forgetting: float | None
    backward_transfer: float | None
    sent_bytes: int
    round_s: float | None
    diverged: int | None
    cpu_s: float


Key = tuple[str, str, int]
Curve = list[float]


@dataclass
class Runs:
    """All runs so far, and accuracy turn by turn of split learning under the first seed."""

    folder: Path
    results: dict[Key, Result] = field(default_factory=dict)
    curves: dict[tuple[str, str], Curve] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Runs:
        """Read what is there, or begin without."""
        found = cls(folder)
        for row in _read(folder / "runs.csv"):
            values = {name: _value(name, text) for name, text in row.items()}
            own = Result(**values)  # type: ignore[arg-type]
            found.results[own.setting, own.case, own.seed] = own
        for row in _read(folder / "curves.csv"):
            found.curves.setdefault((row["setting"], row["case"]), []).append(
                float(row["accuracy"])
            )
        return found

    def save(self) -> None:
        """Write all results and curves."""
        rows = [asdict(self.results[key]) for key in sorted(self.results)]
        head = list(Result.__dataclass_fields__)
        lines = [["" if row[name] is None else _text(row[name]) for name in head] for row in rows]
        _write(self.folder / "runs.csv", head, lines)
        points = [
            [*key, str(turn), f"{value:.4f}"]
            for key, curve in sorted(self.curves.items())
            for turn, value in enumerate(curve, start=1)
        ]
        _write(self.folder / "curves.csv", ["setting", "case", "turn", "accuracy"], points)

    def of(self, setting: str, case: str) -> list[Result]:
        """Return the runs of a case, seed by seed."""
        return [own for key, own in sorted(self.results.items()) if key[:2] == (setting, case)]

    def fill(self, setting: Setting, note: Callable[[str], None]) -> None:
        """Train what is missing; files are written after every run."""
        for case in setting.cases:
            for seed in setting.seeds:
                key = (setting.name, case.name, seed)
                if key in self.results and self.results[key].rounds == setting.rounds:
                    continue
                begin = time.process_time()
                history, diverged = trained(setting, case, seed)
                own = _result(setting, case, seed, history, diverged, time.process_time() - begin)
                self.results[key] = own
                if seed == setting.seeds[0] and case == SL:
                    self.curves[key[:2]] = _curve(history)
                self.save()
                last = "diverged" if own.last is None else f"{own.last:.3f}"
                note(f"{setting.name}: {case.label}, seed {seed}: {last} ({own.cpu_s:.0f} s)")


def trained(setting: Setting, case: Case, seed: int) -> tuple[History, int | None]:
    """Train a case, and return its rounds and the one in which it diverged, if it did."""
    data = images(setting.data, setting.labels, setting.per_class, setting.tested)
    torch.manual_seed(seed_of(seed, 1))
    model = network(setting.network, data.shape, data.classes or 0)
    in_turn = case.scheme == "vanilla"
    given = case.remembering
    is_often = given is not None and given.turn_batches is not None
    try:
        run = train(
            planned(setting, data.shape, data.classes or 0),
            model,
            data,
            partition=setting.partition,
            scheme=case.scheme,
            options=setting.options(case),
            seed=seed,
            test_after="turn" if in_turn else "round",
            evaluate_every=EVERY if is_often else 1,
        )
    except TrainingError as error:
        done = History() if error.history is None else error.history
        return done, len(done) + 1
    return run.history, None


def _result(
    setting: Setting, case: Case, seed: int, history: History, diverged: int | None, cpu_s: float
) -> Result:
    tested = [row.accuracy for row in history if row.accuracy is not None]
    found = measured(history) if diverged is None else None
    rows = history.rows
    return Result(
        setting=setting.name,
        case=case.name,
        seed=seed,
        rounds=setting.rounds,
        turns=len(history.turns),
        highest=found.highest if found else max(tested, default=None) if not diverged else None,
        last=tested[-1] if tested and diverged is None else None,
        forgetting=found.forgetting if found else None,
        mean_forgetting=found.mean_forgetting if found else None,
        backward_transfer=found.backward_transfer if found else None,
        sent_bytes=sum(rows[-1].traffic_bytes.values()) if rows else 0,
        round_s=rows[-1].round_s if rows else None,
        diverged=diverged,
        cpu_s=cpu_s,
    )


def _curve(history: History) -> Curve:
    return [turn.accuracy for _, turn in history.turns if turn.accuracy is not None]


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _write(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> str | int | float | None:
    if name in ("setting", "case"):
        return text
    if not text:
        return None
    if name in ("seed", "rounds", "turns", "sent_bytes", "diverged"):
        return int(text)
    return float(text)
