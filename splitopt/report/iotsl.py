"""A run of IoTSL: what was sent and made, and what it was worth; in the terminal and as a page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.iotsl.messages import GENERATOR, HISTOGRAM, PAIRED, totals
from splitopt.iotsl.result import DeviceRow, IotslRun
from splitopt.planning.predictions.iotsl import WORDS
from splitopt.report.charts import svg_text
from splitopt.report.content import Column, Figure, Table
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import percent, seconds
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template
from splitopt.report.training import training_figure
from splitopt.training.history import History
from splitopt.units import readable_bytes, readable_work

KINDS = {
    HISTOGRAM: "histograms to the server",
    GENERATOR: "generators to the server",
    PAIRED: "generators to devices that lack classes",
}
"""Kind of message -> what people call it."""
_DEVICES = (
    Column("name", "Device", text=True),
    Column("has", "Has", text=True, meaning="classes of which it has samples"),
    Column("samples", "Samples"),
    Column("quality", "Quality", meaning="of its generator, by a probe of its own: least class"),
    Column("epsilon", "Epsilon", meaning="of what its generator tells of one sample"),
    Column("told", "Membership", meaning="AUC of telling its samples from others; 50 % is chance"),
    Column("received", "Receives from", text=True),
    Column("imputed", "Given", meaning="samples of classes that it lacks"),
)
_STEPS = (
    Column("step", "Step", text=True),
    Column("bytes", "Bytes"),
    Column("flop", "Devices' FLOP"),
    Column("server", "Server's FLOP"),
    Column("joule", "Devices' J"),
    Column("seconds", "Seconds", meaning="as planned"),
)
_MESSAGES = (
    Column("kind", "Messages", text=True),
    Column("count", "Number"),
    Column("planned", "Planned"),
    Column("sent", "Sent"),
    Column("seconds", "Planned s", meaning="one after the other at the full links"),
)


def iotsl_to_terminal(run: IotslRun) -> RenderableType:
    """Lay out devices, messages and the verdict."""
    summary = summarize_iotsl(run)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for table in summary.tables:
        parts += table_in_terminal(table)
    parts.append(Text(summary.verdict, style="bold green"))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    return Group(*parts)


def iotsl_to_html(run: IotslRun, grids: Mapping[str, bytes]) -> str:
    """Return the page.

    Parameters
    ----------
    run
        What to show.
    grids
        Device -> a PNG picture of what its generator makes.
    """
    pictures = {name: base64.b64encode(png).decode() for name, png in grids.items()}
    return str(template("iotsl.html").render(summary=summarize_iotsl(run), pictures=pictures))


def summarize_iotsl(run: IotslRun) -> PlanSummary:
    """Summarize a run as a title, a verdict, facts, tables and a figure."""
    origin = run.tuned.history.origin
    scenario, scheme = (str(origin.get(key, "")) for key in ("scenario", "scheme"))
    return PlanSummary(
        title=f"{scenario}: IoTSL by {scheme} on {run.data_name}",
        verdict=_verdict(run),
        facts=tuple(_facts(run)),
        tables=(_devices(run), _messages(run), *([_steps(run)] if run.costs else [])),
        figures=(
            Figure(
                "Accuracy and loss of the split training",
                lambda: svg_text(training_figure(_histories(run))),
                "On the real test data, after every round",
            ),
        ),
    )


def _histories(run: IotslRun) -> dict[str, History]:
    if run.plain is None:
        return {"": run.tuned.history}
    return {"with generators": run.tuned.history, "without": run.plain.history}


def _best(history: History) -> str:
    best = history.best
    if best is None or best.accuracy is None:
        return "no test"
    return f"{percent(best.accuracy)} % in round {best.round}"


def _verdict(run: IotslRun) -> str:
    found = f"Best accuracy {_best(run.tuned.history)}"
    if run.plain is None:
        return f"{found}."
    return f"{found}, without generators {_best(run.plain.history)}."


def _facts(run: IotslRun) -> Iterator[tuple[str, str]]:
    if run.pretrained is not None:
        yield "After pre-training", f"{percent(run.pretrained)} % on the real test data"
    clock = run.tuned.history.clock_s
    if clock is not None:
        yield "Split training", f"{seconds(clock)} s by the plan"
    whole = run.tuned.history.traffic_bytes()
    if whole:
        text = readable_bytes(sum(whole.values()))
        yield "Sent in the split training", f"{text}, the pre-trained part included"
    sent = [one for one in run.messages if one.measured_s is not None]
    if sent:
        measured = sum(one.measured_s or 0.0 for one in sent)
        planned = sum(one.planned_s for one in sent)
        yield (
            "Over connections",
            f"messages took {seconds(measured)} s where {seconds(planned)} s were planned, one "
            "after the other",
        )
    if run.whole is not None:
        yield from _paying(run)
    yield "Files", str(run.folder)


def _paying(run: IotslRun) -> Iterator[tuple[str, str]]:
    """Return in which units the run has paid, to the best accuracy that both trainings reached."""
    verdicts, target = run.whole["ways"][0]["verdicts"], percent(run.whole["target"])
    for pays, label in ((True, "Pays in"), (False, "Does not pay in")):
        units = [WORDS[one["unit"]] for one in verdicts if one["pays"] is pays]
        if units:
            yield f"To {target} %: {label.lower()}", f"{', '.join(units)}; pays.json has the steps"
    best = run.tuned.history.best
    if best is not None and (best.accuracy or 0.0) > run.whole["target"]:
        yield f"Beyond {target} %", "training without generators has not come in these rounds"


def _devices(run: IotslRun) -> Table:
    rows = tuple(_device(row) for row in run.devices)
    caption = "What each device has, tells and is given; labels are numbers of classes"
    columns: tuple[Column, ...] = _DEVICES
    if all(row.membership is None for row in run.devices):
        columns = tuple(column for column in _DEVICES if column.key != "told")
    return Table("Devices", caption, columns, rows, things="devices")


def _device(row: DeviceRow) -> dict[str, str]:
    own = [share for share, count in zip(row.quality, row.counts, strict=True) if count]
    epsilon = "none" if row.epsilon is None else f"{row.epsilon:.3g}"
    quality = percent(min(own)) + " %" if row.judged else "not judged"
    return {
        "name": row.name,
        "has": _ranges([label for label, count in enumerate(row.counts) if count]),
        "samples": f"{sum(row.counts):,}",
        "quality": quality if any(row.quality) else "no generator",
        "epsilon": epsilon if any(row.quality) else "",
        "told": "" if row.membership is None else percent(row.membership) + " %",
        "received": ", ".join(row.received),
        "imputed": f"{sum(row.imputed):,}" if any(row.imputed) else "",
    }


def _ranges(labels: list[int]) -> str:
    """Return rising numbers in words, neighbours together: 0-3, 7."""
    found: list[list[int]] = []
    for label in labels:
        if found and label == found[-1][1] + 1:
            found[-1][1] = label
        else:
            found.append([label, label])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def _steps(run: IotslRun) -> Table:
    rows = tuple(
        {
            "step": row["step"],
            "bytes": readable_bytes(row["bytes"]),
            "flop": readable_work(row["device_flop"]),
            "server": readable_work(row["server_flop"]),
            "joule": "-" if row["device_j"] is None else seconds(row["device_j"]),
            "seconds": seconds(row["seconds"]),
        }
        for row in run.costs
    )
    caption = "What each step takes; generators are trained side by side, the slowest one decides"
    return Table("Steps", caption, _STEPS, rows, things="steps")


def _messages(run: IotslRun) -> Table:
    rows = tuple(
        {
            "kind": KINDS.get(kind, kind),
            "count": f"{own['messages']:.0f}",
            "planned": readable_bytes(own["planned_bytes"]),
            "sent": readable_bytes(own["bytes"]),
            "seconds": seconds(own["planned_s"]),
        }
        for kind, own in totals(run.messages).items()
    )
    caption = "What is sent before the split training begins, in bytes of tensors"
    return Table("Messages", caption, _MESSAGES, rows, things="kinds")
