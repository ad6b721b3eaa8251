"""`compare_schemes`: every scheme on the same fleet, each with its best plan."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.documents.checks import is_finite
from splitopt.documents.reading import read_text
from splitopt.documents.suggestions import did_you_mean
from splitopt.documents.yaml_text import parse_yaml
from splitopt.errors import CapabilityError, InfeasibleError, InputError, SolveError, shown
from splitopt.planning.comparison.advice import advise, unequal_rounds
from splitopt.planning.comparison.associations import choosing
from splitopt.planning.comparison.clusters import clustered
from splitopt.planning.comparison.generators import PAIRINGS, compare_generators
from splitopt.planning.comparison.pipelines import pipeline
from splitopt.planning.comparison.rows import (
    ASSOCIATIONS,
    LABELS,
    LEARNS_AS,
    NAMES,
    Comparison,
    SchemeRow,
    none,
)
from splitopt.planning.comparison.sequential import SEQUENTIAL, sequential
from splitopt.planning.comparison.server_schemes import (
    COMMON_CUT,
    common_cut,
    dp_mora,
    dp_mora_plan,
    federated,
)
from splitopt.planning.comparison.split_nn import split_nn
from splitopt.planning.comparison.star_rounds import ServerContext
from splitopt.planning.cut_and_resources import energy_notes
from splitopt.planning.guesses import guess_notes, guessed_numbers
from splitopt.planning.links import describe_links, unused_in_clusters
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources.choice_tables import CHOSEN, has_choices
from splitopt.problems.inputs import as_scenario
from splitopt.problems.memory import unchecked
from splitopt.problems.ranges import MOST
from splitopt.profiles import ModelProfile
from splitopt.profiles.table.uncounted import work_notes
from splitopt.scenario import Scenario, Server

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike

_SAME = 1e-9
"""Relative difference up to which two numbers are the same."""
FEWEST_ROUNDS = 1e-9
"""Rounds to an accuracy are between this and its inverse, so that times of them are numbers."""
SOLVED = ("dp_mora_sum", "dp_mora_makespan", "cpsl", "mp_sl")
"""The schemes whose plan takes a search; each gets an equal part of the time limit."""
_CLOSED_FORM = (
    "MP-SL's round is the closed form of its plan; splitopt simulate replays it event by event, "
    "with the waiting that the closed form leaves out"
)
_FEWER_BITS = (
    "rounds in which values cross in fewer bits learn other numbers than those with 32: what is "
    "said to learn the same does so with equal bits"
)
_ONE_MODEL = (
    "SF1, SF2 and SplitNN hand one model from device to device, as vanilla SL does: with plain SGD "
    "a round of each learns the same; an optimizer that keeps a state may make them differ"
)


@np.errstate(over="ignore", invalid="ignore")  # a round that overflows is refused by its row
def compare_schemes(
    scenario: ScenarioLike,
    *,
    rounds: Mapping[str, float] | None = None,
    time_limit_s: float | None = None,
    seed: int = 0,
    baselines: bool = False,
) -> Comparison:
    """Set every scheme on a fleet side by side.

    Where the scenario has generators, ways to pair them are compared too, and with
    ``generators.training`` split learning and IoTSL to the same accuracy.

    Parameters
    ----------
    scenario
        The fleet, as for `splitopt.plan`; schemes that need more than it says are listed with what
        they need.
    rounds
        Scheme, a key of `LABELS`, or with `baselines` of `NAMES` -> rounds to the accuracy that is
        wanted. What is given for a scheme holds for those that learn the same bit for bit, unless
        they have other numbers.
    time_limit_s
        For all solvers together.
    seed
        Of the solvers.
    baselines
        Whether the sequential baselines of the papers are compared too, see `BASELINES`.

    Raises
    ------
    InputError
        The model cannot be loaded or lacks the work that the devices' speeds need, or `rounds` is
        not what it should be.
    """
    scenario = as_scenario(scenario)
    scenario.expect_single("schemes are compared")
    scenario = scenario.listed()
    checked = {} if rounds is None else check_rounds(rounds, "rounds", baselines=baselines)
    told = unequal_rounds(checked)
    checked = _for_all(checked)
    profile = scenario.load_model()
    if any(device.compute is not None for device in scenario.devices):
        profile.expect_work()  # every scheme computes on the devices
    searches = len(SOLVED) + (0 if scenario.generators is None else len(PAIRINGS))
    share = None if time_limit_s is None else time_limit_s / searches
    served, notes = _with_server(scenario)
    if scenario.precision is not None:
        notes = [*notes, _FEWER_BITS]
    notes = [describe_links(scenario), *energy_notes(scenario), *told, *notes]
    notes += unchecked(served, profile)
    if baselines:
        notes.append(_ONE_MODEL)
    rows = _rows(scenario, served, profile, (share, seed), baselines)
    found = _ranked(scenario, profile, rows, checked, notes)
    return replace(found, generators=compare_generators(scenario, share, seed))


def _rows(
    scenario: Scenario,
    served: Scenario,
    profile: ModelProfile,
    limits: tuple[float | None, int],
    baselines: bool,
) -> list[SchemeRow]:
    """Return the row of every scheme, unranked.

    Parameters
    ----------
    served
        The scenario with a server, where there is one to take.
    limits
        Of each search: its time in s, and its seed.
    """
    context = _attempt(lambda: ServerContext.of(served, profile))

    def with_context(scheme: str, act: Callable[[ServerContext], SchemeRow]) -> SchemeRow:
        if isinstance(context, str):
            return none(scheme, "not_comparable", context)
        return _row(scheme, lambda: act(context))

    if has_choices(scenario):
        return _rows_of_choices(scenario, profile, limits)
    rows = [_row("fl", lambda: federated(scenario, profile))]
    rows += [with_context(scheme, _common(scheme)) for scheme in COMMON_CUT]
    rows.append(_row("cpsl", lambda: clustered(served, profile, *limits)))

    @functools.cache  # SF2 takes the plan for the sum: nothing is solved twice
    def planned(goal: str) -> Plan:
        assert isinstance(context, ServerContext)  # with_context() saw to it
        return dp_mora_plan(context, goal, *limits)

    rows += [
        with_context(f"dp_mora_{goal}", _dp_mora(goal, planned)) for goal in ("sum", "makespan")
    ]
    rows.append(_row("mp_sl", lambda: pipeline(scenario, profile, *limits)))
    if baselines:
        rows += [with_context(scheme, _sequential(scheme, planned)) for scheme in SEQUENTIAL]
        rows.append(_row("split_nn", lambda: split_nn(scenario, profile)))
    return rows


def _rows_of_choices(
    scenario: Scenario, profile: ModelProfile, limits: tuple[float | None, int]
) -> list[SchemeRow]:
    """Return the rows where devices choose a server or bits; other schemes have one server."""
    why = (
        "has one server, rank, clock and power of all and values of 32 bits, and this scenario "
        f"states more ({CHOSEN})"
    )
    rules = ASSOCIATIONS if len(scenario.servers) > 1 else ()

    def row(scheme: str) -> SchemeRow:
        return _row(scheme, lambda: choosing(scheme, scenario, profile, *limits))

    rows = [row(scheme) for scheme in ("dp_mora_sum", "dp_mora_makespan", *rules)]
    found = {one.scheme for one in rows}
    return rows + [none(key, "not_comparable", why) for key in LABELS if key not in found]


def _for_all(rounds: Mapping[str, float]) -> dict[str, float]:
    """Add the schemes that learn as others whose rounds are known and equal."""
    found = dict(rounds)
    for scheme in NAMES:
        alike = {value for other, value in rounds.items() if LEARNS_AS[other] == LEARNS_AS[scheme]}
        if len(alike) == 1:
            found.setdefault(scheme, *alike)
    return found


def _common(scheme: str) -> Callable[[ServerContext], SchemeRow]:
    return lambda context: common_cut(scheme, context)


def _dp_mora(goal: str, planned: Callable[[str], Plan]) -> Callable[[ServerContext], SchemeRow]:
    return lambda context: dp_mora(context, goal, planned(goal))


def _sequential(
    scheme: str, planned: Callable[[str], Plan]
) -> Callable[[ServerContext], SchemeRow]:
    return lambda context: sequential(scheme, context, lambda: planned("sum"))


def _with_server(scenario: Scenario) -> tuple[Scenario, list[str]]:
    """Make a compute node the server where there is none, with a note about it."""
    if scenario.servers:
        return scenario, []
    for node in scenario.nodes:
        if node.slowdown in (None, 1.0):
            server = Server(
                name=node.name,
                compute=node.compute,
                machine=node.machine,
                machine_model=node.machine_model,
                memory=node.memory,
                price_per_hour=node.price_per_hour,
            )
            note = (
                f"there is no server: the schemes that need one take a single node, {node.name}, "
                "as theirs"
            )
            return scenario.model_copy(update={"servers": (server,)}), [note]
    return scenario, []


def _attempt(build: Callable[[], Any]) -> Any:
    """Return what is built, or the sentence why it cannot be."""
    try:
        return build()
    except InputError as error:
        return str(error)


def _row(scheme: str, build: Callable[[], SchemeRow]) -> SchemeRow:
    """Return the row of a scheme; one that fails does not keep the others from being compared."""
    try:
        row = build()
        if row.round_s is not None and not row.round_s <= MOST:
            return none(
                scheme,
                "not_comparable",
                f"its round would take more than {MOST:g} s; look at the slowest speed and rate",
            )
        return row
    except InputError as error:
        return none(scheme, "not_comparable", str(error))
    except InfeasibleError as error:
        return none(scheme, "infeasible", str(error))
    except (SolveError, CapabilityError) as error:
        return none(scheme, "no_solution", str(error))


def _ranked(
    scenario: Scenario,
    profile: ModelProfile,
    rows: Sequence[SchemeRow],
    rounds: Mapping[str, float],
    notes: Sequence[str],
) -> Comparison:
    timed = [
        replace(row, rounds=rounds[row.scheme], accuracy_s=rounds[row.scheme] * row.round_s)
        if row.scheme in rounds and row.round_s is not None
        else row
        for row in rows
    ]
    feasible = [row for row in timed if row.status == "feasible"]
    by_accuracy = any(row.accuracy_s is not None for row in feasible)
    marked = [
        replace(row, pareto=_counts(row, by_accuracy) and not _beaten(row, feasible))
        for row in feasible
    ]
    # Equal numbers come from different computations: ties stay in the order of NAMES.
    marked.sort(
        key=lambda row: (by_accuracy and row.accuracy_s is None, float(f"{row.ranked_by:.9e}"))
    )
    rest = [row for row in timed if row.status != "feasible"]
    rest.sort(key=lambda row: row.status == "not_comparable")
    ranked = (*marked, *rest)
    guesses = tuple(
        name
        for name in guessed_numbers(scenario, profile)
        if any(getattr(row, name) is not None for row in feasible)
    )
    return Comparison(
        scenario.name,
        profile.name,
        ranked,
        by_accuracy,
        advise(ranked, by_accuracy),
        (
            *notes,
            *work_notes(profile.uncounted),
            *_notes_of_rows(scenario, marked, by_accuracy),
            *guess_notes(scenario, profile, leakage_is_shown="leakage" in guesses),
            *(() if all(row.scheme != "mp_sl" for row in feasible) else (_CLOSED_FORM,)),
        ),
        guesses,
    )


def _notes_of_rows(
    scenario: Scenario, feasible: Sequence[SchemeRow], by_accuracy: bool
) -> list[str]:
    """Return what a reader should know about the rounds that are compared."""
    found = []
    if by_accuracy and (missing := [row.label for row in feasible if row.accuracy_s is None]):
        labels = ", ".join(missing)
        found.append(f"no rounds are given for {labels}: ranked last, by their round")
    if scenario.clusters is not None:
        found += unused_in_clusters(scenario)
    if scenario.spectrum is not None and scenario.spectrum.fading != "awgn":
        found.append(
            "only CPSL's subcarriers fade here; the other schemes take the mean signal-to-noise "
            "ratio of the whole band"
        )
    return found


def _counts(row: SchemeRow, by_accuracy: bool) -> bool:
    """Whether a row is comparable with the others: with rounds, where these are given."""
    return row.accuracy_s is not None or not by_accuracy


def _beaten(row: SchemeRow, others: Sequence[SchemeRow]) -> bool:
    """Whether another scheme is as good in time, traffic and device work, and better in one."""
    own = np.array(row.measures)
    alike = [other for other in others if (other.rounds is None) == (row.rounds is None)]
    rivals = np.array([other.measures for other in alike])
    as_good = (rivals <= own * (1 + _SAME)).all(axis=1)
    return bool((as_good & (rivals < own * (1 - _SAME)).any(axis=1)).any())


def load_rounds(path: str | Path) -> dict[str, float]:
    """Read a YAML or JSON file of scheme -> rounds to the accuracy that is wanted."""
    return check_rounds(parse_yaml(read_text(path), str(path)), str(path))


def check_rounds(given: Any, source: str, *, baselines: bool = True) -> dict[str, float]:
    """Check that rounds are numbers above 0 of schemes that are compared, at least one."""
    known = NAMES if baselines else LABELS | ASSOCIATIONS
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"{source}: must map schemes to rounds, such as 'fl: 120'")
    for scheme, value in given.items():
        if scheme in NAMES and scheme not in known:
            raise InputError(
                f"{source}: {scheme} is a baseline, which is compared only on request; add "
                "--baselines (in Python baselines=True), or drop it"
            )
        if scheme not in known:
            raise InputError(
                f"{source}: there is no scheme {shown(scheme)}; choose from {', '.join(known)}"
                f"{did_you_mean(scheme, known)}"
            )
        if not is_finite(value) or not FEWEST_ROUNDS <= value <= 1 / FEWEST_ROUNDS:
            raise InputError(
                f"{source}: {scheme} is {shown(value)}, rounds are a number above 0, from "
                f"{FEWEST_ROUNDS:g} to {1 / FEWEST_ROUNDS:g}"
            )
    return {scheme: float(value) for scheme, value in given.items()}
