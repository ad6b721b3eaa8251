"""A training: tables in the terminal, and a page or picture of accuracy and loss.

Free of PyTorch: everything is in the history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.report.charts import (
    Curve,
    Panel,
    Style,
    check_suffix,
    line_styles,
    panels_figure,
    save_figure,
    svg_text,
)
from splitopt.report.clients import client_facts, client_figures, client_tables
from splitopt.report.content import Column, Figure, Table
from splitopt.report.defences import defence_cells, defence_columns, defence_facts
from splitopt.report.following import following_facts, following_tables, robust_facts
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import percent, seconds
from splitopt.report.received import received_tables
from splitopt.report.scores import is_share, metric_heading, metric_text, metric_words
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template
from splitopt.report.turns import turn_facts, turn_figures, turn_panels, turn_tables
from splitopt.storage.writing import write_atomic
from splitopt.training.history import History, RoundRow
from splitopt.units import counted, readable_bytes

MOST_ROWS = 24
KINDS = {
    "smashed": "smashed data",
    "gradient": "gradients of smashed data",
    "label": "labels",
    "model_down": "models to the devices",
    "tied_down": "gradients of tied weights to the devices",
    "tied_up": "gradients of tied weights to the server",
    "fisher_down": "penalties of EWC to the devices",
    "fisher_up": "penalties of EWC from the devices",
    "secure_down": "keys and shares to the devices",
    "secure_up": "keys and shares from the devices",
    "model_up": "models from the devices",
    "statistics": "running statistics, both ways",
}
"""Kind of traffic -> what people call it."""
ENDINGS = {
    "rounds": "Trained for {0}",
    "target": "What was wanted was reached after {0}",
    "patience": "Stopped after {0}, as the tests got no better",
    "callback": "Stopped after {0} by the caller",
    "interrupted": "Interrupted after {1}",
    "failed": "Stopped by an error after {0}",
}
_TEST = (5.0, 1.8)


def check_plot_path(path: Path) -> None:
    """Reject a file whose suffix names no format."""
    check_suffix(path, "a plot")


def save_plot(runs: Mapping[str, History], path: Path, stopped: str = "rounds") -> None:
    """Draw accuracy and loss in the format that the suffix names; HTML has tables beside it.

    Parameters
    ----------
    runs
        Name -> history; the tables of a page are those of the first one.
    path
        Ends in .html, .svg or .png.
    stopped
        Why the first one ended, see `splitopt.training.runner.Run`.
    """
    check_plot_path(path)
    if path.suffix == ".html":
        write_atomic(path, training_to_html(runs, stopped))
    else:
        save_figure(training_figure(runs, turns=True), path)


def training_to_terminal(history: History, stopped: str) -> RenderableType:
    """Lay out the rounds, how it ended, and what was sent."""
    summary = summarize_training({"": history}, stopped)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for table in summary.tables:
        if table.main:  # what there is of each client and class is for a page
            parts += table_in_terminal(table)
    parts.append(Text(summary.verdict, style="bold green"))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    return Group(*parts)


def training_to_html(runs: Mapping[str, History], stopped: str = "rounds") -> str:
    """Return the page: figures of all runs, facts and tables of the first."""
    first = next(iter(runs.values()))
    summary = summarize_training(runs, stopped)
    return str(template("training.html").render(summary=summary, origin=first.origin))


def summarize_training(runs: Mapping[str, History], stopped: str) -> PlanSummary:
    """Summarize trainings as a title, a verdict, facts, tables and figures."""
    history = next(iter(runs.values()))
    origin = history.origin
    words = [str(origin.get(key, "")) for key in ("scenario", "profile", "scheme", "data_name")]
    return PlanSummary(
        title="{}: {} trained by {} on {}".format(*words),
        verdict=_verdict(history, stopped),
        facts=tuple(_facts(history)),
        tables=tuple(_tables(history)) if history.rows else (),
        figures=(
            Figure(
                f"{metric_words(history).capitalize()} and loss",
                lambda: svg_text(training_figure(runs)),
                _caption(runs),
            ),
            *turn_figures(history),
            *client_figures(history),
        ),
    )


def training_figure(runs: Mapping[str, History], *, turns: bool = False) -> Any:
    """Draw metric and loss over rounds, and below over predicted time where it is known.

    With `turns` the tests after turns of a single run stand below, which a page has by themselves.
    """
    styles, words = line_styles(runs), metric_words(next(iter(runs.values())))
    axes: list[tuple[str, Callable[[RoundRow], float | None]]] = [("round", lambda row: row.round)]
    if all(history.clock_s is not None for history in runs.values()):
        axes.append(("predicted time in s", lambda row: row.clock_s))
    shown = []
    for label, place in axes:
        panel = partial(Panel, "", label, log_x=False, whole_x=label == "round")
        metric = [
            _curve(history, place, history.value_of, styles[name], f"{words} {index}")
            for index, (name, history) in enumerate(runs.items())
        ]
        loss = [
            _curve(history, place, lambda row: row.loss, styles[name], f"loss {index}")
            for index, (name, history) in enumerate(runs.items())
        ]
        if len(runs) == 1:
            (name,) = runs
            dashed = Style(styles[name].colour, _TEST, styles[name].marker)
            tested = _curve(runs[name], place, lambda row: row.test_loss, dashed, "test loss")
            loss.append(tested)
        shown.append(panel(f"test {words}", tuple(metric)))
        shown.append(panel("loss", tuple(loss)))
    if turns and len(runs) == 1:
        shown += turn_panels(next(iter(runs.values())))
    return panels_figure(shown, 3.1, columns=2, legend=_legend(runs, styles))


def _legend(runs: Mapping[str, History], styles: Mapping[str, Style]) -> Mapping[str, Style]:
    if len(runs) > 1:
        return styles
    (style,) = styles.values()
    return {"training": style, "test": Style(style.colour, _TEST, style.marker)}


def _caption(runs: Mapping[str, History]) -> str:
    words = metric_words(next(iter(runs.values()))).capitalize()
    where = "in training" if len(runs) > 1 else "in training and on the test data"
    return f"{words} of the common model on the test data; loss {where}"


def _curve(
    history: History,
    x: Callable[[RoundRow], float | None],
    y: Callable[[RoundRow], float | None],
    style: Style,
    group: str,
) -> Curve:
    points = [(x(row), y(row)) for row in history]
    known = [(a, b) for a, b in points if a is not None and b is not None]
    kind: Any = "line" if len(known) > 1 else "dots"
    return Curve([a for a, _ in known], [b for _, b in known], style, group, kind)


def _verdict(history: History, stopped: str) -> str:
    ending = ENDINGS[stopped].format(*(counted(len(history), x) for x in ("round", "whole round")))
    best = history.best
    value = None if best is None else history.value_of(best)
    if best is None or value is None:
        return f"{ending}."
    amount = f"{percent(value)} %" if is_share(history) else f"{value:.4g}"
    return f"{ending}; best test {metric_words(history)} {amount} after round {best.round}."


def _facts(history: History) -> list[tuple[str, str]]:
    facts = []
    if history.rows and history.clock_s is not None:
        facts.append(("Predicted time of these rounds", f"{seconds(history.clock_s)} s"))
    elif history.rows:
        scheme = history.origin.get("scheme", "the scheme")
        facts.append(("Predicted time", f"none: nothing here predicts the rounds of {scheme}"))
    facts += _drawn(history)
    facts += _secure(history)
    if history.origin.get("padding") == "batch":
        facts.append(("Predicted for", "samples as long as the longest; batches were shorter"))
    sent = sum(history.traffic_bytes().values())
    facts.append(("Sent in all", readable_bytes(sent)))
    planned, scheme = (history.origin.get(key) for key in ("planned_scheme", "scheme"))
    if planned != scheme:
        facts.append(("Planned for", f"{planned}, trained by {scheme} to compare with"))
    facts += _privacy(history) + defence_facts(history)
    facts += robust_facts(history) + following_facts(history) + client_facts(history)
    facts += turn_facts(history)
    for key, label in (("partition", "Partition"), ("seed", "Seed")):
        facts.append((label, str(history.origin.get(key, "unknown"))))
    if dropped := sorted({name for row in history for name in row.dropped}):
        facts.append(("Dropped in some round", ", ".join(dropped)))
    return facts


def _secure(history: History) -> list[tuple[str, str]]:
    """Return what secure sums of client-side models take, where there are some."""
    found = history.origin.get("secure_aggregation")
    if found is None:
        return []
    size = {kind: readable_bytes(value) for kind, value in found["round_bytes"].items()}
    control = sum(v for kind, v in found["round_bytes"].items() if kind != "masked")
    words = f"{found['threshold']} of {found['clients']} devices must be left to unmask a sum; it "
    words += f"differs from the plain average by {found['differs_by']:.1e} at most"
    sent = f"{size['masked']} of masked vectors, {readable_bytes(control)} of keys and shares"
    return [("Secure aggregation", words), ("Its bytes in a round", f"predicted: {sent}")]


def _drawn(history: History) -> list[tuple[str, str]]:
    """Return how many clients a round has where some are drawn, and what one takes."""
    found = history.origin.get("drawn")
    if not isinstance(found, Mapping):
        return []
    words = f"{found['clients']} of {found['of']}, drawn anew in every round; a round takes "
    expected = found["expected_round_s"]
    if expected is None:
        words += "the time that is given for it, and its expectation is not predicted"
    else:
        words += f"{seconds(expected)} s in expectation over all choices"
    return [("Clients in a round", words)]


def _privacy(history: History) -> list[tuple[str, str]]:
    """Return what differential privacy came to, what it is of and what it is not of."""
    found = history.origin.get("privacy")
    if not isinstance(found, Mapping) or not history.rows or not history.rows[-1].epsilon:
        return []
    last = history.rows[-1].epsilon
    worst = max(last, key=lambda name: _number(last[name]))
    whole, learns = found["covers"] == "model", found["server_learns"]
    drawn = "Poisson batches" if found["sampling"] == "poisson" else "shuffled batches"
    amount = "no bound, as there is no noise"
    if last[worst] is not None:
        amount = (
            f"at most {_epsilon_text(last[worst])} at delta {found['delta']:g}, reached by {worst}"
        )
    uncovered = ["smashed data", "labels", "losses in this history", "how many samples a batch had"]
    if learns:
        uncovered.insert(2, "the server's part")
        uncovered.append(
            "what the server's part learned of a sample and sends back in later gradients: epsilon "
            "takes these as given"
        )
    facts = [
        ("Privacy: epsilon of each sample", f"{amount}; {found['accountant'].upper()}, {drawn}"),
        ("It covers", "all parts of the model" if whole else "the client part of the model"),
        ("It does not cover", ", ".join(uncovered)),
    ]
    if history.origin.get("drawn"):
        facts.append(
            (
                "Drawn clients",
                "who is drawn is known to all and makes no epsilon smaller; each device's is that "
                "of the rounds in which it took part",
            )
        )
    sizes = [count for count in found["samples"].values() if found["delta"] >= 1 / count]
    if sizes:
        facts.append(
            ("Delta is too large", f"it is not below 1/{max(sizes)}, one over the samples")
        )
    if found["insecure_test_seed"]:
        facts.append(("No privacy", "the noise is from a test seed, which gives it away"))
    return facts


def _number(epsilon: float | None) -> float:
    return float("inf") if epsilon is None else epsilon


def _epsilon_text(epsilon: float | None) -> str:
    return "none" if epsilon is None else f"{epsilon:.4g}"


def _tables(history: History) -> list[Table]:
    return [
        _rounds(history),
        *(following_tables(history) + client_tables(history)),
        *turn_tables(history),
        *_phases(history),
        _traffic(history),
        *received_tables(history),
    ]


def _rounds(history: History) -> Table:
    """Return the first and the last round, and some of those between."""
    columns = (
        Column("round", "Round"),
        Column("loss", "Loss"),
        Column("test", "Test loss"),
        *([] if history.metric is None else [Column("metric", metric_heading(history))]),
        Column("round_s", "Round s"),
        Column("clock", "Time s"),
        Column("sent", "Sent"),
        *([Column("epsilon", "Epsilon")] if any(row.epsilon for row in history) else []),
        *defence_columns(history),
    )
    chosen = _some(history.rows)
    left = len(history) - len(chosen)
    return Table(
        "Rounds",
        "Training loss, test of the common model, predicted time"
        + (f"; {counted(left, 'round')} {'is' if left == 1 else 'are'} left out" if left else ""),
        columns,
        tuple(
            {
                "round": str(row.round),
                "loss": f"{row.loss:.4f}",
                "test": "" if row.test_loss is None else f"{row.test_loss:.4f}",
                "metric": metric_text(history, history.value_of(row)),
                "round_s": "" if row.round_s is None else seconds(row.round_s),
                "clock": "" if row.clock_s is None else seconds(row.clock_s),
                "sent": readable_bytes(sum(row.traffic_bytes.values())),
                "epsilon": _epsilon_text(max(row.epsilon.values(), key=_number, default=None)),
                **defence_cells(row),
            }
            for row in chosen
        ),
        things="rounds",
    )


def _some(rows: Sequence[RoundRow]) -> Sequence[RoundRow]:
    if len(rows) <= MOST_ROWS:
        return rows
    places = {round(k * (len(rows) - 1) / (MOST_ROWS - 1)) for k in range(MOST_ROWS)}
    return [rows[place] for place in sorted(places)]


def _phases(history: History) -> list[Table]:
    """Return the seconds of all rounds by phase, nothing where no time is known."""
    names = list(dict.fromkeys(name for row in history for name in row.phases_s))
    sums = {name: sum(row.phases_s.get(name, 0.0) for row in history) for name in names}
    whole = sum(sums.values())
    if not whole:
        return []
    rows = tuple(
        {"phase": name, "seconds": seconds(value), "part": percent(value / whole)}
        for name, value in sums.items()
    )
    columns = (
        Column("phase", "Phase", text=True),
        Column("seconds", "Seconds"),
        Column("part", "Part %"),
    )
    caption = "Predicted seconds of all rounds on their critical path, by phase"
    return [Table("Time by phase", caption, columns, rows, things="phases")]


def _traffic(history: History) -> Table:
    sums = history.traffic_bytes()
    rounds = max(1, len(history))
    rows = tuple(
        {
            "kind": KINDS[kind],
            "all": readable_bytes(sums[kind]),
            "each": readable_bytes(sums[kind] / rounds),
        }
        for kind in sums
        if sums[kind]
    )
    columns = (
        Column("kind", "What", text=True),
        Column("all", "All rounds"),
        Column("each", "A round"),
    )
    return Table("Sent", "Bytes that were sent, by what they are", columns, rows, things="kinds")
