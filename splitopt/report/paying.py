"""Whether IoTSL pays, for people: verdicts, steps, a chart against generator steps, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from splitopt.errors import InputError
from splitopt.planning.predictions.iotsl import CALLED, PLAIN, WORDS, most_steps, percent
from splitopt.plans import Plan
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.numbers import duration, seconds
from splitopt.units import readable_bytes, readable_work

_WRITTEN: dict[str, Callable[[float], str]] = {
    "bytes": readable_bytes,
    "flop": readable_work,
    "device_flop": readable_work,
    "joule": lambda value: f"{seconds(value)} J",
    "device_joule": lambda value: f"{seconds(value)} J",
    "seconds": lambda value: f"{seconds(value)} s",
}
_SCALES = {
    "bytes": (1e9, "GB"),
    "flop": (1e12, "TFLOP"),
    "joule": (1e3, "kJ"),
    "seconds": (3600.0, "h"),
}
_UNKNOWN = "-"
_FAR = 10
"""A break-even beyond so many times the plan's steps is not drawn."""
_CSV = ("bytes", "device_flop", "server_flop", "edge_flop", "device_j", "edge_j", "seconds")


def content(found: Any) -> Content:
    """Report the part ``iotsl`` of a prediction as facts, tables and a chart."""
    alone = found["split_learning"]
    chosen = found["ways"][0]
    to = f"To {percent(found['target'])}"
    facts: tuple[tuple[str, str], ...] = (
        ("Cut", f"{found['cut']} {found['cut_layer']}"),
        (f"{to}, split learning", _in_words(alone, found["turns_without"])),
        (f"{to}, {CALLED[chosen['where']]}", _in_words(chosen["total"], found["turns_with"])),
    )
    if (memory := found.get("device_memory_bytes")) is not None:
        facts += (("Memory of a device, without generators", readable_bytes(memory)),)
    tables = (_verdicts(found), _steps(found), _devices(found))
    return Content(facts, tables, (_figure(found),))


def _in_words(cost: Any, turns: int) -> str:
    return f"{duration(cost['seconds'])}, {turns} turns of devices"


def _verdicts(found: Any) -> Table:
    columns = (
        Column("scheme", "Scheme", text=True),
        Column("unit", "In", text=True),
        Column("plain", "Split learning"),
        Column("iotsl", "IoTSL"),
        Column("pays", "Pays", text=True),
        Column("steps", "Pays up to", meaning="generator steps of each device"),
    )
    rows = tuple(
        {
            "scheme": CALLED[way["where"]],
            "unit": WORDS[row["unit"]],
            "plain": _WRITTEN[row["unit"]](row["split_learning"]),
            "iotsl": _WRITTEN[row["unit"]](row["iotsl"]),
            "pays": "yes" if row["pays"] else "no",
            "steps": steps_words(row.get("break_even_steps")),
        }
        for way in found["ways"]
        for row in way["verdicts"]
    )
    caption = (
        f"To {percent(found['target'])} with {found['generator_steps']:,} generator steps of each "
        "device, and the number of them up to which it pays"
    )
    return Table("Does IoTSL pay?", caption, columns, rows, "verdicts")


def steps_words(steps: float | None) -> str:
    """Write a break-even number of generator steps."""
    most = most_steps(steps)
    if most is None:
        return "any number"
    return f"{most:,} steps" if most else "none"


def _steps(found: Any) -> Table:
    columns = (
        Column("scheme", "Scheme", text=True),
        Column("step", "Step", text=True),
        Column("bytes", "Bytes"),
        Column("device_flop", "Devices", meaning="work of all devices"),
        Column("edge_flop", "Edge", meaning="work of the edge machine"),
        Column("server_flop", "Server", meaning="work of the server"),
        Column("joule", "Joule", meaning="of the devices and the edge machine"),
        Column("seconds", "SECONDS"),
    )
    listed = [(PLAIN, f"{found['turns_without']} turns", found["split_learning"])]
    for way in found["ways"]:
        rows_of = [(step["name"], step["cost"]) for step in way["steps"]]
        rows_of.append(("in all", way["total"]))
        names = [CALLED[way["where"]], *[""] * (len(rows_of) - 1)]
        listed += [(name, *row) for name, row in zip(names, rows_of, strict=True)]
    rows = tuple({"scheme": name, "step": step, **_cells(cost)} for name, step, cost in listed)
    caption = "What every step of Algorithm 1 takes"
    return Table("Step by step", caption, columns, rows, "steps", main=False)


def _cells(cost: Any) -> dict[str, str]:
    joule = cost.get("device_j")
    more = cost.get("edge_j", 0.0)
    work = {
        name: readable_work(cost.get(name, 0.0)) if cost.get(name, 0.0) else "0"
        for name in ("device_flop", "server_flop", "edge_flop")
    }
    return {
        "bytes": readable_bytes(cost["bytes"]) if cost["bytes"] else "0",
        **work,
        "joule": _UNKNOWN if joule is None else seconds(joule + more),
        "seconds": seconds(cost["seconds"]),
    }


