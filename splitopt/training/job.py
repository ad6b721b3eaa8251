"""What is to be trained: the one description that every way of training, and an export, takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splitopt.documents.checks import check_seed
from splitopt.errors import InputError
from splitopt.plans import Plan
from splitopt.training.options import Options

if TYPE_CHECKING:
    from torch import nn

    from splitopt.profiles.tracing.finding import Stages
    from splitopt.training.data.partition import Samples
    from splitopt.training.matching import By


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A plan, the model and the data to train it with, and how.

    Parameters
    ----------
    plan, model, data, partition, samples, scheme, options, seed, match, stages, device, source
        As for `splitopt.training.runner.train`. An export reads the plan, the model, how they are
        matched, the stages, and how messages call the plan.

    Raises
    ------
    InputError
        A seed that is no whole number, or a plan or options of another type.
    """

    plan: Plan
    model: nn.Module | str | None = None
    data: Any = "digits"
    partition: str = "iid"
    samples: Samples = "plan"
    scheme: str | None = None
    options: Options | None = None
    seed: int = 0
    match: By = "structure"
    stages: Stages | None = None
    device: str = "cpu"
    source: str = "plan"

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not isinstance(self.plan, Plan):
            raise InputError.at(
                "plan", f"is of type {type(self.plan).__name__}; Plan.load reads a file"
            )
        if not isinstance(self.options, Options | None):
            raise InputError.at(
                "options", f"is of type {type(self.options).__name__}, it must be Options"
            )

    @property
    def named(self) -> dict[str, str]:
        """Return model and data where they are given by name."""
        given = {"model": self.model, "data": self.data}
        return {what: text for what, text in given.items() if isinstance(text, str)}
