"""What a comparison consists of: a row per scheme, ranked, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from splitopt.extras import data_frame
from splitopt.planning.comparison.generators import GeneratorComparison
from splitopt.showing import Drawn, Shown
from splitopt.units import counted

LABELS = {
    "fl": "FL",
    "sl": "vanilla SL",
    "sflv1": "SplitFedV1",
    "sflv2": "SplitFedV2",
    "cpsl": "CPSL",
    "dp_mora_sum": "DP-MORA (sum)",
    "dp_mora_makespan": "DP-MORA (makespan)",
    "mp_sl": "MP-SL",
}
"""Scheme -> what people call it, in the order in which they are tried."""

BASELINES = {
    "sf1_af": "SF1AF",
    "sf1_pf": "SF1PF",
    "sf2": "SF2 (each alone)",
    "sf2_af": "SF2AF",
    "sf2_pf": "SF2PF",
    "split_nn": "SplitNN",
}
"""The sequential schemes that the papers compare theirs with, which are compared on request.

SF1 and SF2 are of DP-MORA (section 7.1), SplitNN with three parts of MP-SL (section 4.3). SF1 in
which each device has everything while it runs is vanilla SL, there at its best cut.
"""

ASSOCIATIONS = {
    "nearest_server": "Nearest server",
    "greedy_association": "Greedy association",
}
"""Rules that choose a server for every device before its cut, compared where there are several."""

NAMES = LABELS | ASSOCIATIONS | BASELINES
"""Every scheme that can be compared -> what people call it."""

CLOSE = 1.02
"""Within 2 % is called a tie everywhere: the models are not better than that."""

FEDERATED = ("fl", "sflv1", "dp_mora_sum", "dp_mora_makespan", "mp_sl", *ASSOCIATIONS)

LEARNS_AS = (
    {scheme: scheme for scheme in LABELS}
    | dict.fromkeys(FEDERATED, "fl")
    | dict.fromkeys(BASELINES, "sl")
)
"""Scheme -> the one whose rounds it equals bit for bit: those that learn as FL train copies of the
whole model and average them, those that learn as vanilla SL hand one model from device to device;
where it is cut changes nothing of what is learned."""

Status = Literal["feasible", "infeasible", "no_solution", "not_comparable"]


@dataclass(frozen=True)
class SchemeRow:
    """The best plan of one scheme, for one round; what is unknown is None.

    Parameters
    ----------
    scheme
        A key of `NAMES`.
    status
        ``infeasible``: a plan cannot exist; ``no_solution``: none was found in time;
        ``not_comparable``: the scenario lacks what the scheme needs.
    reason
        Why there is no plan, and what would have to change.
    cut
        Where it cuts, for people.
    proved
        Whether no better plan of the scheme exists.
    gap
        How far the plan may be from the best one, relatively; None if nothing is known.
    round_s
        Length of a round in s.
    traffic_bytes
        What crosses all links in a round.
    device_flop
        Work of the device that has most of it, in a round.
    device_memory_bytes
        Memory of the device that needs most.
    server_memory_bytes
        Memory of the server, or of all nodes together.
    leakage
        Largest leakage of a cut, 0 to 1.
    energy_j
        Of all devices, in a round.
    round_cost
        Rent of the server or the nodes for a round.
    limit
        What takes most of the round, where nobody knows what would help most.
    helps_most, saved_per_percent_s
        The resource of which more saves most, and s for 1 % more of it: of the round, in
        ``dp_mora_sum`` of the sum of the devices' rounds.
    rounds, accuracy_s
        Rounds to the accuracy that is wanted, as given, and the seconds they take.
    pareto
        Whether no other scheme is at least as good in round time, traffic and device work, and
        better in one of them; see `measures`.
    """

    scheme: str
    status: Status
    reason: str | None = None
    cut: str | None = None
    proved: bool = False
    gap: float | None = None
    round_s: float | None = None
    traffic_bytes: float | None = None
    device_flop: float | None = None
    device_memory_bytes: float | None = None
    server_memory_bytes: float | None = None
    leakage: float | None = None
    energy_j: float | None = None
    round_cost: float | None = None
    limit: str | None = None
    helps_most: str | None = None
    saved_per_percent_s: float | None = None
    rounds: float | None = None
    accuracy_s: float | None = None
    pareto: bool = False

    @property
    def label(self) -> str:
        """What people call the scheme."""
        return NAMES[self.scheme]

    @property
    def learns_as(self) -> str:
        """The scheme whose rounds bring the same progress, bit for bit; see `LEARNS_AS`."""
        return LEARNS_AS[self.scheme]

    @property
    def ranked_by(self) -> float:
        """Seconds to the accuracy where rounds are given, else seconds of a round."""
        found = self.round_s if self.accuracy_s is None else self.accuracy_s
        assert found is not None  # only feasible rows are ranked
        return found

    @property
    def measures(self) -> tuple[float, float, float]:
        """Seconds, traffic and device work: of a round, or until the accuracy with its rounds."""
        assert self.round_s is not None  # only feasible rows are compared
        factor = 1.0 if self.rounds is None else self.rounds
        found = (self.round_s, self.traffic_bytes or 0.0, self.device_flop or 0.0)
        return factor * found[0], factor * found[1], factor * found[2]


@dataclass(frozen=True, repr=False)
class Comparison(Shown, Drawn):
    """All schemes on one scenario, the best first, those without a plan last.

    ``by_accuracy`` says whether they are ranked by the time to the accuracy that is wanted; schemes
    without a number of rounds then stand behind those with one. ``guesses`` are the fields of rows
    that rest on a guess. ``generators`` is what a scenario with that section is compared in beside.
    """

    scenario: str
    profile: str
    rows: tuple[SchemeRow, ...]
    by_accuracy: bool
    advice: str
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    generators: GeneratorComparison | None = None

    def _brief(self) -> str:
        best = self.feasible[0].label if self.feasible else "none has a plan"
        return f"{self.scenario!r}: {counted(len(self.rows), 'scheme')}, best {best}"

    def to_frame(self) -> Any:
        """Return a row for every scheme, the best first, as a ``pandas.DataFrame``."""
        return data_frame([{"label": row.label, **asdict(row)} for row in self.rows])

    @property
    def feasible(self) -> tuple[SchemeRow, ...]:
        """The schemes that have a plan, the best first."""
        return tuple(row for row in self.rows if row.status == "feasible")

    def row(self, scheme: str) -> SchemeRow:
        """Return the row of a scheme by its key."""
        return next(row for row in self.rows if row.scheme == scheme)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data in SI units."""
        found = {} if self.generators is None else {"generators": asdict(self.generators)}
        return {
            "scenario": self.scenario,
            "profile": self.profile,
            "ranked_by": "accuracy_s" if self.by_accuracy else "round_s",
            "schemes": [{"label": row.label, **asdict(row)} for row in self.rows],
            "advice": self.advice,
            "guesses": list(self.guesses),
            "notes": list(self.notes),
            **found,
        }