def _devices(found: Any) -> Table:
    columns = (
        Column("name", "Device", text=True),
        Column("turns", "Turns"),
        Column("imputed", "Samples made"),
        Column("flop", "FLOP"),
        Column("joule", "Joule"),
    )
    rows = tuple(
        {
            "name": row["name"],
            "turns": f"{row['turns_without']} to {row['turns_with']}",
            "imputed": f"{row['imputed_samples']:,}",
            "flop": f"{readable_work(row['flop_without'])} to {readable_work(row['flop_with'])}",
            "joule": _UNKNOWN
            if row.get("joule_with") is None
            else f"{seconds(row['joule_without'])} to {seconds(row['joule_with'])}",
        }
        for row in found["devices"]
    )
    caption = f"Each device in split learning and in {CALLED[found['ways'][0]['where']]}"
    return Table("By device", caption, columns, rows, "devices", main=False)


def _figure(found: Any) -> Figure:
    return Figure(
        "Against the number of generator steps",
        lambda: draw(found),
        "What each takes to the target; a dot is the break-even, a ring the plan",
    )


def draw(found: Any) -> str:
    """Draw the totals in each unit against generator steps, as an SVG element."""
    from splitopt.report.charts import Panel, line_styles, panels_figure, svg_text

    names = (PLAIN, *(CALLED[way["where"]] for way in found["ways"]))
    styles = line_styles(names)
    shown = []
    for unit, (scale, word) in _SCALES.items():
        curves = _curves(found, unit, scale, styles)
        if curves:
            title, axis = WORDS[unit], f"{word} to {percent(found['target'])}"
            panel = Panel(title, "generator steps of each device", axis, curves, log_x=False)
            shown.append(panel)
    return svg_text(panels_figure(shown, 2.8, columns=2, legend=styles))


def _curves(found: Any, unit: str, scale: float, styles: Any) -> tuple[Any, ...]:
    """Return the lines of one unit, with break-even and plan marked; none where it is unknown."""
    from splitopt.report.charts import Curve

    chosen, curves = found["generator_steps"], []
    rows = {
        way["where"]: row for way in found["ways"] for row in way["verdicts"] if row["unit"] == unit
    }
    if not rows:
        return ()
    points = [row.get("break_even_steps") or 0.0 for row in rows.values()]
    end = 1.25 * max(chosen, *(steps for steps in points if steps <= _FAR * chosen), 0.0)
    plain = next(iter(rows.values()))["split_learning"]
    curves.append(Curve([0.0, end], [plain / scale] * 2, styles[PLAIN], f"{unit}-split-learning"))
    for way in found["ways"]:
        if (row := rows.get(way["where"])) is None:
            continue
        each = _of(unit, way["per_generator_step"])
        fixed = row["iotsl"] - chosen * each
        style, name = styles[CALLED[way["where"]]], f"{unit}-{way['where']}"
        line = [fixed / scale, (fixed + end * each) / scale]
        curves.append(Curve([0.0, end], line, style, name))
        curves.append(Curve([chosen], [row["iotsl"] / scale], style, f"{name}-plan", "rings"))
        steps = row.get("break_even_steps")
        if steps and steps <= end:
            curves.append(Curve([steps], [plain / scale], style, f"{name}-break-even", "dots"))
    return tuple(curves)


def _of(unit: str, cost: Any) -> float:
    """Return a cost in the unit of a verdict, of devices and edge machine."""
    if unit == "flop":
        return float(cost["device_flop"] + cost.get("edge_flop", 0.0))
    if unit == "joule":
        return float(cost.get("device_j", 0.0) + cost.get("edge_j", 0.0))
    return float(cost[unit])


def to_csv(plan: Plan) -> str:
    """Write what every step takes, a row for each, and the break-even numbers of steps.

    Raises
    ------
    InputError
        The plan says nothing of IoTSL as a whole.
    """
    found = (plan.prediction or {}).get("iotsl")
    if found is None:
        raise InputError("the plan has no steps of IoTSL; state 'generators.training'")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("scheme", "step", *_CSV))
    writer.writerow((PLAIN, "in all", *_numbers(found["split_learning"])))
    for way in found["ways"]:
        name = CALLED[way["where"]]
        for step in way["steps"]:
            writer.writerow((name, step["name"], *_numbers(step["cost"])))
        writer.writerow((name, "in all", *_numbers(way["total"])))
        writer.writerow((name, "a generator step more", *_numbers(way["per_generator_step"])))
    return text.getvalue()


def _numbers(cost: Any) -> list[str]:
    """Return the cells of a cost; empty where something is not known."""
    known = {"edge_flop": 0.0, **cost}
    return ["" if known.get(name) is None else repr(float(known[name])) for name in _CSV]
