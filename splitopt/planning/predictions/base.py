"""The prediction of a plan as a typed value, and as the plain data of a plan file."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict

from splitopt.documents.schemas import Document, validated


class Part(Document):
    """A part of a prediction: immutable; a field with a default is left out while it has it."""

    model_config = ConfigDict(allow_inf_nan=True)


class RoundInterval(Part):
    """Between which ends the real round lies, or why that is unknown.

    Parameters
    ----------
    low_s, high_s
        The ends in s.
    level
        The probability at which the interval of each machine holds.
    method
        How the intervals of the machines were carried through to the round.
    unknown
        The reason, where no ends are known.
    """

    low_s: float | None = None
    high_s: float | None = None
    level: float | None = None
    method: str | None = None
    unknown: str | None = None


class Prediction(Part):
    """What every plan promises; the class of a problem lists all fields in the file's order.

    Parameters
    ----------
    objective_unit
        Of the objective's value: ``s`` or ``J``.
    round_s, training_s
        Seconds of a round and of all rounds.
    round_interval
        Where the real round lies, from what is known of the machines.
    confidence
        What a sampling solver proved of its plan, as its result has it.
    """

    objective_unit: str
    round_s: float
    training_s: float
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def remarks(self) -> list[str]:
        """Return what a reader should know about this very plan, in sentences."""
        return []

    def bound_by_leakage(self) -> list[str] | None:
        """Return the devices that the leakage limit binds, None where that is not known."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as a plan file holds it."""
        found = self.model_dump(exclude_defaults=True)
        # pydantic puts inherited fields first; the file has them where the class lists them.
        return {name: found[name] for name in type(self).__annotations__ if name in found}

    @classmethod
    def from_dict(cls, data: Any, source: str = "prediction") -> Self:
        """Read the prediction of a plan of this version.

        Raises
        ------
        InputError
            A field is missing, unknown, or not of its form.
        """
        return validated(cls, data, source)
