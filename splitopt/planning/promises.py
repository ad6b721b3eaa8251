"""What a plan promises, computed from its decision, and whether a file promises the same.

Whoever opens a plan shows what is computed here; the prediction in the file is only held against
it. A field that differs is named with both values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from splitopt.documents.checks import is_number
from splitopt.documents.schemas import Document, validated
from splitopt.errors import InputError, shown
from splitopt.extras import installed_version
from splitopt.planning.explaining import DecisionT, Explainer, PredictionT, ProblemT
from splitopt.planning.uncertainty import round_interval
from splitopt.plans import Plan
from splitopt.profiles import ModelProfile
from splitopt.results import OPTIMAL_GAP, relative_gap
from splitopt.scenario import Scenario

SAME = 1e-6
"""Relative difference of two numbers that count as equal: other machines and libraries round
otherwise."""
_OF_A_ROUND = 1e-9
"""The same for seconds that are the small difference of large ones, as a fraction of the round."""
_CHOSEN = ("bottleneck", "binding", "held_up_by", "worth", "bound_devices")
"""What names one of several things that may be equally slow: rounding decides which."""
_COUNTS_TIES = "slowest_devices"


def promise(
    explainer: Explainer[ProblemT, DecisionT, PredictionT],
    problem: ProblemT,
    decision: DecisionT,
    known: Document | None = None,
) -> PredictionT:
    """Compute what a decision leads to, with the interval of the real round.

    Parameters
    ----------
    explainer
        Of the scenario that is planned.
    problem, decision
        The problem of that scenario, and its answer.
    known
        What only further searches find (``searches`` of the explainer), to leave them out.
    """

    def round_s(scenario: Scenario, profile: ModelProfile) -> float:
        other = replace(explainer, scenario=scenario, profile=profile)
        return other.predict(other.pose(), decision).round_s

    found = explainer.search(problem, decision) if known is None else known
    parts = {} if found is None else dict(found)
    interval = None
    if explainer.machines:
        interval = round_interval(
            explainer.machines, explainer.scenario, explainer.profile, round_s
        )
    prediction = explainer.predict(problem, decision)
    return prediction.model_copy(update={**parts, "round_interval": interval})


def checked_prediction(
    saved: Plan,
    explainer: Explainer[ProblemT, DecisionT, PredictionT],
    problem: ProblemT,
    decision: DecisionT,
    source: str,
) -> PredictionT:
    """Compute the prediction of a plan that was read, and reject one that promises otherwise.

    Raises
    ------
    InputError
        A field of the stored prediction is missing, unknown, or differs by more than `SAME`. A plan
        of another version of splitopt may lack fields and have more.
    """
    place = f"{source}: prediction"
    stored = saved.prediction
    if stored is None:
        raise InputError.at(place, "is null, but there is a decision")
    known = None
    if (searches := explainer.searches) is not None:
        part = {name: stored[name] for name in searches.model_fields if name in stored}
        known = validated(searches, part, place)
    computed = promise(explainer, problem, decision, known)
    confidence = saved.result.get("details", {}).get("confidence")
    computed = computed.model_copy(update={"confidence": confidence})
    versions = saved.result.get("versions", {})
    other = versions.get("splitopt") != installed_version("splitopt")
    _Comparison(computed.round_s, other).compare(stored, computed.to_dict(), place)
    return computed


def check_result(saved: Plan, objective: float, source: str) -> None:
    """Check that a stored result says of itself what its decision and its bound give.

    A bound that is below the objective cannot be checked without solving again.

    Raises
    ------
    InputError
        Another objective, a bound above it, another gap, or an outcome that these rule out.
    """
    result, place = saved.result, f"{source}: result"
    promised: Any = result.get("objective")
    bound = result.get("bound")
    if not is_number(promised) or abs(promised - objective) > 1e-9 * abs(objective):
        raise InputError(
            f"{place}.objective is {shown(promised)}, but the decision gives {objective!r}"
        )
    outcome = result.get("outcome")
    if outcome not in ("optimal", "feasible"):
        raise InputError.at(f"{place}.outcome", f"is {shown(outcome)}, but there is a decision")
    gap = relative_gap(objective, -math.inf if bound is None else bound)
    if bound is not None and bound > objective + SAME * abs(objective):
        raise InputError.at(
            f"{place}.bound", f"is {bound!r}, but the decision gives {objective!r}, which is less"
        )
    if outcome == "optimal" and gap > OPTIMAL_GAP + SAME:
        raise InputError.at(f"{place}.outcome", f"is 'optimal', but the gap is {gap:.3g}")
    claimed = math.inf if result.get("gap") is None else result["gap"]
    if claimed != gap and abs(claimed - gap) > SAME * max(1.0, gap):
        raise InputError.at(
            f"{place}.gap", f"is {shown(result.get('gap'))}, but objective and bound give {gap!r}"
        )


class _Comparison:
    """Comparison of a stored prediction with the computed one, field by field.

    Parameters
    ----------
    round_s
        The round, which small differences of seconds are measured by.
    other_version
        Whether fields may be missing or unknown.
    """

    def __init__(self, round_s: float, other_version: bool):
        self._slack_s = _OF_A_ROUND * round_s
        self._other_version = other_version

    def compare(self, stored: Any, computed: Any, place: str, key: str = "") -> None:
        """Raise `InputError` that names the first field in which the two differ."""
        if stored == computed:  # as nearly always, and quick for large fleets
            return
        if isinstance(computed, Mapping):
            if not isinstance(stored, Mapping):
                raise InputError.at(place, f"is {shown(stored)}; it must be an object")
            self._compare_fields(stored, computed, place)
        elif isinstance(computed, list | tuple):
            if not isinstance(stored, list | tuple) or len(stored) != len(computed):
                raise InputError.at(
                    place, f"is {shown(stored)}; it must be a list of {len(computed)} entries"
                )
            for index, (left, right) in enumerate(zip(stored, computed, strict=True)):
                self.compare(left, right, f"{place}[{index}]", key)
        elif not self._same(stored, computed, key):
            raise InputError.at(
                place, f"is {shown(stored)}, but the decision gives {shown(computed)}"
            )

    def _compare_fields(
        self, stored: Mapping[str, Any], computed: Mapping[str, Any], place: str
    ) -> None:
        for name in (*computed, *stored):
            path = f"{place}.{name}" if str(name).isidentifier() else f"{place}.{shown(name, 60)}"
            if (name in stored) and (name in computed):
                if name not in _CHOSEN or _texts(stored[name]) == _texts(computed[name]):
                    self.compare(stored[name], computed[name], path, name)
            elif not self._other_version:
                state = "missing" if name in computed else "unknown"
                raise InputError.at(path, f"this field is {state}")

    def _same(self, stored: Any, computed: Any, key: str) -> bool:
        if not is_number(computed):
            return type(stored) is type(computed) and bool(stored == computed)
        if not is_number(stored):
            return False
        if key == _COUNTS_TIES:
            return True
        try:
            left, right = float(stored), float(computed)
        except OverflowError:
            return False
        slack = self._slack_s if key.endswith("_s") else 0.0
        return left == right or abs(left - right) <= slack + SAME * max(abs(left), abs(right))


def _texts(value: Any) -> list[str]:
    """Return all texts in plain data, in order: the names of what was chosen."""
    found, waiting = [], [value]  # no recursion: a file may nest as deeply as it likes
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, Mapping | list | tuple):
            inner = item.values() if isinstance(item, Mapping) else item
            waiting += reversed(list(inner))
    return found
