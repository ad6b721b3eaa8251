"""The result of a plan: how its decision was found, typed and as the plain data of the file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from splitopt.outcomes import Outcome, StopReason
from splitopt.results import PlainData, Times, TracePoint, trace_frame
from splitopt.showing import Shown

_CLOCK = ("times", "trace")


class PlanResult(Shown, PlainData):
    """How the decision of a plan was found.

    Attributes are those of `splitopt.Result`, of the same types, such as ``result.outcome``.
    As a mapping it is the plain data of the plan file, in which a number that is not finite is
    None: ``result["bound"]``.

    Two are equal if they say the same of everything but the time that it took.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        left, right = ({**one} for one in (self, other))
        for name in _CLOCK:
            left.pop(name, None)
            right.pop(name, None)
        return left == right

    __hash__ = None  # type: ignore[assignment]

    def _brief(self) -> str:
        return (
            f"{self._data.get('outcome')}, objective {self._data.get('objective')}, "
            f"bound {self._data.get('bound')}, {self._data.get('solver')}"
        )

    def to_frame(self) -> Any:
        """Return the trace as a ``pandas.DataFrame``: time_s, objective, bound."""
        return trace_frame(self.trace)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain data of the plan file."""
        return dict(self._data)

    @property
    def solver(self) -> str:
        """The solver that found the decision."""
        return str(self["solver"])

    @property
    def outcome(self) -> Outcome:
        """What there is: ``optimal``, ``feasible``, ``no_solution``, ``infeasible``, ``error``."""
        return cast(Outcome, self["outcome"])

    @property
    def stop_reason(self) -> StopReason:
        """Why the run ended."""
        return cast(StopReason, self["stop_reason"])

    @property
    def message(self) -> str | None:
        """A sentence on what would have to change, or None."""
        return cast(str | None, self["message"])

    @property
    def objective(self) -> float:
        """The value of the decision, infinite without one."""
        return _number(self["objective"], math.inf)

    @property
    def bound(self) -> float:
        """A lower bound on every decision's value, ``-inf`` if none is known.

        Infinite where it was proved that nothing is feasible.
        """
        return _number(self["bound"], math.inf if self.outcome == "infeasible" else -math.inf)

    @property
    def gap(self) -> float:
        """The relative distance of objective and bound, infinite where one is missing."""
        return _number(self["gap"], math.inf)

    @property
    def is_feasible(self) -> bool:
        """Whether there is a decision that violates nothing."""
        return self.outcome in ("optimal", "feasible")

    @property
    def violations(self) -> Mapping[str, float]:
        """By how much the decision violates each constraint; empty if it is feasible."""
        return cast(Mapping[str, float], self["violations"])

    @property
    def times(self) -> Times:
        """Wall-clock seconds of the run."""
        return Times(**self["times"])

    @property
    def iterations(self) -> int:
        """How many iterations the solver made, as it counts them."""
        return int(self["iterations"])

    @property
    def trace(self) -> tuple[TracePoint, ...]:
        """The improvements of objective and bound during the run."""
        return tuple(
            TracePoint(
                float(point["time_s"]),
                _number(point["objective"], math.inf),
                _number(point["bound"], -math.inf),
            )
            for point in self["trace"]
        )

    @property
    def seed(self) -> int:
        """The seed of random draws."""
        return int(self["seed"])

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the solver."""
        return cast(Mapping[str, Any], self["options"])

    @property
    def versions(self) -> Mapping[str, str]:
        """The versions of the packages that took part."""
        return cast(Mapping[str, str], self["versions"])

    @property
    def details(self) -> Mapping[str, Any]:
        """What the solver counts beside."""
        return cast(Mapping[str, Any], self["details"])


def _number(value: Any, absent: float) -> float:
    return absent if value is None else float(value)
