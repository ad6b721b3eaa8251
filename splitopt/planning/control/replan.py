"""What a re-plan comes to, and when a change is worth taking."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitopt.documents.checks import check_number
from splitopt.results import Decision, finite_or_none, relative_gap

_SHOWN = 3


@dataclass(frozen=True)
class Damping:
    """When another plan is taken: it must gain more than a part of the objective.

    Parameters
    ----------
    gain
        The part, relative to the plan that would be kept.
    hysteresis
        A change that takes back any of the last one must gain ``1 + hysteresis`` times as much, so
        that numbers that go to and fro do not take the plan along.
    """

    gain: float = 1e-3
    hysteresis: float = 1.0

    def __post_init__(self) -> None:
        check_number("gain", self.gain, 0.0, 0.5)
        check_number("hysteresis", self.hysteresis, 0.0, 100.0)

    def needed(self, *, takes_back: bool) -> float:
        """Return the part that a change must gain."""
        return self.gain * (1 + self.hysteresis) if takes_back else self.gain

    @property
    def tolerance(self) -> float:
        """The part of a kept plan's value by which the best plan that was found may be better."""
        return min(1.0, self.gain * (1 + self.hysteresis))


@dataclass(frozen=True)
class Replan:
    """The plan after some events.

    Parameters
    ----------
    decision
        About the devices that take part, ``devices``; None where no plan is feasible.
    devices
        Their names, in the order of the decision.
    objective
        What the plan takes, under the best shares for the changed numbers; infinite without one.
    bound
        A lower bound of the changed problem: no plan is better.
    events
        What happened, in words.
    changed
        What is different in the plan, in words.
    moved
        Device -> its cut before and now.
    kept_out
        Events that were not taken, in words.
    found
        What the best plan takes that was found, the cost of moving to it included.
    kept
        What the plan before takes under the new numbers; infinite where there is none.
    took_s
        Seconds from the events to the decision.
    prices
        Of the shared resources.
    by
        Who proved the gap: ``"prices"``, the passes of following, or the name of a solver.
    message
        Why there is no decision.
    """

    decision: Decision | None
    devices: tuple[str, ...]
    objective: float
    bound: float
    events: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: Mapping[str, tuple[int | None, int]] | None = None
    kept_out: tuple[str, ...] = ()
    found: float = math.inf
    kept: float = math.inf
    took_s: float = 0.0
    prices: tuple[float, ...] = ()
    by: str = "prices"
    message: str | None = None

    @property
    def gap(self) -> float:
        """Certified relative gap of the plan, see `splitopt.results.relative_gap`."""
        return relative_gap(self.objective, self.bound)

    def __str__(self) -> str:
        """Return the plan's value, its gap and what changed, in words."""
        gap = f"{100 * self.gap:.3g} %" if math.isfinite(self.gap) else "unknown"
        happened = "; ".join(self.events) or "nothing happened"
        if self.decision is None:
            return f"{happened}: no plan, {self.message} (gap {gap}, {1000 * self.took_s:.1f} ms)"
        lines = [
            f"{happened}: {self.objective:.6g} s, at most {gap} above the best "
            f"({1000 * self.took_s:.1f} ms)",
            *self.changed,
            *(f"kept out: {text}" for text in self.kept_out),
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data; a number that is not finite is None."""
        plain: dict[str, Any] = finite_or_none(
            {
                "decision": None if self.decision is None else self.decision.to_dict(),
                "devices": list(self.devices),
                "objective": self.objective,
                "bound": self.bound,
                "gap": self.gap,
                "events": list(self.events),
                "changed": list(self.changed),
                "moved": {name: list(pair) for name, pair in (self.moved or {}).items()},
                "kept_out": list(self.kept_out),
                "found": self.found,
                "kept": self.kept,
                "took_s": self.took_s,
                "prices": list(self.prices),
                "by": self.by,
                "message": self.message,
            }
        )
        return plain


def moves_in_words(moved: Mapping[str, tuple[int | None, int]]) -> tuple[str, ...]:
    """Return who changes its cut, some by name."""
    if not moved:
        return ("cuts stay, the shares are new",)
    some = [
        f"{name} {'joins at' if old is None else f'{old} ->'} {new}"
        for name, (old, new) in list(moved.items())[:_SHOWN]
    ]
    more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
    many = "1 device changes its cut" if len(moved) == 1 else f"{len(moved)} devices change cuts"
    return (f"{many}: {', '.join(some)}{more}; the shares are new",)
