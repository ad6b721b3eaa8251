"""A training by client, by group and by class: facts, tables of a page and a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Literal

from splitopt.report.charts import Curve, Panel, line_styles, panels_figure, svg_text
from splitopt.report.content import Column, Figure, Table
from splitopt.report.scores import metric_heading, metric_text, metric_words
from splitopt.training.by_client import ClientRow, Spread, group_loss
from splitopt.training.history import History, RoundRow

MOST_LINES = 8
"""Clients with a line each in the figure; of more there are the lowest, the median, the highest."""


def client_facts(history: History) -> list[tuple[str, str]]:
    """Return how far clients are apart, and which classes are the worst and the best."""
    facts = []
    trained = next((row for row in reversed(history.rows) if len(row.clients) > 1), None)
    if trained is not None and (found := history.spread(trained, "loss")) is not None:
        low, high = (f"{value:.4g} ({name})" for name, value in (found.lowest, found.highest))
        words = f"{low} to {high}"
        facts.append((f"Training loss of clients, round {trained.round}", words))
    tested = _last_tested(history)
    if tested is not None and (found := history.spread(tested)) is not None:
        label = f"{metric_heading(history)} over clients, round {tested.round}"
        facts.append((label, _spread_words(history, found)))
    by_class = _last_by_class(history)
    if by_class is not None:
        name, values = next(iter(by_class.classes.items()))
        known = [(value, k) for k, value in enumerate(values) if value is not None]
        if known:
            low, high = (f"{100 * value:.2f} (class {k})" for value, k in (min(known), max(known)))
            words = f"{low} to {high}"
            facts.append((f"{_words(name)} % of classes, round {by_class.round}", words))
    return facts


def client_tables(history: History) -> list[Table]:
    """Return the tables of clients, groups and classes, of those that there are; for pages."""
    return [*_clients(history), *_apart(history), *_groups(history), *_classes(history)]


def client_figures(history: History) -> list[Figure]:
    """Return the figure of the clients' losses and tests over rounds, nothing of a single one."""
    names = list(dict.fromkeys(name for row in history for name in row.clients))
    if len(names) < 2:
        return []
    words = "the loss of their training"
    if _last_tested(history) is not None:
        words += f", and the {metric_words(history)} of the common model on each one's test share"
    caption = f"Client by client: {words}"
    if len(names) > MOST_LINES:
        caption = f"Over {len(names)} clients: {words}"
    found = [Figure("Clients", lambda: _drawn(history, names), caption)]
    if len(history.variations()) > 1:
        found.append(
            Figure(
                "How far clients are apart",
                lambda: _drawn_apart(history),
                "Coefficient of variation over clients in %: the standard deviation over the mean",
            )
        )
    return found


def _drawn_apart(history: History) -> str:
    """Draw the coefficients of variation over rounds (SplitFed, Fig. 4)."""
    named = {"training loss": "loss", f"test {metric_words(history)}": None}
    styles, curves = line_styles(tuple(named)), []
    for index, (label, name) in enumerate(named.items()):
        own = history.variations(name)
        places, heights = [float(x) for x in own], [100 * y for y in own.values()]
        kind: Literal["line", "dots"] = "line" if len(own) > 1 else "dots"
        curves.append(Curve(places, heights, styles[label], f"apart {index}", kind))
    panel = Panel("", "round", "CV %", tuple(curves), log_x=False, whole_x=True)
    return svg_text(panels_figure([panel], 2.6, columns=1, legend=styles))


def _drawn(history: History, names: list[str]) -> str:
    metric = history.metric or "test_loss"
    shown = [("training loss", "loss")]
    if _last_tested(history) is not None:
        shown.append((f"test {metric_words(history)}", metric))
    many = len(names) > MOST_LINES
    labels = ("highest", "median", "lowest") if many else tuple(names)
    styles, drawn = line_styles(labels), []
    for title, value in shown:
        curves = []
        for index, label in enumerate(labels):
            read: Callable[[RoundRow], float | None] = partial(
                _over_clients if many else _of_client, name=label, value=value
            )
            known = [(row.round, y) for row in history if (y := read(row)) is not None]
            places, heights = [float(x) for x, _ in known], [y for _, y in known]
            kind: Literal["line", "dots"] = "line" if len(known) > 1 else "dots"
            group = f"{title} {index}"
            curves.append(Curve(places, heights, styles[label], group, kind))
        drawn.append(Panel("", "round", title, tuple(curves), log_x=False, whole_x=True))
    return svg_text(panels_figure(drawn, 2.6, columns=2, legend=styles))


def _of_client(row: RoundRow, name: str, value: str) -> float | None:
    found = row.clients.get(name)
    return None if found is None else found.value_of(value)


def _over_clients(row: RoundRow, name: str, value: str) -> float | None:
    known = [y for own in row.clients.values() if (y := own.value_of(value)) is not None]
    summed: Mapping[str, Callable[[list[float]], float]] = {
        "lowest": min,
        "median": median,
        "highest": max,
    }
    return summed[name](known) if known else None


