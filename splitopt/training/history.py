"""What a training has done so far: a row per round, as a table that files keep.

Free of PyTorch. Two runs with the same plan, data, options and seed have equal histories: nothing
in here was taken from a clock on the wall, but rates that parties over connections have measured
for plans that follow them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitopt.documents.json_text import expect_format, read_json
from splitopt.documents.taking import path_of
from splitopt.errors import InputError
from splitopt.extras import data_frame
from splitopt.showing import Drawn, Shown
from splitopt.storage.writing import write_rows
from splitopt.training.by_client import Spread, spread_of
from splitopt.training.by_turn import TurnRow
from splitopt.training.round_row import RoundRow as RoundRow
from splitopt.units import counted

FORMAT = "splitopt-history"
VERSION = 1
TRAFFIC = ("smashed", "gradient", "label", "model_down", "model_up", "statistics")
"""What is counted in bytes; see `splitopt.training.schemes.tally.Traffic`."""
TIED_TRAFFIC = ("tied_down", "tied_up")
"""What is counted besides where both sides of a cut hold a copy of a weight."""
SECURE_TRAFFIC = ("secure_down", "secure_up")
"""What is counted besides under secure aggregation: keys, and shares of secrets."""
FISHER_TRAFFIC = ("fisher_down", "fisher_up")
"""What is counted besides where devices hand on what their weights are worth, see `Remembering`."""


@dataclass(frozen=True, repr=False)
class History(Shown, Drawn):
    """The rounds of a training in order, and where they are from.

    Parameters
    ----------
    rows
        A row per round, from round 1 on.
    origin
        Plain data: plan, scheme, data, seed.
    """

    rows: tuple[RoundRow, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[RoundRow]:
        return iter(self.rows)

    def _brief(self) -> str:
        best = self.best
        words = "" if best is None else f", {self.metric or 'test loss'} {self.value_of(best):.4g}"
        return f"{counted(len(self.rows), 'round')}{words}"

    def to_frame(self) -> Any:
        """Return a row for every round as a ``pandas.DataFrame``, with the columns of `to_csv`."""
        return data_frame(self.to_csv())

    def with_row(self, row: RoundRow) -> History:
        """Return a history with one more round."""
        return History((*self.rows, row), self.origin)

    @property
    def clock_s(self) -> float | None:
        """When the last round ends by the virtual clock, 0 before the first one."""
        return self.rows[-1].clock_s if self.rows else 0.0

    @property
    def evaluated(self) -> tuple[RoundRow, ...]:
        """The rounds after which the model was tested."""
        return tuple(
            row for row in self.rows if row.accuracy is not None or row.test_loss is not None
        )

    @property
    def turns(self) -> tuple[tuple[int, TurnRow], ...]:
        """The turns that were tested, in their order, each behind the number of its round."""
        return tuple((row.round, turn) for row in self.rows for turn in row.turns)

    @property
    def metric(self) -> str | None:
        """The metric by which models are compared; None for the test loss."""
        found = self.origin.get("metric", "accuracy")
        return found if isinstance(found, str) else None

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of `metric` is a better model."""
        return bool(self.origin.get("higher_is_better", True)) and self.metric is not None

    def value_of(self, row: RoundRow) -> float | None:
        """Return the metric of a round, None where it was not tested."""
        if self.metric is None:
            return row.test_loss
        return row.metrics.get(self.metric, row.accuracy if self.metric == "accuracy" else None)

    @property
    def best(self) -> RoundRow | None:
        """The first round of the best metric, by default of accuracy; None before any test."""
        sign = 1.0 if self.higher_is_better else -1.0
        tested = [(sign * value, -row.round, row) for row, value in self._values()]
        return max(tested, key=lambda item: item[:2])[2] if tested else None

    def _values(self) -> list[tuple[RoundRow, float]]:
        found = ((row, self.value_of(row)) for row in self.evaluated)
        return [(row, value) for row, value in found if value is not None]

    def spread(self, row: RoundRow, name: str | None = None) -> Spread | None:
        """Return how far a value of a round is spread over clients, None where no client has it.

        Parameters
        ----------
        row
            The round.
        name
            A metric of the task, ``loss`` for that of the training or ``test_loss``; by default
            that by which models are compared.
        """
        return spread_of(row.clients, name or self.metric or "test_loss")

    def variations(self, name: str | None = None) -> dict[int, float]:
        """Return the coefficient of variation over clients by the number of the round.

        Of the rounds in which at least two clients have the value, which is named as for `spread`
        (SplitFed's Fig. 4 has that of the accuracy).
        """
        found = ((row.round, self.spread(row, name)) for row in self.rows)
        return {
            number: own.variation
            for number, own in found
            if own is not None and own.clients > 1 and own.variation is not None
        }

    def first_reaching(self, accuracy: float) -> RoundRow | None:
        """Return the first round after which the accuracy was at least this, or None."""
        reached = (row for row in self.evaluated if (row.accuracy or 0.0) >= accuracy)
        return next(reached, None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What was sent, by kind: those of `TRAFFIC`, and others that some round has."""
        more = (*TIED_TRAFFIC, *FISHER_TRAFFIC, *SECURE_TRAFFIC)
        found = (kind for kind in more if any(kind in row.traffic_bytes for row in self))
        return (*TRAFFIC, *found)

    def traffic_bytes(self) -> dict[str, int]:
        """Add up what was sent, by kind."""
        every = [row.traffic_bytes for row in self.rows]
        return {kind: sum(sent.get(kind, 0) for sent in every) for kind in self.kinds}

    def received_bytes(self) -> dict[str, dict[str, int]]:
        """Add up what each party received, by party and kind; empty without a fed server."""
        found: dict[str, dict[str, int]] = {}
        for row in self.rows:
            for party, kinds in row.received_bytes.items():
                own = found.setdefault(party, {})
                for kind, size in kinds.items():
                    own[kind] = own.get(kind, 0) + size
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the history as JSON-ready data."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "origin": dict(self.origin),
            "rounds": [row.to_dict() for row in self.rows],
        }

    @classmethod
    def from_dict(cls, document: Any, source: str = "history") -> History:
        """Read what `to_dict` wrote; raise `InputError` that starts with `source` otherwise."""
        from splitopt.documents.schemas import validated
        from splitopt.training.documents import HistoryDocument

        found = expect_format(document, source, FORMAT, VERSION)
        checked = validated(HistoryDocument, found, source)
        for index, row in enumerate(checked.rounds):
            if row.round != index + 1:
                raise InputError.at(
                    f"{source}: rounds[{index}].round", f"is {row.round}, it must be {index + 1}"
                )
        return cls(tuple(map(RoundRow.from_dict, found["rounds"])), found["origin"])

    def save(self, path: str | Path) -> None:
        """Write the history as JSON, or as CSV with a row per round when the path ends so."""
        write_rows(path, self.to_dict(), self.to_csv)

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read a history from a JSON file."""
        path = path_of(path)
        return cls.from_dict(read_json(path), str(path))

    def turns_csv(self) -> str:
        """Write a row for every turn that was tested; what is unknown is empty.

        Turns are numbered through; the round and the devices of a turn stand beside its number,
        and the accuracy of each class last: ``recall[class 3]``.
        """
        turns = self.turns
        metrics = list(dict.fromkeys(name for _, turn in turns for name in turn.metrics))
        metrics = [name for name in metrics if name != "accuracy"]
        classes = range(max((len(turn.by_class) for _, turn in turns), default=0))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        head = ("turn", "round", "clients", "trained", "test_loss", "accuracy")
        writer.writerow([*head, *metrics, *(f"recall[class {k}]" for k in classes)])
        for number, (place, turn) in enumerate(turns, start=1):
            known = (turn.test_loss, turn.accuracy, *(turn.metrics.get(name) for name in metrics))
            writer.writerow(
                [
                    *(number, place, " ".join(turn.clients), " ".join(map(str, turn.trained))),
                    *map(_known, (*known, *turn.by_class)),
                ]
            )
        return text.getvalue()

    def _metrics(self) -> list[str]:
        """Return the names of all metrics that some round has, in their order."""
        return list(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def _part_headings(self) -> list[str]:
        """Return the headings of what there is of each client and class, value by value."""
        clients = list(dict.fromkeys(name for row in self.rows for name in row.clients))
        if not any(one.test_samples for row in self.rows for one in row.clients.values()):
            clients = []
        values = ["loss", "test_loss", *self._metrics()]
        classes = {name: len(own) for row in self.rows for name, own in row.classes.items()}
        wanted = [
            *(f"{value}[{client}]" for value in values for client in clients),
            *(f"{name}[class {k}]" for name, count in classes.items() for k in range(count)),
        ]
        known = {heading for row in self.rows for heading in _parts_of(row)}
        return [heading for heading in wanted if heading in known]

    def _apart(self) -> dict[str, dict[int, float]]:
        """Return heading -> round -> how far clients are apart, where clients were tested."""
        if not any(one.test_samples for row in self.rows for one in row.clients.values()):
            return {}
        values = ["loss", "test_loss", *self._metrics()]
        found = {f"variation[{name}]": self.variations(name) for name in values}
        return {heading: own for heading, own in found.items() if own}

    def to_csv(self) -> str:
        """Write a row per round; what is unknown is empty.

        Phases, further metrics and epsilons come behind what every history has, and last what there
        is of each client, where clients were tested, and of each class: ``loss[NAME]``,
        ``accuracy[NAME]``, ``recall[class 3]``, and how far clients are apart, as the coefficient
        of variation over them: ``variation[accuracy]``. Rates that plans follow are
        ``measured_upload[NAME]`` and ``estimated_upload[NAME]``, as factors of the planned ones.
        """
        phases = list(dict.fromkeys(name for row in self.rows for name in row.phases_s))
        metrics = [name for name in self._metrics() if name != "accuracy"]
        private = list(dict.fromkeys(name for row in self.rows for name in row.epsilon))
        noisy = list(dict.fromkeys(name for row in self.rows for name in row.pixel_dp))
        planned = list(dict.fromkeys(name for row in self.rows for name in row.replan))
        correlated = any(row.distance_correlation is not None for row in self.rows)
        arrived = [(party, kind) for party, own in self.received_bytes().items() for kind in own]
        more, apart = self._part_headings(), self._apart()
        parts = [
            _parts_of(row)
            | {name: own[row.round] for name, own in apart.items() if row.round in own}
            | _rates_of(row)
            for row in self.rows
        ]
        more += apart
        more += dict.fromkeys(heading for row in self.rows for heading in _rates_of(row))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            [
                *("round", "loss", "test_loss", "accuracy", "samples", "round_s", "clock_s"),
                *(f"{kind}_bytes" for kind in self.kinds),
                "dropped",
                *(f"{name.replace(' ', '_')}_s" for name in phases),
                *metrics,
                *(f"epsilon_{name}" for name in private),
                *(f"pixel_dp_{name}" for name in noisy),
                *(["distance_correlation"] if correlated else []),
                *(f"replan_{name}" for name in planned),
                *(f"{party}_received_{kind}_bytes" for party, kind in arrived),
                *more,
            ]
        )
        for row, own in zip(self.rows, parts, strict=True):
            plain = (row.loss, row.test_loss, row.accuracy, row.samples, row.round_s, row.clock_s)
            writer.writerow(
                [
                    row.round,
                    *map(_known, plain),
                    *(row.traffic_bytes.get(kind, 0) for kind in self.kinds),
                    " ".join(row.dropped),
                    *(repr(row.phases_s.get(name, 0.0)) for name in phases),
                    *(repr(row.metrics[name]) if name in row.metrics else "" for name in metrics),
                    *(
                        "inf" if row.epsilon.get(name) is None else row.epsilon[name]
                        for name in private
                    ),
                    *(repr(row.pixel_dp[name]) if name in row.pixel_dp else "" for name in noisy),
                    *([_known(row.distance_correlation)] if correlated else []),
                    *(repr(row.replan[name]) if name in row.replan else "" for name in planned),
                    *(row.received_bytes.get(party, {}).get(kind, 0) for party, kind in arrived),
                    *(repr(own[key]) if key in own else "" for key in more),
                ]
            )
        return text.getvalue()


def _known(value: float | None) -> str:
    return "" if value is None else repr(value)


def _rates_of(row: RoundRow) -> dict[str, float]:
    """Return what a row has of the rates of devices, by the heading of its column."""
    return {
        f"{word}_{rate}[{name}]": value
        for word, rates in (("measured", row.measured), ("estimated", row.estimated))
        for name, own in rates.items()
        for rate, value in own.items()
    }


def _parts_of(row: RoundRow) -> dict[str, float]:
    """Return what a row has of each client and class, by the heading of its column."""
    found = {
        f"{name}[{client}]": value
        for client, own in row.clients.items()
        for name in ("loss", "test_loss", *own.metrics)
        if (value := own.value_of(name)) is not None
    }
    classes = {
        f"{name}[class {k}]": value
        for name, own in row.classes.items()
        for k, value in enumerate(own)
        if value is not None
    }
    return found | classes