def tied(ranked: Sequence[SchemeRow]) -> tuple[SchemeRow, ...]:
    """Return the rows that tie with the first of some ranked ones, which is not among them."""
    return tuple(row for row in _alike(ranked) if row.ranked_by < CLOSE * ranked[0].ranked_by)


def behind(ranked: Sequence[SchemeRow]) -> tuple[SchemeRow, ...]:
    """Return the rows that are clearly behind the first of some ranked ones."""
    return tuple(row for row in _alike(ranked) if row.ranked_by >= CLOSE * ranked[0].ranked_by)


def _alike(ranked: Sequence[SchemeRow]) -> list[SchemeRow]:
    """Return the rows after the first that are ranked by the same as it."""
    return [r for r in ranked[1:] if (r.accuracy_s is None) == (ranked[0].accuracy_s is None)]


def unsolved(scheme: str, result: Mapping[str, Any]) -> SchemeRow:
    """Make the row of a scheme whose plan ended without a decision."""
    status: Status = "infeasible" if result["outcome"] == "infeasible" else "no_solution"
    return SchemeRow(scheme, status, result["message"] or "no plan was found in time")


def none(scheme: str, status: Status, reason: str) -> SchemeRow:
    """Make the row of a scheme without a plan."""
    return SchemeRow(scheme, status, reason)
