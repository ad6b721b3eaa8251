"""One paragraph about a comparison, in plain words and from its numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from splitopt.planning.comparison.rows import (
    CLOSE,
    LEARNS_AS,
    NAMES,
    SchemeRow,
    behind,
    tied,
)
from splitopt.units import readable_bytes, readable_work


def advise(rows: Sequence[SchemeRow], by_accuracy: bool) -> str:
    """Recommend a scheme: which to run, how sure that is, and what speaks for another.

    Parameters
    ----------
    rows
        All schemes, the feasible ones first and ranked.
    by_accuracy
        Whether they are ranked by the time to an accuracy.
    """
    ranked = [row for row in rows if row.status == "feasible"]
    without = [row for row in rows if row.status == "infeasible"]
    if not ranked:
        reasons = "; ".join(f"{row.label}: {row.reason}" for row in rows if row.reason)
        return f"No scheme can run on this fleet. {reasons}."
    best = ranked[0]
    what = "reaches the accuracy first" if best.accuracy_s is not None else "has the shortest round"
    sentences = [f"{best.label} {what}, {_seconds(best.ranked_by)}{_help(best)}."]
    sentences += _next(ranked, by_accuracy)
    sentences += _others(ranked)
    if not best.proved:
        gap = "an unknown amount" if best.gap is None else f"up to {100 * best.gap:.2g} %"
        sentences.append(f"Its plan is not proved to be the best: {gap} may still be gained.")
    if without:
        sentences.append(f"Not possible: {', '.join(row.label for row in without)}.")
    return " ".join(sentences)


def _next(ranked: Sequence[SchemeRow], by_accuracy: bool) -> list[str]:
    """Name the schemes that tie with the best, and compare it with the next one behind them."""
    best, ties = ranked[0], [row.label for row in tied(ranked)]
    found = []
    if ties:
        verb = "is" if len(ties) == 1 else "are"
        found.append(f"Within 2 %, which is a tie, {verb} {_listed(ties)}.")
        found += _lightest(ranked[: 1 + len(ties)])
    if not (rest := behind(ranked)):
        return found
    second, ratio = rest[0], rest[0].ranked_by / best.ranked_by
    same = second.learns_as == best.learns_as
    equal = " and learns the same in a round, bit for bit" if same else ""
    found.append(f"Next is {second.label}, which takes {ratio:.3g} times as long{equal}.")
    others = [row for row in rest if row.learns_as != best.learns_as]
    if not by_accuracy and others:
        other, ratio = others[0], others[0].ranked_by / best.ranked_by
        found.append(
            f"Rounds of {other.label} and {best.label} do not bring equal progress: "
            f"{other.label} is ahead once it needs less than {100 / ratio:.3g} % of the rounds "
            f"of {best.label}."
        )
    return found


def _help(best: SchemeRow) -> str:
    """Return what would help most, or what its longest part is where that is not known."""
    if best.helps_most is not None and best.saved_per_percent_s is not None:
        of = " of the sum over devices" if best.scheme == "dp_mora_sum" else ""
        saved = _seconds(best.saved_per_percent_s)
        return f"; what would help most: {best.helps_most} (1 % more saves {saved}{of})"
    return f"; its longest part is {best.limit}" if best.limit else ""


def unequal_rounds(rounds: Mapping[str, float]) -> list[str]:
    """Return a note for each pair of schemes that learn the same and were given other rounds."""
    found = []
    groups: dict[str, list[str]] = {}
    for scheme in rounds:
        groups.setdefault(LEARNS_AS[scheme], []).append(scheme)
    for schemes in groups.values():
        if len({rounds[scheme] for scheme in schemes}) > 1:
            given = _listed([f"{NAMES[scheme]} ({rounds[scheme]:g})" for scheme in schemes])
            found.append(
                f"{given} learn the same in a round here, bit for bit: different rounds for them "
                "come from chance or from another implementation"
            )
    return found


def _lightest(tied: Sequence[SchemeRow]) -> list[str]:
    """Among schemes that tie, name the one that takes clearly least memory of the server."""
    known = [(row.server_memory_bytes, row) for row in tied if row.server_memory_bytes is not None]
    if len(known) < len(tied):
        return []
    least, row = min(known, key=lambda pair: pair[0])
    most = max(size for size, _ in known)
    if most <= CLOSE * least:
        return []
    return [
        f"Of these, {row.label} takes least memory on the server's side, {readable_bytes(least)} "
        f"where others take up to {readable_bytes(most)}."
    ]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _others(ranked: Sequence[SchemeRow]) -> list[str]:
    """Name the schemes that are best in something else, and by how much."""
    best, found = ranked[0], []
    measures: tuple[
        tuple[str, Callable[[SchemeRow], float | None], Callable[[float], str]], ...
    ] = (
        ("least traffic in a round", lambda row: row.traffic_bytes, readable_bytes),
        ("least work for a device in a round", lambda row: row.device_flop, readable_work),
        ("least memory on the server's side", lambda row: row.server_memory_bytes, readable_bytes),
        ("least energy of the devices", lambda row: row.energy_j, lambda j: f"{j:,.4g} J"),
    )
    for words, of, shown in measures:
        own = of(best)
        known = [(value, row) for row in ranked if (value := of(row)) is not None]
        if own is None or not known:
            continue
        value, row = min(known, key=lambda pair: pair[0])
        if value * CLOSE < own:
            found.append(f"{row.label} has the {words} ({shown(value)} against {shown(own)})")
    return [f"{'; '.join(found)}."] if found else ["It is also best, or tied, in all else."]


def _seconds(value: float) -> str:
    if value >= 7200:
        return f"{value / 3600:,.1f} h"
    return f"{value / 60:,.1f} min" if value >= 600 else f"{value:.4g} s"
