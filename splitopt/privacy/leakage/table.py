"""The leakage of each cut of a model, as a table that is a file; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from splitopt.documents.checks import check_choice
from splitopt.documents.json_text import expect_format, read_json
from splitopt.errors import InputError
from splitopt.privacy.leakage.settings import RECONSTRUCTIONS, VIEWS
from splitopt.profiles import ModelProfile
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.leakage_record import LeakageRecord
from splitopt.storage.writing import write_json

FORMAT, VERSION = "splitopt-leakage", 1
MEASURES = ("cosine", "centred_cosine", "ssim")
"""Of a reconstruction, those that are 1 for a perfect one; beside them there is ``psnr_db``."""
Bound = Literal["mean", "high"]
_WORDS = {"white": "white box", "black": "black box"}


@dataclass(frozen=True)
class Spread:
    """Values of several samples in short.

    Parameters
    ----------
    mean, std
        The standard deviation is that of a sample, with n - 1.
    low, high
        Between them lies the mean in 95 % of repetitions, by Student's t.
    count
        How many values there are.
    """

    mean: float
    std: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute it; a single value has no spread."""
        from scipy.stats import t

        found = np.asarray(values, dtype=np.float64)
        mean, count = float(found.mean()), len(found)
        std = float(found.std(ddof=1)) if count > 1 else 0.0
        half = float(t.ppf(0.975, count - 1)) * std / count**0.5 if count > 1 else 0.0
        return cls(mean, std, mean - half, mean + half, count)


@dataclass(frozen=True)
class LeakageRow:
    """One measure of one attack at one cut.

    Parameters
    ----------
    cut, layer
        The number of layers before the cut, from 1, and the name of the last of them.
    attack, view, measure
        What was done, what the attacker had, and what was compared.
    value
        Over the samples.
    chance
        What the same measure gives without any attack, where that is known: of a label inference
        with labels in random order. Reconstructions have `LeakageTable.baselines`.
    """

    cut: int
    layer: str
    attack: str
    view: str
    measure: str
    value: Spread
    chance: float | None = None


