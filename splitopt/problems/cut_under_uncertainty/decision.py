"""The decision of `CutUnderUncertainty`: one cut, and what to do in every sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitopt.errors import InputError, shown
from splitopt.problems.arrays import whole_number
from splitopt.problems.base import check_keys
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision


@dataclass(frozen=True, eq=False)
class CutUnderUncertaintyDecision:
    """The cut that is taken before anything is known, and the answer to every sample.

    Parameters
    ----------
    cut
        0-based index into the problem's ``cuts``.
    recourse
        Per sample the clusters and subcarriers.
    """

    cut: int
    recourse: tuple[ClusterAndSpectrumDecision, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cut", whole_number(self.cut, "cut", 0))
        object.__setattr__(self, "recourse", tuple(self.recourse))
        for j, answer in enumerate(self.recourse):
            if not isinstance(answer, ClusterAndSpectrumDecision):
                raise InputError.at(
                    f"recourse[{j}]",
                    f"is {shown(answer, 80)}, it must be a ClusterAndSpectrumDecision",
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        answers = [answer.to_dict() for answer in self.recourse]
        return {
            "problem": "cut_under_uncertainty",
            "cut": self.cut,
            "recourse": [
                {key: value for key, value in answer.items() if key != "problem"}
                for answer in answers
            ],
        }

    @classmethod
    def from_dict(
        cls,
        document: Mapping[str, Any],
        cuts: int,
        samples: int,
        devices: int,
        source: str = "decision",
    ) -> CutUnderUncertaintyDecision:
        """Read a decision for so many cuts, samples and devices."""
        checked = check_keys(document, ("cut", "recourse"), ("problem",), source)
        cut = checked["cut"]
        if whole_number(cut, f"{source}.cut", 0) >= cuts:
            raise InputError.at(
                f"{source}.cut", f"is {shown(cut)}, it must be a whole number from 0 to {cuts - 1}"
            )
        answers = checked["recourse"]
        if not isinstance(answers, list | tuple) or len(answers) != samples:
            found = len(answers) if isinstance(answers, list | tuple) else shown(answers)
            raise InputError.at(
                f"{source}.recourse", f"has {found} entries, it needs one for each of {samples}"
            )
        return cls(
            cut,
            tuple(
                ClusterAndSpectrumDecision.from_dict(answer, devices, f"{source}.recourse[{j}]")
                for j, answer in enumerate(answers)
            ),
        )