def _last_tested(history: History) -> RoundRow | None:
    """Return the last round in which clients were tested."""
    return next(
        (
            row
            for row in reversed(history.rows)
            if any(own.test_samples for own in row.clients.values())
        ),
        None,
    )


def _last_by_class(history: History) -> RoundRow | None:
    return next((row for row in reversed(history.rows) if row.classes), None)


def _spread_words(history: History, found: Spread) -> str:
    apart = "" if found.variation is None else f", coefficient of variation {found.variation:.3g}"
    low, high = (
        f"{metric_text(history, value)} ({name})" for name, value in (found.lowest, found.highest)
    )
    return f"mean {metric_text(history, found.mean)}{apart}, {low} to {high}"


def _clients(history: History) -> list[Table]:
    names = list(dict.fromkeys(name for row in history for name in row.clients))
    if len(names) < 2:
        return []
    tested = _last_tested(history)
    columns = [
        Column("client", "Client", text=True),
        Column("samples", "Samples", meaning="seen in training, in all rounds"),
        Column("first", "First loss", meaning="of the training, in the client's first round"),
        Column("last", "Last loss", meaning="of the training, in the client's last round"),
    ]
    caption = "Training loss of each client in its first and its last round"
    if tested is not None:
        columns += [
            Column("tests", "Test samples"),
            Column("test", "Test loss"),
            *([] if history.metric is None else [Column("metric", metric_heading(history))]),
        ]
        caption += f"; the common model on each one's share of the test data, round {tested.round}"
    rows = [_client(history, name, tested) for name in names]
    return [Table("Clients", caption, tuple(columns), tuple(rows), "clients", main=False)]


def _client(history: History, name: str, tested: RoundRow | None) -> dict[str, str]:
    """Return the row of a client."""
    own = [row.clients[name] for row in history if name in row.clients]
    losses = [one.loss for one in own if one.loss is not None]
    test = ClientRow() if tested is None else tested.clients.get(name, ClientRow())
    return {
        "client": name,
        "samples": f"{sum(one.samples for one in own):,}",
        "first": f"{losses[0]:.4f}" if losses else "",
        "last": f"{losses[-1]:.4f}" if losses else "",
        "tests": f"{test.test_samples:,}",
        "test": "" if test.test_loss is None else f"{test.test_loss:.4f}",
        "metric": metric_text(history, test.value_of(history.metric or "test_loss")),
    }


def _apart(history: History) -> list[Table]:
    """Return how far the tests of clients are apart, evaluation by evaluation."""
    known = history.variations()
    rows = [
        {
            "round": str(row.round),
            "mean": metric_text(history, found.mean),
            "apart": f"{100 * known[row.round]:.3g}",
            "lowest": f"{metric_text(history, found.lowest[1])} ({found.lowest[0]})",
            "highest": f"{metric_text(history, found.highest[1])} ({found.highest[0]})",
        }
        for row in history
        if row.round in known and (found := history.spread(row)) is not None
    ]
    if not rows:
        return []
    columns = (
        Column("round", "Round"),
        Column("mean", f"{metric_heading(history)}, mean"),
        Column("apart", "CV %", meaning="standard deviation over clients by the mean"),
        Column("lowest", "Lowest", text=True),
        Column("highest", "Highest", text=True),
    )
    caption = "Tests of the common model on each client's share of the test data, by round"
    things = "rounds"
    return [Table("Clients apart", caption, columns, tuple(rows), things, main=False)]


def _groups(history: History) -> list[Table]:
    """Return the groups of the last round that has some, in the order in which they ran."""
    row = next((row for row in reversed(history.rows) if row.groups), None)
    if row is None:
        return []
    rows = []
    for index, group in enumerate(row.groups):
        loss = group_loss(row.clients, group)
        rows.append(
            {
                "group": str(index + 1),
                "clients": ", ".join(group),
                "loss": "" if loss is None else f"{loss:.4f}",
            }
        )
    columns = (
        Column("group", "Group"),
        Column("clients", "Clients", text=True),
        Column("loss", "Loss"),
    )
    caption = (
        f"Training loss of those that trained side by side, group after group, round {row.round}"
    )
    return [Table("Groups", caption, columns, tuple(rows), "groups", main=False)]


def _classes(history: History) -> list[Table]:
    row = _last_by_class(history)
    if row is None:
        return []
    count = max(len(values) for values in row.classes.values())
    columns = (
        Column("class", "Class"),
        *(Column(name, f"{_words(name)} %") for name in row.classes),
    )
    rows = tuple(
        {
            "class": str(k),
            **{
                name: "" if k >= len(values) or (own := values[k]) is None else f"{100 * own:.2f}"
                for name, values in row.classes.items()
            },
        }
        for k in range(count)
    )
    caption = f"Test of the common model by class, round {row.round}; empty where nothing counts"
    return [Table("Classes", caption, columns, rows, "classes", main=False)]


def _words(name: str) -> str:
    """Return the name of a metric of classes as a heading."""
    return name.replace("_", " ").capitalize()
