"""What is to be trained: the one description that every way of training, and an export, takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from splitopt.documents.checks import check_seed
from splitopt.errors import InputError, shown
from splitopt.models.adapters.choice import Adapters
from splitopt.plans import Plan
from splitopt.training.options import Options

if TYPE_CHECKING:
    from torch import nn

    from splitopt.profiles.tracing.cuts.finding import Stages
    from splitopt.training.data.partition import Samples
    from splitopt.training.preparing.matching import By
    from splitopt.training.schemes.base import Scheme
    from splitopt.training.tasks import Task


DEFAULT_DATA = "digits"


class MatchFields(TypedDict, total=False):
    """The fields of a `TrainingJob` by which the model is held against the plan, as keywords."""

    match: By
    stages: Stages | None


class SchemeFields(TypedDict, total=False):
    """The field of a `TrainingJob` by which another scheme trains, as a keyword."""

    scheme: type[Scheme] | str | None


class JobFields(MatchFields, SchemeFields, total=False):
    """The fields of a `TrainingJob` that every way of training takes, as keywords."""

    partition: str
    samples: Samples
    options: Options | None
    seed: int
    task: Task | str
    adapters: Adapters | None
    initial_weights: str | os.PathLike[str] | None
    test_at: str | None


class OwnProcessFields(JobFields, total=False):
    """The fields of a `TrainingJob` that training in one process takes, as keywords."""

    device: str


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A plan, the model and the data to train it with, and how.

    Parameters
    ----------
    plan
        It says who takes part with how many samples and which batches, where everybody cuts, the
        local work of a round, and the clusters.
    model
        A module, the name of a shipped network, or ``MODULE:FACTORY``; by default the shipped
        network that the plan's profile is named after. It is copied, not changed.
    data
        As for `splitopt.training.data.load_data`; None for the source that the plan's scenario
        states under ``data``, or else ``"digits"``.
    task
        What is trained for: a `splitopt.training.tasks.Task`, the name of one, or the user's own
        as ``FILE.py:NAME``, see `splitopt.training.tasks.task_of`; None for that of the scenario,
        or else ``"classification"``.
    partition
        How data is shared out, see `splitopt.training.data.partition.partition`; None for that of
        the scenario, or else ``"iid"``. A dict of data by device is each device's own.
    samples
        ``"plan"``: each client has as many as planned; ``"data"``: all data in these proportions.
    scheme
        Train the same clients by another scheme: the name of one of splitopt's, to compare with, or
        of another package's, your own as ``FILE.py`` or ``FILE.py:NAME``, or a class of schemes.
    options
        Optimizers, and what papers leave open.
    seed
        Of weights, partition, batches, dropout and orders. The same seed gives the same bits.
    match
        ``"structure"``: the model must be the one of the plan's table to the byte; ``"names"``:
        cuts are taken by the names of layers.
    stages
        The stages that the model was profiled with, where they were declared: names of submodules,
        layers or functions.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"auto"``.
    source
        How messages call the plan.
    adapters
        The low-rank adapters that the model is given, everything else being frozen; by default
        those that it had when it was profiled.
    initial_weights
        A safetensors file with the weights that training begins with, of the model without adapters
        or with them.
    test_at
        The device whose own data hold those to test with, beside those to train with, where data
        stay home: it tests the common model, and says what loss and metrics are.

    Raises
    ------
    InputError
        A seed that is no whole number, or a plan or options of another type.
    """

    plan: Plan
    model: nn.Module | str | None = None
    data: Any = None
    partition: str = None  # type: ignore[assignment]  # until the plan has been asked
    samples: Samples = "plan"
    scheme: type[Scheme] | str | None = None
    options: Options | None = None
    seed: int = 0
    match: By = "structure"
    stages: Stages | None = None
    device: str = "cpu"
    source: str = "plan"
    task: Task | str = None  # type: ignore[assignment]  # until the plan has been asked
    adapters: Adapters | None = None
    initial_weights: str | os.PathLike[str] | None = None
    test_at: str | None = None

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
        if not isinstance(self.adapters, Adapters | None):
            raise InputError.at(
                "adapters",
                f"is of type {type(self.adapters).__name__}, it must be Adapters",
            )
        if not isinstance(self.test_at, str | None):
            raise InputError.at(
                "test_at", f"is {shown(self.test_at)}, it must be the name of a device"
            )
        self._take_from_scenario()

    def _take_from_scenario(self) -> None:
        """Set what is not given to what the plan's scenario states of it, or to what is usual."""
        stated = self.plan.scenario.get("data")
        stated = stated if isinstance(stated, Mapping) else {}
        if isinstance(self.data, Mapping):  # by device
            stated = {name: value for name, value in stated.items() if name != "partition"}
        for name, field, usual in (
            ("data", "source", DEFAULT_DATA),
            ("partition", "partition", "iid"),
            ("task", "task", "classification"),
        ):
            if getattr(self, name) is None:
                found = stated.get(field)
                object.__setattr__(self, name, found if isinstance(found, str) else usual)

    @property
    def named(self) -> dict[str, str]:
        """Return model, data and task where they are given by name; the usual task is not."""
        given = {"model": self.model, "data": self.data}
        if self.task != "classification":
            given["task"] = self.task
        return {what: text for what, text in given.items() if isinstance(text, str)}
