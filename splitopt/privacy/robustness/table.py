"""Certified accuracy by radius, beside accuracy on clean and on attacked inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = "splitopt-robustness"
VERSION = 1


@dataclass(frozen=True)
class RadiusRow:
    """What is known of changes up to one norm, as shares of all inputs.

    Parameters
    ----------
    radius
        The norm, in the units of the data.
    certified
        Inputs that are classified rightly, and certified to be so within the radius.
    fgsm, pgd
        Inputs that are classified rightly, before and after the attack; None where there was
        none.
    flipped
        How many inputs that are certified within the radius, rightly classified or not, PGD gave
        another class: a certificate that held lets none.
    """

    radius: float
    certified: float
    fgsm: float | None = None
    pgd: float | None = None
    flipped: int | None = None


@dataclass(frozen=True)
class RobustnessTable:
    """What a noise layer certifies of some inputs.

    Parameters
    ----------
    model, data
        What they are called.
    inputs
        How many were looked at.
    clean
        Share that is classified rightly by expected scores.
    without_noise
        The same with the noise layer off, which certifies nothing.
    rows
        By radius.
    radii
        The largest certified radius of each input; 0 where its prediction has no certificate.
    right
        Whether each input is classified rightly.
    noise, sensitivity, empirical
        Scale of the noise, proved sensitivity, and the figure of Eq. 4 over these inputs.
    settings, pixel_dp
        Of the certificates, and of the noise layer.
    """

    model: str
    data: str
    inputs: int
    clean: float
    without_noise: float
    rows: tuple[RadiusRow, ...]
    radii: tuple[float, ...]
    right: tuple[bool, ...]
    noise: float
    sensitivity: float
    empirical: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    pixel_dp: Mapping[str, Any] = field(default_factory=dict)

    def certified_accuracy(self, radius: float) -> float:
        """Return the share of inputs that are right, and certified at this radius or a larger."""
        held = [
            is_right and own >= radius and own > 0
            for own, is_right in zip(self.radii, self.right, strict=True)
        ]
        return sum(held) / len(held)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        found = asdict(self)
        rows = [asdict(row) for row in self.rows]
        return {
            "format": FORMAT,
            "version": VERSION,
            **found,
            "rows": rows,
            "radii": list(self.radii),
            "right": list(self.right),
        }

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, atomically."""
        from splitopt.storage.writing import write_json

        write_json(path, self.to_dict(), indent=2)