@dataclass(frozen=True, eq=False)
class LeakageTable:
    """What each cut of a model leaks.

    Parameters
    ----------
    model
        The name of the profile.
    layers, model_bytes
        Names of all L layers, and the bytes of parameters before each cut: they tell whether a
        profile is of the same model.
    data, data_digest
        The data set.
    weights
        Which weights were attacked, in words.
    settings
        What `splitopt.privacy.leakage.settings.LeakageSettings.to_dict` gives.
    rows
        By cut, attack, view and measure.
    baselines
        Baseline (``random``, ``constant``, ``mean_image``) -> measure -> its spread: what looks
        like the samples without having seen anything of them.
    accuracy
        Of the weights on the test data, where the model tells classes apart.
    """

    model: str
    layers: tuple[str, ...]
    model_bytes: tuple[float, ...]
    data: str
    data_digest: str
    weights: str
    settings: Mapping[str, Any]
    rows: tuple[LeakageRow, ...]
    baselines: Mapping[str, Mapping[str, Spread]] = field(default_factory=dict)
    accuracy: float | None = None

    @property
    def cuts(self) -> tuple[int, ...]:
        """Return the cuts that were measured, from 1."""
        return tuple(sorted({row.cut for row in self.rows}))

    def worst(self, cut: int, view: str, measure: str) -> LeakageRow | None:
        """Return the reconstruction that recovers most at a cut, None if there is none."""
        found = [
            row
            for row in self.rows
            if (row.cut, row.view, row.measure) == (cut, view, measure)
            and row.attack in RECONSTRUCTIONS
        ]
        return max(found, key=lambda row: row.value.mean, default=None)

    def column(self, view: str = "white", measure: str = "cosine", bound: Bound = "mean") -> Array:
        """Compute the leakage of all L cuts, for a profile.

        At each cut it is that of the attack that recovers most. An attacker who holds a deeper
        cut's smashed data could have computed them from those of this one, so no cut leaks less
        than a deeper one does: the column is the running maximum from the last cut to the first.
        At cut L nothing is sent, and nothing leaks.

        Parameters
        ----------
        view
            What the attacker has.
        measure
            ``cosine`` is Eq. 18 of DP-MORA.
        bound
            ``mean``, or ``high``, the upper end of the 95 % interval.

        Raises
        ------
        InputError
            A cut was not attacked so.
        """
        return self._columns(view, measure)[bound]

    def onto(
        self,
        profile: ModelProfile,
        view: str = "white",
        measure: str = "cosine",
        bound: Bound = "mean",
    ) -> ModelProfile:
        """Return the profile with this leakage, its intervals and how they were found.

        Parameters
        ----------
        profile
            Of the same model.
        view, measure, bound
            As for `column`.

        Raises
        ------
        InputError
            The profile is of another model, or a cut was not attacked.
        """
        check_same_model(self.model, self.layers, self.model_bytes, profile)
        columns = self._columns(view, measure)
        record = LeakageRecord(self.method(view, measure, bound), columns["low"], columns["high"])
        known = {**profile.provenance.columns, "leakage": "measured"}
        return replace(
            profile,
            leakage=columns[bound],
            leakage_record=record,
            provenance=replace(profile.provenance, columns=known),
        )

    def method(self, view: str, measure: str, bound: Bound = "mean") -> str:
        """Describe in one sentence what a column is."""
        attacks = [name for name in self.settings["attacks"] if name in RECONSTRUCTIONS]
        what = "95 % upper limit of the mean" if bound == "high" else "mean"
        return (
            f"{what} {measure.replace('_', ' ')} of {self.settings['samples']} samples of "
            f"{self.data} and their reconstructions ({_WORDS[view]}: the better of "
            f"{' and '.join(name.replace('_', ' ') for name in attacks)}; {self.weights}), made "
            "monotone"
        )

    def _columns(self, view: str, measure: str) -> dict[str, Array]:
        check_choice("view", view, VIEWS)
        check_choice("measure", measure, MEASURES)
        length = len(self.layers)
        found = {name: np.zeros(length) for name in ("mean", "low", "high")}
        for cut in range(1, length):
            row = self.worst(cut, view, measure)
            if row is None:
                raise InputError(
                    f"no {_WORDS[view]} reconstruction gives the {measure} of cut {cut} "
                    f"({self.layers[cut - 1]}); measure all cuts with such an attack"
                )
            for name in found:
                found[name][cut - 1] = np.clip(getattr(row.value, name), 0.0, 1.0)
        return {name: np.maximum.accumulate(own[::-1])[::-1] for name, own in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the content of a file."""
        own = {name: getattr(self, name) for name in _PLAIN}
        return {
            "format": FORMAT,
            "version": VERSION,
            **own,
            "layers": list(self.layers),
            "model_bytes": list(self.model_bytes),
            "settings": dict(self.settings),
            "rows": [asdict(row) for row in self.rows],
            "baselines": {
                name: {measure: asdict(value) for measure, value in values.items()}
                for name, values in self.baselines.items()
            },
        }

    @classmethod
    def from_dict(cls, document: Any, source: str = "leakage table") -> LeakageTable:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        from splitopt.documents.schemas import validated
        from splitopt.privacy.leakage.documents import LeakageDocument

        expect_format(document, source, FORMAT, VERSION)
        read = validated(LeakageDocument, document, source)
        count = len(read.layers)
        if len(read.model_bytes) != count or any(row.cut >= count for row in read.rows):
            raise InputError.at(source, f"has {count} layers, and numbers of other cuts")
        rows = tuple(
            LeakageRow(**{**row.model_dump(), "value": Spread(**row.value.model_dump())})
            for row in read.rows
        )
        baselines = {
            name: {measure: Spread(**value.model_dump()) for measure, value in values.items()}
            for name, values in read.baselines.items()
        }
        return cls(
            **{name: getattr(read, name) for name in _PLAIN},
            layers=tuple(read.layers),
            model_bytes=tuple(read.model_bytes),
            settings=read.settings.model_dump(),
            rows=rows,
            baselines=baselines,
        )

    def save(self, path: str | Path) -> None:
        """Write a JSON file; raise `InputError` if that is not possible."""
        write_json(path, self.to_dict(), indent=1)

    @classmethod
    def load(cls, path: str | Path) -> LeakageTable:
        """Read a JSON file; raise `InputError` if it is none of this kind."""
        return cls.from_dict(read_json(path), str(path))


def check_same_model(
    model: str, layers: Sequence[str], model_bytes: Sequence[float], profile: ModelProfile
) -> None:
    """Raise `InputError` where a profile is not of the model that is, or was, attacked."""
    if tuple(layers) == profile.layers and np.array_equal(profile.device_model_bytes, model_bytes):
        return
    raise InputError(
        f"the leakage is that of {model} with {len(layers)} layers and {model_bytes[-1]:g} bytes "
        f"of parameters, not of {profile.name} ({profile.layer_count} layers, "
        f"{profile.device_model_bytes[-1]:g} bytes); measure the profile's own model"
    )


_PLAIN = ("model", "data", "data_digest", "weights", "accuracy")
