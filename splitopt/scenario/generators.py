"""The section of a scenario about generators of samples: who has which classes, and how they go."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from splitopt.documents.checks import as_whole
from splitopt.documents.names import clean_name
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.scenario.generator_training import GeneratorTraining
from splitopt.scenario.machine import Count, Name, Part
from splitopt.scenario.quantity import NUMBER, WHOLE, Delay, Size, Truth


def _read_label(value: Any) -> int | str:
    if isinstance(value, str) and value.strip():
        return clean_name(value, "")
    found = None if isinstance(value, bool) else as_whole(value)
    if found is None:
        raise InputError(f"is {shown(value)}; a label must be a whole number or a text")
    return found


Label = Annotated[int | str, BeforeValidator(_read_label)]
Quality = Annotated[float, Field(ge=0, le=1), NUMBER]
Samples = Annotated[int, Field(ge=0, le=10**12), WHOLE]
Cap = Annotated[int, Field(ge=0, le=10**9), WHOLE]
Weight = Annotated[float, Field(ge=0, le=1e12), NUMBER]


class Generators(Part):
    """Generators of samples that devices train, for devices that lack classes (IoTSL).

    ``classes`` has for each device, or for a group of devices by its name, the labels of which it
    has samples; in its place ``counts`` has its samples of each of the ``labels``. These, which
    every device must have in the end, are by default all that some device has. ``generates`` says
    which labels a device's generator was trained on where that is not what it has; an empty list is
    a device without a generator. ``quality``, from 0 to 1, is one number or one for each of the
    ``labels``.

    ``size`` is that of a generator. It goes by the ``route`` ``server`` (up to the server and down
    again), ``direct`` (at the slower of the sender's uplink and the receiver's downlink) or
    ``stored`` (it is at the server already, and only goes down); ``latency`` delays every way.
    ``cost`` says what is minimised, seconds or bytes. What is left are the options of the problem:
    ``most_receivers`` of a generator, ``sources`` for each missing class, ``redundant`` against a
    sender that drops out, ``least_samples`` of a class that count as having it, ``least_quality``
    of a generator, and ``quality_weight``: the seconds or bytes that a quality of 0 in place of 1
    costs, for each class that is taken. ``training`` says what training the generators takes and
    saves, for the question whether they pay.
    """

    HINTS: ClassVar[Mapping[str, str]] = {
        "bytes": "state it as 'size', such as 4.46 MB",
        "caps": "state it as 'most_receivers'",
        "rate": "generators go over the links of the devices; state 'links'",
    }

    size: Size
    classes: dict[Name, tuple[Label, ...]] | None = None
    counts: dict[Name, tuple[Samples, ...]] | None = None
    labels: Annotated[tuple[Label, ...], Field(min_length=1)] | None = None
    generates: dict[Name, tuple[Label, ...]] | None = None
    quality: dict[Name, Quality | tuple[Quality, ...]] | None = None
    route: Literal["server", "direct", "stored"] = "server"
    latency: Delay | None = None
    cost: Literal["seconds", "bytes"] = "seconds"
    most_receivers: Cap | dict[Name, Cap] | None = None
    sources: Count = 1
    redundant: Truth = False
    least_samples: Count = 1
    least_quality: Quality = 0.0
    quality_weight: Weight = 0.0
    training: GeneratorTraining | None = None

    @model_validator(mode="after")
    def _has_classes(self) -> Self:
        if (self.classes is None) == (self.counts is None):
            raise InputError(
                "needs labels: either 'classes' (the labels of each device) or 'counts' (its "
                "samples of each of the 'labels')"
            )
        if self.counts is not None and self.labels is None:
            raise InputError("'counts' needs 'labels', in the order of its numbers")
        if self.least_samples > 1 and self.counts is None:
            raise InputError("'least_samples' needs 'counts', the samples of each label")
        if self.quality is None and (self.least_quality > 0 or self.quality_weight > 0):
            raise InputError("'least_quality' and 'quality_weight' need 'quality'")
        for field in ("counts", "quality"):
            self._check_lengths(field)
        return self

    def _check_lengths(self, field: str) -> None:
        """Check that lists of numbers have one for each label."""
        for name, row in (getattr(self, field) or {}).items():
            if isinstance(row, tuple) and (self.labels is None or len(row) != len(self.labels)):
                known = "are not stated" if self.labels is None else f"are {len(self.labels)}"
                raise InputError(
                    f"{field} of {shown(name)} has {len(row)} numbers, but the labels {known}; "
                    "give one number for each of 'labels'"
                )

    def check(self, groups: Sequence[tuple[str, Collection[str]]]) -> None:
        """Check the names of devices: known ones, and classes for each.

        Parameters
        ----------
        groups
            The name of each group, and of its devices.
        """
        known = {name for group, names in groups for name in (group, *names)}
        for field in ("classes", "counts", "generates", "quality", "most_receivers"):
            stated = getattr(self, field)
            for name in stated if isinstance(stated, dict) else ():
                if name not in known:
                    raise InputError.at(
                        f"generators.{field}",
                        f"names {shown(name)}, which is no device{did_you_mean(name, known)}",
                    )
        self._check_rows()
        field = "classes" if self.classes is not None else "counts"
        stated = getattr(self, field)
        for group, names in groups:
            for name in names:
                if name not in stated and group not in stated:
                    raise InputError.at(
                        f"generators.{field}",
                        f"has nothing for the device {shown(name)}; give the labels that it has",
                    )

    def _check_rows(self) -> None:
        """Check that every device has a sample, and that labels are among the stated ones."""
        rows = self.classes if self.classes is not None else self.counts
        field = "classes" if self.classes is not None else "counts"
        for name, row in (rows or {}).items():
            if not (any(row) if field == "counts" else row):
                raise InputError.at(
                    f"generators.{field}",
                    f"of {shown(name)} is empty: a device without any sample has nothing to train; "
                    "leave the device out",
                )
        known = self.labels
        if known is None:
            known = tuple(label for row in (self.classes or {}).values() for label in row)
        for field in ("classes", "generates"):
            for name, labels in (getattr(self, field) or {}).items():
                for label in labels:
                    if label not in known:
                        raise InputError.at(
                            f"generators.{field}",
                            f"of {shown(name)} names {label!r}, which is not among the labels "
                            f"{shown(sorted(set(known), key=str))}",
                        )

    def rows(self, field: str, groups: Sequence[tuple[str, Collection[str]]]) -> Iterator[Any]:
        """Yield what a field says of every single device: its own, its group's, or None."""
        stated = getattr(self, field) or {}
        for group, names in groups:
            for name in names:
                yield stated.get(name, stated.get(group))
