"""Where the best scheme changes as one field of a scenario does."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splitopt.documents.yaml_text import parse_yaml
from splitopt.errors import InputError, shown
from splitopt.planning.comparison.comparing import compare_schemes
from splitopt.planning.comparison.rows import Comparison, tied
from splitopt.problems.inputs import as_scenario
from splitopt.scenario import Scenario
from splitopt.showing import Drawn

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike

EVERY = "*"
"""In a path: every entry of a list."""


@dataclass(frozen=True)
class Sweep(Drawn):
    """A comparison for each value of a field, in the order given."""

    field: str
    values: tuple[Any, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def best(self) -> tuple[str | None, ...]:
        """The best scheme at each value, None where none is feasible."""
        return tuple(c.feasible[0].scheme if c.feasible else None for c in self.comparisons)

    @property
    def changes(self) -> tuple[tuple[Any, Any, str | None, str | None], ...]:
        """Neighbouring values between which the best scheme changes, and both schemes.

        A scheme that ties with the best one stays what it was.
        """
        held, found = self.best[0] if self.best else None, []
        steps = zip(self.values, self.values[1:], self.best[1:], self.ties[1:], strict=False)
        for a, b, best, ties in steps:
            if held != best and held not in ties:
                found.append((a, b, held, best))
                held = best
        return tuple(found)

    @property
    def ties(self) -> tuple[tuple[str, ...], ...]:
        """The schemes that tie with the best one at each value."""
        return tuple(
            tuple(row.scheme for row in tied(c.feasible)) if c.feasible else ()
            for c in self.comparisons
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        points = zip(self.values, self.best, self.ties, self.comparisons, strict=True)
        return {
            "field": self.field,
            "points": [
                {
                    "value": value,
                    "best": best,
                    "ties": list(ties),
                    "comparison": comparison.to_dict(),
                }
                for value, best, ties, comparison in points
            ],
            "changes": [
                dict(zip(("from_value", "to_value", "from_scheme", "to_scheme"), pair, strict=True))
                for pair in self.changes
            ],
        }


def sweep_field(scenario: ScenarioLike, field: str, values: Sequence[Any], **options: Any) -> Sweep:
    """Compare all schemes for each value of a field.

    Parameters
    ----------
    scenario
        Where all else comes from, as for `splitopt.plan`.
    field
        A dotted path into the scenario file, such as ``links.uplink``, ``servers.0.compute`` (or
        ``servers[0].compute``), ``servers.edge.compute`` or ``devices.*.count``: entries of a list
        by number, by name, or all.
    values
        As in a file, such as ``"50 Mbit/s"``.
    **options
        As for `compare_schemes`.

    Raises
    ------
    InputError
        There is no such field, or a value does not fit there.
    """
    scenario = as_scenario(scenario)
    changed = [with_field(scenario, field, value) for value in values]
    return Sweep(field, tuple(values), tuple(compare_schemes(s, **options) for s in changed))


def read_sweep(text: str) -> tuple[str, list[Any]]:
    """Split ``FIELD=V1,V2,...`` into its parts; values are read as YAML."""
    field, equals, listed = text.partition("=")
    parts = [part.strip() for part in listed.split(",")]
    if not equals or not field.strip() or "" in parts:
        raise InputError(f"--sweep {text!r} must be FIELD=V1,V2,... such as links.uplink=10 Mbit/s")
    return field.strip(), [parse_yaml(part, f"--sweep {field}") for part in parts]


def with_field(scenario: Scenario, field: str, value: Any) -> Scenario:
    """Return the scenario with another value at a dotted path."""
    document = copy.deepcopy(scenario.to_dict())
    *path, last = re.sub(r"\[([^]]*)\]", r".\1", field).split(".")  # as messages write places
    places: list[Any] = [document]
    for step in path:
        places = [inner for place in places for inner in _inside(place, step, field)]
    for place in places:
        if isinstance(place, list):
            raise InputError(
                f"--sweep {field}: {last!r} is an entry of a list; name a field inside it"
            )
        if not isinstance(place, dict):
            raise InputError(f"--sweep {field}: there is nothing inside {path[-1]!r}")
        place[last] = value
    changed = Scenario.from_dict(
        document, f"--sweep {field}={value if isinstance(value, str) else shown(value)}"
    )
    changed._folder = scenario._folder
    return changed


def _inside(place: Any, step: str, field: str) -> list[Any]:
    """Return what a step of a path leads to."""
    if isinstance(place, list):
        if step == EVERY:
            return place
        named = [entry for entry in place if isinstance(entry, Mapping) and entry["name"] == step]
        if named:
            return named
        if step.isdecimal() and int(step) < len(place):
            return [place[int(step)]]
        names = ", ".join(str(entry["name"]) for entry in place if isinstance(entry, Mapping))
        raise InputError(
            f"--sweep {field}: there is no {step!r}; give a name ({names}), a number from 0 to "
            f"{len(place) - 1}, or * for all"
        )
    if isinstance(place, Mapping) and isinstance(place.get(step), dict | list):
        return [place[step]]
    known = ", ".join(place) if isinstance(place, Mapping) else "none"
    raise InputError(f"--sweep {field}: there is nothing inside {step!r}; there are {known}")
