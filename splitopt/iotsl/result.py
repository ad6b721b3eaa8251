"""What a run of IoTSL has come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitopt.iotsl.messages import Sent, totals
from splitopt.plans import Plan
from splitopt.storage.writing import write_json
from splitopt.training.runner import Run

FORMAT = "splitopt-iotsl-result"
VERSION = 1


@dataclass(frozen=True)
class DeviceRow:
    """What the run says of a device.

    Parameters
    ----------
    name
        Of the device.
    counts
        Its samples of each class.
    told
        What the server knows of them.
    quality
        Of its generator by class, from 0 to 1; 0 for classes it lacks, 1 where it is not judged.
    judged
        Whether a probe of the device has judged its generator.
    epsilon
        What its generator tells of one sample of its data, None where there is no bound.
    membership
        With an epsilon: the area under the ROC curve of telling samples that the generator was
        trained on from those to test with, by their distance to what it makes; 0.5 is chance.
    received
        Whose generators it receives.
    imputed
        Samples of each class that it is given.
    """

    name: str
    counts: tuple[int, ...]
    told: tuple[int, ...]
    quality: tuple[float, ...]
    judged: bool
    epsilon: float | None
    membership: float | None
    received: tuple[str, ...]
    imputed: tuple[int, ...]

    @property
    def missing(self) -> tuple[int, ...]:
        """Classes of which it has no sample."""
        return tuple(label for label, count in enumerate(self.counts) if not count)


@dataclass(frozen=True, eq=False)
class IotslRun:
    """What a run of IoTSL has come to.

    Parameters
    ----------
    folder
        Where its files are.
    data_name
        Of the data.
    devices
        A row for each.
    messages
        All that was sent before the split training.
    pretrained
        Accuracy on the real test data after pre-training; None without.
    pairing
        The plan of the exchange; None without imputation.
    plan
        Of the split training.
    tuned
        The split training.
    plain
        The same without generators, from the same seed, where it was asked for.
    pays
        With it: the plan of the exchange with the rounds that both needed to the best accuracy that
        both have reached, which says whether the whole pays.
    costs
        For each step its name, bytes, FLOP, joule and seconds, see
        `splitopt.iotsl.paying.costs_of`.
    """

    folder: Path
    data_name: str
    devices: tuple[DeviceRow, ...]
    messages: tuple[Sent, ...]
    pretrained: float | None
    pairing: Plan | None
    plan: Plan
    tuned: Run
    plain: Run | None = None
    pays: Plan | None = None
    costs: tuple[Mapping[str, Any], ...] = ()

    @property
    def whole(self) -> Any:
        """What the plan says of the whole: `splitopt.planning.predictions.iotsl`; None without."""
        prediction = None if self.pays is None else self.pays.prediction
        return None if prediction is None else prediction.get("iotsl")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "folder": str(self.folder),
            "data": self.data_name,
            "devices": [vars(one) | {"missing": list(one.missing)} for one in self.devices],
            "messages": [one.to_dict() for one in self.messages],
            "sent": totals(self.messages),
            "steps": [dict(row) for row in self.costs],
            "pretrained_accuracy": self.pretrained,
            "tuned": self.tuned.to_dict(),
            "plain": None if self.plain is None else self.plain.to_dict(),
            "pays": None if self.pays is None else self.whole,
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        write_json(path, self.to_dict(), indent=1)
