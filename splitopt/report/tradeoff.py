"""What privacy costs: in the terminal, and as a page with the staircase and the accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.privacy.leakage.table import Spread
from splitopt.profiles.table.provenance import GUESS
from splitopt.report.charts import Curve, Panel, Style, line_styles, panels_figure, svg_text
from splitopt.report.content import Column, Figure, Table
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import gap, seconds
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template
from splitopt.units import counted

if TYPE_CHECKING:
    from splitopt.planning.staircase import Stair, Staircase
    from splitopt.privacy.tradeoff import Tradeoff, TrainedStair

_DECADE = 10.0
"""Epsilons that are closer together are drawn on a linear axis, which has more numbers on it."""


def tradeoff_to_terminal(found: Tradeoff) -> RenderableType:
    """Lay out the tables and the verdict."""
    summary = summarize_tradeoff(found)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for own in summary.tables:
        parts += table_in_terminal(own)
    parts.append(Text(summary.verdict, style="bold"))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    parts += [Text(f"Note: {note}") for note in summary.notes]
    return Group(*parts)


def tradeoff_to_html(found: Tradeoff) -> str:
    """Return the page."""
    return str(template("tradeoff.html").render(summary=summarize_tradeoff(found)))


def summarize_tradeoff(found: Tradeoff) -> PlanSummary:
    """Summarize the staircase and the runs as a title, a verdict, tables and figures."""
    stairs = found.staircase
    title = f"{stairs.name}: what privacy costs with {stairs.model}, objective {stairs.objective}"
    if not stairs.stairs:
        return PlanSummary(title, f"No plan, whatever the limit: {stairs.message}")
    figures = [
        Figure(
            "Time against the limit on leakage",
            lambda: _steps(stairs),
            f"The optimum ({_unit(stairs)}) for every limit; a dot is the strictest limit of a "
            "step",
        )
    ]
    tables = [_stair_table(stairs)]
    facts = []
    if found.runs:
        figures += [
            Figure(
                f"{_metric(found)} against epsilon",
                lambda: _by_epsilon(found),
                "The mean over runs after the last round, by limit on leakage; a smaller epsilon "
                "is more noise",
            ),
            Figure(
                "Both together",
                lambda: _both(found),
                f"The mean {_metric(found).lower()} of each step's plan against the time of its "
                "training, by epsilon: a stricter limit is further right",
            ),
        ]
        tables += _run_tables(found)
        facts = _facts(found)
    return PlanSummary(
        title,
        _verdict(stairs),
        tuple(facts),
        tuple(tables),
        tuple(figures),
        stairs.notes,
    )


def _unit(stairs: Staircase) -> str:
    return f"{stairs.objective} in {stairs.unit}"


def _metric(found: Tradeoff) -> str:
    return (found.metric or "test loss").replace("_", " ").capitalize()


def _verdict(stairs: Staircase) -> str:
    first, last = stairs.stairs[0], stairs.stairs[-1]
    count = len(stairs.stairs)
    steps = counted(count, "step")
    proved = "each an optimum by proof" if stairs.is_proved else "not all proved, see their gaps"
    times = last.objective / first.objective if first.objective else 1.0
    end = "" if stairs.message is None else f" Below it: {stairs.message}."
    return (
        f"{steps}, {proved}: from a limit of {first.limit:.4g} down to {last.limit:.4g} "
        f"{_unit(stairs)} grows {times:.3g} times, from {seconds(first.objective)} to "
        f"{seconds(last.objective)}.{end}"
    )


def _stair_table(stairs: Staircase) -> Table:
    columns: tuple[Column, ...] = (
        Column("limit", "Limit from", meaning="the strictest limit that allows the plan"),
        Column("below", "up to", meaning="and not including"),
        Column("objective", f"{stairs.objective} {stairs.unit}"),
        Column("more", "more %", meaning="than without a limit"),
        Column("round", "Round s"),
        Column("gap", "Gap"),
        Column("cuts", "Devices by cut", text=True),
    )
    if stairs.objective == "makespan":
        columns = tuple(column for column in columns if column.key != "round")
    return Table(
        "Steps",
        "Limits on the leakage of a cut"
        + (", which is a guess" if stairs.state == GUESS else "")
        + ", and the optimum within them",
        columns,
        tuple(_stair_row(stair, stairs) for stair in stairs.stairs),
        things="steps",
    )


def _stair_row(stair: Stair, stairs: Staircase) -> dict[str, str]:
    least = stairs.stairs[0].objective
    value = stair.objective
    apart = (value - stair.bound) / value if value else 0.0
    return {
        "limit": f"{stair.limit:.4g}",
        "below": "" if stair.below is None else f"{stair.below:.4g}",
        "objective": seconds(value),
        "more": f"{100 * (value / least - 1):.1f}" if least else "",
        "round": seconds(stair.round_s),
        "gap": "proved" if stair.is_proved else gap(apart),
        "cuts": ", ".join(f"{count} x {layer}" for layer, count in stair.cuts.items()),
    }


def _run_tables(found: Tradeoff) -> list[Table]:
    columns = [Column("limit", "Limit"), Column("time", "Training s")]
    for number, target in enumerate(found.epsilons):
        columns.append(Column(f"e{number}", _epsilon_words(target)))
    rows, apart = [], []
    for number, stair in enumerate(found.staircase.stairs):
        row = {"limit": f"{stair.limit:.4g}", "time": _time(found.of(number, found.epsilons[0]))}
        other = dict(row)
        for k, target in enumerate(found.epsilons):
            runs = found.of(number, target)
            row[f"e{k}"] = _spread([run.value for run in runs])
            if target is not None:
                plain = {run.seed: run.value for run in found.of(number, None)}
                lost = [run.value - plain[run.seed] for run in runs if run.seed in plain]
                other[f"e{k}"] = _interval(lost)
        rows.append(row)
        apart.append(other)
    tables = [
        Table(
            _metric(found),
            f"Mean and standard deviation over {_count(found)} after the last round",
            tuple(columns),
            tuple(rows),
            things="steps",
        )
    ]
    private = [k for k, target in enumerate(found.epsilons) if target is not None]
    if None in found.epsilons and private:
        kept = [c for c in columns if c.key in ("limit", *(f"e{k}" for k in private))]
        keys = {column.key for column in kept}
        tables.append(
            Table(
                "What the noise costs",
                "Difference to the run without noise of the same seed: mean, and the half width of "
                "its 95 % interval by Student's t",
                tuple(kept),
                tuple({key: row[key] for key in row if key in keys} for row in apart),
                things="steps",
            )
        )
    return tables


def _count(found: Tradeoff) -> str:
    return counted(len(found.seeds), "run")


def _time(runs: Sequence[TrainedStair]) -> str:
    clock = runs[0].clock_s
    return "" if clock is None else seconds(clock)


def _spread(values: Sequence[float]) -> str:
    own = Spread.of(values)
    return f"{own.mean:.3f}" if len(values) == 1 else f"{own.mean:.3f} ± {own.std:.3f}"


def _interval(values: Sequence[float]) -> str:
    own = Spread.of(values)
    if len(values) == 1:
        return f"{own.mean:+.3f}"
    return f"{own.mean:+.3f} ± {own.high - own.mean:.3f}"


def _epsilon_words(target: float | None) -> str:
    return "no noise" if target is None else f"epsilon {target:g}"


def _facts(found: Tradeoff) -> list[tuple[str, str]]:
    rounds = found.runs[0].rounds
    facts = [("Trained", f"{counted(rounds, 'round')}, seeds {', '.join(map(str, found.seeds))}")]
    spent = [run.spent_epsilon for run in found.runs if run.spent_epsilon is not None]
    if spent:
        what = "the parameters that devices train" if found.covers == "client" else "all parameters"
        facts.append(
            (
                "Differential privacy",
                f"of {what}, not of the smashed data; epsilon at delta {found.delta:g}, at most "
                f"{max(spent):.3g} spent by a device",
            )
        )
    return facts


def _steps(stairs: Staircase) -> str:
    return svg_text(panels_figure([staircase_panel(stairs)], 3.6))


def staircase_panel(stairs: Staircase) -> Panel:
    """Return the optimum over the limit as steps, with a dot at the strictest limit of each."""
    style = line_styles(["optimum"])["optimum"]
    right = max(1.0, stairs.stairs[0].limit)
    ordered = list(reversed(stairs.stairs))
    x = [stair.limit for stair in ordered]
    y = [stair.objective for stair in ordered]
    curves = (
        Curve([*x, right], [*y, y[-1]], style, "optimum", "steps"),
        Curve(x, y, style, "limits", "dots"),
    )
    return Panel("", "limit on leakage", _unit(stairs), curves, log_x=False)


def _by_epsilon(found: Tradeoff) -> str:
    targets = sorted(target for target in found.epsilons if target is not None)
    styles = _stair_styles(found)
    curves = []
    for number, style in enumerate(styles.values()):
        if targets:
            y = [_mean(found, number, target) for target in targets]
            curves += [Curve(targets, y, style, f"s{number}", kind) for kind in ("line", "dots")]
        if None in found.epsilons:
            value = _mean(found, number, None)
            ends = [targets[0], targets[-1]] if targets else [1.0, 1.0]
            flat = Style(style.colour, (1.2, 1.4), style.marker)
            curves.append(Curve(ends, [value] * 2, flat, f"s{number}", "line"))
    words = f"{_metric(found)} (dotted: no noise)" if None in found.epsilons else _metric(found)
    is_wide = bool(targets) and targets[-1] >= _DECADE * targets[0]
    panel = Panel("", "epsilon", words, tuple(curves), log_x=is_wide)
    return svg_text(panels_figure([panel], 3.8, legend=styles))


def _both(found: Tradeoff) -> str:
    names = {_epsilon_words(target): target for target in found.epsilons}
    styles = line_styles(names)
    curves = []
    for name, target in names.items():
        runs = [found.of(number, target) for number in range(len(found.staircase.stairs))]
        x = [own[0].clock_s or found.staircase.stairs[k].round_s for k, own in enumerate(runs)]
        y = [_mean(found, number, target) for number in range(len(runs))]
        curves += [Curve(x, y, styles[name], name, kind) for kind in ("line", "dots")]
    panel = Panel("", "seconds of the training", _metric(found), tuple(curves), log_x=False)
    return svg_text(panels_figure([panel], 3.8, legend=styles))


def _stair_styles(found: Tradeoff) -> dict[str, Style]:
    return line_styles([f"limit {stair.limit:.3g}" for stair in found.staircase.stairs])


def _mean(found: Tradeoff, number: int, target: float | None) -> float:
    runs = found.of(number, target)
    return sum(run.value for run in runs) / len(runs)
