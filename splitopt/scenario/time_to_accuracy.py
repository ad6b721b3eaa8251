"""The section ``time_to_accuracy``: a measured curve of rounds, and what may be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from splitopt.errors import InputError
from splitopt.profiles.fitting.rounds_curve import BOX, CONSTANTS, RoundsCurve
from splitopt.scenario.file_content import FileContent
from splitopt.scenario.machine import Count, Part
from splitopt.scenario.quantity import Truth

SECTION, FIELD = "time_to_accuracy", "curve"


def _curve_schema() -> dict[str, Any]:
    """Return the JSON schema of a curve of rounds."""
    number = {"type": "number", "minimum": 0}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    whole = {
        "type": "object",
        "properties": {
            "format": {"const": "splitopt-rounds-curve"},
            "version": {"const": 1},
            "name": {"type": "string"},
            "metric": {"type": "string"},
            "target": {"type": "number"},
            **dict.fromkeys(CONSTANTS, number),
            "calibrated": {
                "type": "object",
                "properties": {
                    **dict.fromkeys(BOX, pair),
                    "devices": {"type": "integer", "minimum": 1},
                },
                "required": [*BOX, "devices"],
                "additionalProperties": False,
            },
            "step_rule": {"type": "object"},
            "ranges": {
                "type": "object",
                "properties": dict.fromkeys(CONSTANTS, pair),
                "required": list(CONSTANTS),
                "additionalProperties": False,
            },
            "median_error": number,
            "reference_runs": number,
            "convergence_bound": {"type": "object"},
            "runs": {"type": "array", "items": {"type": "object"}},
            "notes": {"type": "array", "items": {"type": "string"}},
        },
        "required": [
            *("format", "version", "name", "metric", "target"),
            *(*CONSTANTS, "calibrated", "step_rule"),
        ],
        "additionalProperties": False,
    }
    return {
        "description": "A curve file that 'splitopt calibrate' wrote, or a file's content.",
        "anyOf": [{"type": "string"}, whole],
    }


Choices = Annotated[tuple[Count, ...], Field(min_length=1, max_length=4096)]


class TimeToAccuracySection(Part):
    """Plan for the least time to a target: cuts, a batch size per device, and how often to average.

    ``curve`` says how many rounds that takes: a file that ``splitopt calibrate`` wrote. A round is
    a step of every device; ``batch_size`` and ``aggregation_interval`` (steps between two averages
    of the devices' parts) list what may be chosen, within what the curve was calibrated for, unless
    ``extrapolate`` is true. The batch sizes may stand in ``training`` instead. ``cuts`` are
    ``common``, or ``per_device``.
    """

    HINTS: ClassVar[Mapping[str, str]] = {
        "batch_sizes": "write it as 'batch_size', a list of what may be chosen",
        "interval": "write it as 'aggregation_interval', a list of what may be chosen",
        "target": "it is part of the curve, for which 'splitopt calibrate' measures the rounds",
        "learning_rate": "it is part of the curve: its step rule",
    }

    curve: Annotated[
        RoundsCurve, FileContent(RoundsCurve, "curve of rounds", "curve file", _curve_schema)
    ]
    batch_size: Choices | None = None
    aggregation_interval: Choices = (1,)
    cuts: Literal["common", "per_device"] = "common"
    extrapolate: Truth = False

    @model_validator(mode="before")
    @classmethod
    def _needs_a_curve(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get(FIELD) is None:
            raise InputError(
                "'curve' is missing: how many rounds a training takes; 'splitopt calibrate' "
                "measures it"
            )
        return value

    @model_validator(mode="after")
    def _is_calibrated(self) -> Self:
        for name in BOX[:2]:
            if (values := getattr(self, name)) is not None:
                self.expect_calibrated(name, values)
        return self

    def expect_calibrated(self, name: str, values: tuple[int, ...]) -> None:
        """Raise `InputError` for choices that stand twice, or that the curve is not for.

        `name` is ``batch_size`` or ``aggregation_interval``, whatever lists these of it.
        """
        for place, value in enumerate(values):
            if value in values[:place]:
                raise InputError(f"{name}[{place}] is {value}, which stands there before")
            box = self.curve.calibrated[name]
            if not (self.extrapolate or box.holds(value)):
                raise InputError(
                    f"{name}[{place}] is {value}, and the curve was calibrated from {box}; "
                    "choose within, calibrate again, or say 'extrapolate: true'"
                )


def with_curve_file_read(document: Any, folder: Path) -> Any:
    """Replace the name of a curve file, relative to the scenario, by its content.

    So a scenario, and a plan made of it, needs no other file.
    """
    section = document.get(SECTION) if isinstance(document, Mapping) else None
    if not isinstance(section, Mapping) or not isinstance(section.get(FIELD), str):
        return document
    curve = RoundsCurve.load(folder / section[FIELD])
    return {**document, SECTION: {**section, FIELD: curve.to_dict()}}
