"""What every problem can do. A problem knows its data and nothing of any solver."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt

from splitopt.documents.json_text import expect_format
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.results import Decision, Result
from splitopt.showing import Shown
from splitopt.storage.writing import write_atomic, write_json

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike

FORMAT = "splitopt-instance"
VERSIONS = (1, 2)
"""Versions of instance files that are read."""
FEASIBILITY_TOLERANCE = 1e-9
"""A violation above this, relative to the scale of its constraint, makes a decision infeasible."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
D = TypeVar("D", bound=Decision)


class Problem(Shown, ABC, Generic[D]):
    """A question with its data: it scores decisions, checks them, and reads and writes files."""

    name: ClassVar[str]
    objectives: ClassVar[tuple[str, ...]]
    decision_class: ClassVar[type[Any]]
    version: ClassVar[int] = 1
    """The first version of instance files that holds such data."""
    required_data: ClassVar[tuple[str, ...]] = ()
    """Fields with a default that the data of an instance file must state all the same."""
    by_group: ClassVar[bool] = False
    """Whether decisions are about groups of alike things, which few solvers take."""
    robust: ClassVar[bool] = False
    """Whether the objective is a worst case, or about a quorum, which few solvers take."""
    objective: str

    @abstractmethod
    def evaluate(self, decision: D) -> float:
        """Objective value of a decision, infinite where it starves somebody."""

    @abstractmethod
    def violations(self, decision: D) -> dict[str, float]:
        """Amount by which a decision violates each constraint, in that constraint's unit.

        Only violated constraints are named, so that an empty answer means feasible.
        """

    def _brief(self) -> str:
        counts = ((getattr(self, what, None), what) for what in ("devices", "nodes", "layers"))
        sizes = [f"{count:,} {what}" for count, what in counts if isinstance(count, int)]
        return ", ".join([self.objective, *sizes])

    def taken(self, decision: D | Mapping[str, Any]) -> D:
        """Return a decision of this problem as it is, or the one that plain data describe.

        Raises
        ------
        InputError
            It is neither; the message says what it is and what makes a decision.
        """
        if isinstance(decision, self.decision_class):
            found: D = decision
            return found
        if isinstance(decision, Mapping):
            return self.decode(decision)
        mend = "problem.complete(...) makes one"
        if isinstance(decision, Result):
            mend = "take the .decision of the result"
        raise InputError.at(
            "decision",
            f"is {shown(decision, 80)} ({type(decision).__name__}), it must be a "
            f"{self.decision_class.__name__} or its plain data; {mend}",
        )

    def revived(self, decision: D) -> D:
        """Return an older decision with what follows from its choices made best for this problem.

        Where nothing follows, or the choices are not allowed any more, it is returned as it is.
        """
        return decision

    @property
    def priced(self) -> tuple[str, ...]:
        """What solvers may put prices on, which they can start from; nothing here."""
        return ()

    @property
    def plain(self) -> Self:
        """The same question in the form that solvers take; decisions and values are the same."""
        return self

    def load_loops(self) -> None:
        """Load and compile what scoring and bounding need; called before a clock starts."""

    def lift(self, decision: D) -> D:
        """Complete a decision of the plain problem where this one asks for more."""
        return decision

    @property
    def askable(self) -> tuple[str, ...]:
        """The objectives that this very problem takes: all of its kind unless data rules one out.

        ``with_objective`` gives the problem under any of them.
        """
        return self.objectives

    @abstractmethod
    def infeasibility(self) -> str | None:
        """Report why no decision can be feasible and what would have to change, None if one can."""

    @abstractmethod
    def bound(self) -> float:
        """Return a valid lower bound on the objective that is cheap, ``-inf`` if there is none."""

    @abstractmethod
    def decode(self, document: Mapping[str, Any], source: str = "decision") -> D:
        """Read a decision from plain data; raise `InputError` where it does not fit."""

    @abstractmethod
    def data(self) -> dict[str, Any]:
        """Return the data of the instance file: numpy arrays, scalars, lists, mappings of these."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any], objective: str, source: str = "instance") -> Self:
        """Build the problem from the ``data`` of an instance file.

        The entries are the fields of the problem's dataclass: those without a default, and those
        in ``required_data``, must be there.

        Raises
        ------
        InputError
            An unknown objective, a missing, unknown or wrong entry; the message names it.
        """
        check_objective(objective, cls.known_objectives(), source)
        build = cast(Any, cls)
        entries = [entry for entry in fields(build) if entry.name != "objective"]
        required = tuple(
            entry.name
            for entry in entries
            if entry.default is MISSING or entry.name in cls.required_data
        )
        optional = tuple(entry.name for entry in entries if entry.name not in required)
        checked = check_keys(data, required, optional, f"{source}: data")
        try:
            return cast(Self, build(**checked, objective=objective))
        except InputError as error:
            raise InputError(f"{source}: data.{error}") from None

    @classmethod
    def known_objectives(cls) -> tuple[str, ...]:
        """Return all objectives that some data can be asked for."""
        return cls.objectives

    @classmethod
    @abstractmethod
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = ""
    ) -> Self:
        """Build the problem from a scenario and its model profile (the scenario's by default).

        Either may be the object, the path of a file, a shipped name or plain data.
        """

    def with_objective(self, objective: str) -> Self:
        """Return the same problem under another objective."""
        return type(self).from_data(self.data(), objective, self.name)

    def archived(self) -> dict[str, Any]:
        """Return the data as ``.npz`` holds it: every array with as many entries in each row."""
        return self.data()

    def to_document(self) -> dict[str, Any]:
        """Return the instance as JSON-ready data."""
        return {
            "format": FORMAT,
            "version": self.version,
            "problem": self.name,
            "objective": self.objective,
            "data": _plain(self.data()),
        }

    def __eq__(self, other: object) -> bool:
        """Report whether another problem asks the same of the same data, whatever made it."""
        if self is other:
            return True
        if not isinstance(other, Problem) or type(self) is not type(other):
            return NotImplemented
        return self.objective == other.objective and _same(self._content(), other._content())

    def _content(self) -> dict[str, Any]:
        """Return what makes two problems of a class and an objective equal."""
        return self.data()

    def __hash__(self) -> int:
        return hash((self.name, self.objective))

    def save(self, path: str | Path, note: str = "") -> None:
        """Write the instance: JSON, or ``.npz`` when the path ends so. Atomic.

        Parameters
        ----------
        path
            Of the file.
        note
            Words for whoever opens a JSON file; an archive has none.
        """
        if Path(path).suffix != ".npz":
            document = self.to_document() | ({"note": note} if note else {})
            write_json(path, document)
            return
        head = {"format": FORMAT, "version": self.version, "problem": self.name}
        content = {**head, "objective": self.objective, **self.archived()}
        arrays: dict[str, Any] = {key: np.asarray(value) for key, value in _flat(content).items()}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomic(path, buffer.getvalue())


def _same(left: Any, right: Any) -> bool:
    """Compare the data of two problems, arrays by their entries."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(_same(one, other) for one, other in pairs)
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.array_equal(left, right)
    return bool(left == right)


def _plain(value: Any) -> Any:
    """Copy data with every array turned into lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if holds_mappings(value):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def holds_mappings(value: Any) -> bool:
    """Report whether an entry of a problem's data is a list of mappings, such as budgets."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Name the entries of inner mappings ``OUTER.INNER``, as an archive of arrays has one level.

    Those of a list of mappings are named by their number: ``OUTER.0.INNER``.
    """
    found: dict[str, Any] = {}
    for key, value in content.items():
        if holds_mappings(value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, Mapping):
            found |= {f"{key}.{inner}": item for inner, item in _flat(value).items()}
        else:
            found[key] = value
    return found


def nested(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Undo the naming of `Problem.save`: ``OUTER.INNER`` becomes an entry of a mapping."""
    found: dict[str, Any] = {}
    for key, value in entries.items():
        outer, dot, inner = key.partition(".")
        if not dot or ":" in outer:  # the dot of a number, as in ``power:-0.75``
            found[key] = value
        elif isinstance(found.setdefault(outer, {}), dict):
            found[outer][inner] = value
        else:
            raise InputError.at(key, f"stands beside an entry {outer!r}; keep one")
    return {
        outer: nested(value) if isinstance(value, dict) else value for outer, value in found.items()
    }


def check_objective(objective: Any, allowed: tuple[str, ...], source: str) -> str:
    """Check that an objective is one of the problem's."""
    if not isinstance(objective, str) or objective not in allowed:
        names = " or ".join(repr(name) for name in allowed)
        raise InputError.at(
            source,
            f"objective is {shown(objective)}, it must be {names}"
            f"{did_you_mean(objective, allowed)}",
        )
    return str(objective)


def check_keys(
    data: Any, required: tuple[str, ...], optional: tuple[str, ...], source: str
) -> Mapping[str, Any]:
    """Check that `data` is a mapping with the required keys and no unknown one."""
    if not isinstance(data, Mapping):
        raise InputError.at(source, f"must be an object with the keys {', '.join(required)}")
    for key in required:
        if key not in data:
            raise InputError.at(source, f"the field {key!r} is missing")
    for key in data:
        if key not in required and key not in optional:
            known = ", ".join(required + optional)
            raise InputError.at(
                source,
                f"the field {shown(key)} is unknown; known are {known}"
                f"{did_you_mean(key, required + optional)}",
            )
    return data


def read_header(document: Any, source: str) -> tuple[str, Any, Any]:
    """Check the top level of an instance and give its problem name, objective and data."""
    checked = expect_format(document, source, FORMAT, *VERSIONS)
    required = ("format", "version", "problem", "objective", "data")
    check_keys(checked, required, ("note", "expected"), source)
    return checked["problem"], checked["objective"], checked["data"]
