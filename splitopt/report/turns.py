"""The turns of a training: what was forgotten in words, a table, and accuracy by class and turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from splitopt.report.charts import Curve, Heat, Panel, line_styles, panels_figure, svg_text
from splitopt.report.content import Column, Figure, Table
from splitopt.report.numbers import percent
from splitopt.training.forgetting import measured
from splitopt.training.history import History

MOST_ROWS = 200
"""Turns of a table; of more, the last ones are shown."""


def turn_facts(history: History) -> list[tuple[str, str]]:
    """Return what was done against forgetting, and what was forgotten, of what is known."""
    given = history.origin.get("remembering")
    facts = []
    if isinstance(given, Mapping):
        words = ", ".join(f"{name} {value}" for name, value in given.items() if value)
        facts.append(("Against forgetting", words.replace("_", " ")))
    found = measured(history)
    if found is None:
        return facts
    words = f"{found.turns}"
    if found.highest is not None and found.last is not None:
        words += (
            f"; accuracy % at most {percent(found.highest)}, {percent(found.last)} after the last"
        )
    facts.append(("Turns tested", words))
    if found.forgetting is not None:
        mean = "" if found.mean_forgetting is None else percent(found.mean_forgetting)
        facts.append(
            (
                "Forgetting, points",
                f"{percent(found.forgetting)} after the last turn, {mean} on average over turns",
            )
        )
    if found.backward_transfer is not None:
        facts.append(
            (
                "Backward transfer, points",
                f"{percent(found.backward_transfer)} after the last turn",
            )
        )
    return facts


def turn_tables(history: History) -> list[Table]:
    """Return the table of the turns, for pages; nothing without tests of turns."""
    turns = history.turns
    if not turns:
        return []
    columns = (
        Column("turn", "Turn"),
        Column("round", "Round"),
        Column("clients", "Whose", text=True),
        Column("trained", "Classes trained", text=True),
        Column("loss", "Test loss"),
        Column("accuracy", "Accuracy %"),
    )
    rows = tuple(
        {
            "turn": str(index + 1),
            "round": str(number),
            "clients": ", ".join(turn.clients),
            "trained": " ".join(map(str, turn.trained)),
            "loss": f"{turn.test_loss:.4f}",
            "accuracy": "" if turn.accuracy is None else percent(turn.accuracy),
        }
        for index, (number, turn) in enumerate(turns)
    )[-MOST_ROWS:]
    left = len(turns) - len(rows)
    caption = "Test of the model after every turn"
    if left:
        caption += f"; the first {left} are left out"
    return [Table("Turns", caption, columns, rows, "turns", main=False)]


def turn_panels(history: History) -> list[Panel]:
    """Return accuracy over turns, and accuracy by class and turn, of what there is."""
    turns = [turn for _, turn in history.turns]
    shown = []
    known = [(i + 1, t.accuracy) for i, t in enumerate(turns) if t.accuracy is not None]
    if known:
        (style,) = line_styles(("turns",)).values()
        kind: Literal["line", "dots"] = "line" if len(known) > 1 else "dots"
        curve = Curve([float(x) for x, _ in known], [y for _, y in known], style, "turns", kind)
        shown.append(
            Panel("", "turn", "test accuracy", (curve,), log_x=False, whole_x=True, y_range=(0, 1))
        )
    if any(turn.by_class for turn in turns):
        cells = tuple(turn.by_class for turn in turns)
        heat = Heat(tuple(zip(*cells, strict=True)), "accuracy")
        shown.append(Panel("", "turn", "class", (), log_x=False, whole_x=True, heat=heat))
    return shown


def turn_figures(history: History) -> list[Figure]:
    """Return the figure of the turns, nothing without tests of turns."""
    shown = turn_panels(history)
    if not shown:
        return []
    return [
        Figure(
            "Turn by turn",
            lambda: svg_text(panels_figure(shown, 3.1, columns=len(shown))),
            "Test after every turn: accuracy, and the accuracy on each class; a class that is "
            "forgotten turns dark",
        )
    ]
