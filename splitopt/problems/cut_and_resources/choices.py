"""The data of `CutAndResources` in its general form: any choices, any shared resources.

Nothing that evaluates, completes, bounds or solves the problem uses that a choice is a cut, or that
there are three resources: the tables of cuts are the view of this form with R = 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError, shown
from splitopt.problems.arrays import boolean_table, indices, number_table
from splitopt.problems.base import FloatArray, IntArray, check_keys, check_objective
from splitopt.problems.cut_and_resources.budgets import Budgets, read_budgets
from splitopt.problems.cut_and_resources.choice_decision import CHOICE_RULE, ChoiceDecision
from splitopt.problems.cut_and_resources.classes import DeviceClasses
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.scoring import ScoredDecisions
from splitopt.problems.cut_and_resources.seconds import over_share
from splitopt.problems.cut_and_resources.tradeoff_fields import PRICED, priced_range, read_fields
from splitopt.problems.ranges import check_span, check_total

REQUIRED = ("resources", "work_s", "own_s", "allowed")
OPTIONAL = ("choice_names", "budgets", "priority", "energy_j", "seconds_per_joule")
_NONE = ("weights", "curves", "device_w", "radio_w")
"""Fields of the tables of cuts that this form does not have."""
CUT_RULE = "solvers number choices from 1"
_BLOCK = 1_000_000
"""Numbers in a block of devices."""


class ChoicesData(ScoredDecisions):
    """The data of `ChoicesAndResources`, which documents its fields."""

    version: ClassVar[int] = 2
    decision_class: ClassVar[type[Any]] = ChoiceDecision

    work_s: FloatArray
    own_s: FloatArray
    resources: tuple[str, ...]
    choice_names: tuple[str, ...] | None
    energy_j: FloatArray | None

    def __init__(
        self,
        work_s: npt.ArrayLike,
        own_s: npt.ArrayLike,
        objective: str = "sum",
        *,
        resources: Any = None,
        allowed: Any = None,
        choice_names: Any = None,
        budgets: Any = None,
        priority: Any = None,
        energy_j: Any = None,
        seconds_per_joule: Any = None,
    ) -> None:
        check_objective(objective, self.known_objectives(), "")
        work = number_table(work_s, "work_s", "times in s", (-1, -1, -1))
        shape = (work.shape[0], work.shape[1])
        own = number_table(own_s, "own_s", "times in s", shape)
        check_span({"work_s": work, "own_s": own})
        # Each resource costs at most the square of a sum of N roots.
        longest = float(work.max(axis=(0, 1)).sum()) + float(own.max())
        check_total(float(shape[0]) ** 2 * longest, f"the times of {shape[0]} devices that share")
        if resources is None:
            resources = [f"resource {r}" for r in range(work.shape[2])]
        if allowed is None:
            allowed = np.ones(shape, dtype=np.bool_)
        state: dict[str, Any] = dict.fromkeys(_NONE)
        state |= {
            "work_s": work,
            "own_s": own,
            "objective": objective,
            "shared_links": True,
            "resources": _names(resources, "resources", work.shape[2], "resource"),
            "allowed": boolean_table(allowed, "allowed", shape),
            "choice_names": None
            if choice_names is None
            else _names(choice_names, "choice_names", shape[1], "choice"),
            "budgets": read_budgets(budgets, "budgets", shape),
            "priority": priority,
            "seconds_per_joule": seconds_per_joule,
            "energy_j": None
            if energy_j is None
            else number_table(energy_j, "energy_j", "energies in J", shape),
        }
        for field, value in state.items():
            object.__setattr__(self, field, value)
        for field, value in read_fields(self, energy=state["energy_j"] is not None).items():
            object.__setattr__(self, field, value)

    @classmethod
    def known_objectives(cls) -> tuple[str, ...]:
        """Return all objectives that some data can be asked for."""
        return (*cls.objectives, *PRICED)

    @classmethod
    def from_data(cls, data: Mapping[str, Any], objective: str, source: str = "instance") -> Self:
        """Build the problem from the ``data`` of an instance file."""
        check_objective(objective, cls.known_objectives(), source)
        given = check_keys(data, REQUIRED, OPTIONAL, f"{source}: data")
        try:
            return cls(**given, objective=objective)
        except InputError as error:
            raise InputError(f"{source}: data.{error}") from None

    def __repr__(self) -> str:
        sizes = f"{self.devices} devices, {self.layers} choices, {len(self.resources)} resources"
        return f"{type(self).__name__}({sizes}, objective={self.objective!r})"

    def fields(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        named = (*REQUIRED, *OPTIONAL, "objective")
        return {name: getattr(self, name) for name in named}

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file."""
        found: dict[str, Any] = {
            "resources": list(self.resources),
            "work_s": self.work_s,
            "own_s": self.own_s,
            "allowed": self.allowed,
        }
        if self.choice_names is not None:
            found["choice_names"] = list(self.choice_names)
        for name in ("priority", "energy_j", "seconds_per_joule"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        return found if self.budgets is None else found | {"budgets": self.budgets.data()}

    def with_objective(self, objective: str) -> Self:
        """Return the same problem under another objective; the data are shared."""
        return type(self)(**self.fields() | {"objective": objective})

    def with_budgets(self, budgets: Budgets | None) -> Self:
        """Return the same problem with other budgets, or none."""
        return type(self)(**self.fields() | {"budgets": budgets})

    @cached_property
    def plain(self) -> Self:
        """The problem of plain seconds with the same decisions and values, as of cuts.

        A priority multiplies all seconds of a device, and the price of energy adds to its own ones.
        """
        if self.objective not in PRICED and self.priority is None:
            return self
        names = ("resources", "allowed", "choice_names", "budgets")
        kept = {name: getattr(self, name) for name in names}
        with priced_range(), np.errstate(over="ignore", under="ignore"):
            if self.objective == "energy":
                assert self.energy_j is not None  # read_fields() saw to it
                return type(self)(np.zeros_like(self.work_s), self.energy_j, "sum", **kept)
            factor = np.ones(self.devices) if self.priority is None else self.priority
            own, objective = factor[:, None] * self.own_s, self.objective
            if objective == "latency_energy":
                assert self.energy_j is not None  # read_fields() saw to it
                assert self.seconds_per_joule is not None
                own, objective = own + self.seconds_per_joule * self.energy_j, "sum"
            return type(self)(factor[:, None, None] * self.work_s, own, objective, **kept)

    @property
    def choice_word(self) -> str:
        """What a device's alternatives are called in messages."""
        return "choice"

    @property
    def share_names(self) -> tuple[str, ...]:
        """The names of the shares (R of them) in violations."""
        return tuple(f"share of {name}" for name in self.resources)

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return int(self.work_s.shape[0])

    @property
    def layers(self) -> int:
        """Number of choices O."""
        return int(self.work_s.shape[1])

    @cached_property
    def roots(self) -> FloatArray:
        """Shape (N, O, R): square roots of the seconds of each resource."""
        return np.sqrt(self.work_s)

    def device_classes(self, rows: slice = slice(None)) -> DeviceClasses:
        """Return the tables of some devices, by default of all."""
        work = np.moveaxis(self.work_s[rows], 2, 0)
        seconds = np.concatenate((work, self.own_s[None, rows]))
        allowed = self.allowed[rows]
        return DeviceClasses(seconds, allowed, np.ones(len(allowed), dtype=np.int64))

    def class_blocks(self) -> Iterator[DeviceClasses]:
        """Yield the devices in blocks, whose tables need little memory."""
        size = max(1, _BLOCK // (self.work_s[0].size + self.layers))
        for start in range(0, self.devices, size):
            yield self.device_classes(slice(start, start + size))

    def chosen(self, cuts: IntArray) -> FloatArray:
        """Shape (R + 1, N): seconds of each resource, and own ones, of choices (N,), from 1."""
        rows, columns = np.arange(self.devices), cuts - 1
        return np.vstack((self.work_s[rows, columns].T, self.own_s[rows, columns]))

    def checked_cuts(self, cuts: npt.ArrayLike, source: str) -> IntArray:
        """Return choices as an array, shape (N,), each from 1 to O; else raise `InputError`."""
        return indices(cuts, source, CUT_RULE, 1, self.layers, self.devices)

    def checked_choices(self, choice: npt.ArrayLike, source: str) -> IntArray:
        """Return choices as an array, shape (N,), each from 0 to O-1; else raise `InputError`."""
        return indices(choice, source, CHOICE_RULE, 0, self.layers - 1, self.devices)

    def decision_of(self, cuts: IntArray, shares: FloatArray) -> ChoiceDecision:
        """Return the decision of choices (N,), from 1, and shares (N, R)."""
        return ChoiceDecision(np.asarray(cuts) - 1, shares)

    def phases(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N, R + 1): seconds by resource and own, infinite where a needed share is missing.

        Raises
        ------
        InputError
            The decision is not one of this problem: its class, its sizes, or an unknown choice.
        """
        decision = self.taken(decision)
        self.checked_choices(decision.cut - 1, "decision.choice")
        seconds = self.chosen(decision.cut).T
        return np.column_stack((over_share(seconds[:, :-1], decision.shares), seconds[:, -1]))

    def energy(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N,): joule of every device in a round; needs ``energy_j``."""
        cuts = self.checked_cuts(self.taken(decision).cut, "decision.cut")
        assert self.energy_j is not None  # the objectives that ask for it need it
        return np.asarray(self.energy_j[np.arange(self.devices), cuts - 1])


def _names(value: Any, source: str, size: int, of: str) -> tuple[str, ...]:
    """Read a list of different names, one for each of `size` resources or choices."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise InputError.at(source, f"is {shown(value)}, it must be a list of names")
    if len(value) != size:
        raise InputError.at(source, f"has {len(value)} names, it needs {size}, one per {of}")
    for place, name in enumerate(value):
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise InputError.at(f"{source}[{place}]", f"is {shown(name)}, it must be a name")
        if name in value[:place]:
            raise InputError.at(f"{source}[{place}]", f"is {shown(name)}, which stands twice")
    return tuple(value)
