"""The report of a `TimeToAccuracy` plan: batches and times per device, gains, and doubts."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.content import Column, Content, Table
from splitopt.report.longest import longest_devices
from splitopt.report.numbers import duration, percent, seconds
from splitopt.units import readable_bytes

SHOWS_ROUND = True
"""Whether the page of a plan shows a round as it is simulated."""
_PHASES = ("out_s", "server_s", "back_s", "exchange_s")
_WORDS = {
    "forward_and_upload": "forward and upload",
    "server": "server",
    "gradient_and_backward": "gradient and backward",
    "aggregation": "aggregation",
}
_DEVICES = (
    Column("device", "Device", text=True),
    Column("cut", "Cut", text=True),
    Column("batch", "Batch"),
    Column("out_s", "out"),
    Column("server_s", "server"),
    Column("back_s", "back"),
    Column("exchange_s", "exch."),
    Column("own_s", "OWN"),
)
_OTHERS = (
    Column("plan", "Planned by", text=True),
    Column("cuts", "Cuts", text=True),
    Column("batches", "Batches", text=True),
    Column("interval", "Interval"),
    Column("time", "Time s"),
    Column("more", "More %"),
)
_CURVES = (
    Column("batch_factor", "c1"),
    Column("interval_exponent", "c2"),
    Column("more", "More %"),
    Column("most", "at most %"),
)


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    devices = Table(
        heading="What every device does in a round",
        caption="A round is one step; seconds of its own part, without its waiting",
        columns=_DEVICES,
        rows=tuple(_device(row) for row in prediction["devices"]),
        things="devices",
    )
    others = Table(
        heading="What planning jointly gains",
        caption="All valued by the same curve of rounds",
        columns=_OTHERS,
        rows=tuple(_others(prediction)),
        things="plans",
    )
    tables = [others, devices]
    if prediction.get("other_curves"):
        tables.append(
            Table(
                heading="Whether the plan survives what is not known of the curve",
                caption="How much longer it takes than the best plan found, and at most, at the "
                "ends of the ranges over seeds",
                columns=_CURVES,
                rows=tuple(_curve(row) for row in prediction["other_curves"]),
                things="curves",
            )
        )
    chart = longest_devices(
        prediction["devices"], "own_s", _PHASES, "What every device takes of a round", "longest"
    )
    return Content(tuple(_facts(prediction)), tuple(tables), (chart,))


def _facts(prediction: Any) -> list[tuple[str, str]]:
    phase, most = max(prediction["phases_s"].items(), key=lambda item: item[1])
    part = most / prediction["round_s"] if prediction["round_s"] else 0.0
    found = [
        ("Target", f"{prediction['metric']} {prediction['target']:g}"),
        ("Time until then", duration(prediction["training_s"])),
        ("Rounds (steps)", f"{prediction['rounds']:,.1f}"),
        ("Round", f"{seconds(prediction['round_s'])} s"),
        ("Longest part of it", f"{_WORDS[phase]}, {seconds(most)} s, {percent(part)} % of it"),
        ("Device parts averaged", _every(prediction["aggregation_interval"])),
        ("Traffic of a round", readable_bytes(prediction["traffic_bytes"])),
    ]
    if prediction.get("device_memory_bytes") is not None:
        found.append(("Memory of a device", readable_bytes(prediction["device_memory_bytes"])))
    leakage = prediction.get("leakage")
    if leakage is not None and leakage["limit"] is not None:
        binds = "binds" if leakage["bound_devices"] else "does not bind"
        text = f"{leakage['largest']:.3f}; the limit of {leakage['limit']:g} {binds}"
        found.append(("Leakage", text))
    return found


def _every(interval: int) -> str:
    return "in every round" if interval == 1 else f"every {interval} rounds"


def _device(row: Any) -> dict[str, str]:
    return {
        "device": row["name"],
        "cut": f"{row['cut']} {row['cut_layer']}",
        "batch": str(row["batch_size"]),
        **{key: seconds(row[key]) for key in (*_PHASES, "own_s")},
    }


def _others(prediction: Any) -> list[dict[str, str]]:
    cuts = sorted({row["cut"] for row in prediction["devices"]})
    sizes = sorted({row["batch_size"] for row in prediction["devices"]})
    own = {
        "cuts": cuts,
        "batch_sizes": sizes,
        "aggregation_interval": prediction["aggregation_interval"],
        "time_s": prediction["training_s"],
        "factor": 1.0,
    }
    rows = [_other("this plan", own)]
    for field, words in (
        ("common", "one cut, one batch"),
        ("without_model", "shortest round"),
    ):
        if prediction.get(field) is not None:
            rows.append(_other(words, prediction[field]))
    return rows


def _other(words: str, row: Any) -> dict[str, str]:
    return {
        "plan": words,
        "cuts": ", ".join(map(str, row["cuts"])),
        "batches": ", ".join(map(str, row["batch_sizes"])),
        "interval": str(row["aggregation_interval"]),
        "time": seconds(row["time_s"]),
        "more": percent(row["factor"] - 1),
    }


def _curve(row: Any) -> dict[str, str]:
    return {
        "batch_factor": f"{row['batch_factor']:.3g}",
        "interval_exponent": f"{row['interval_exponent']:.3g}",
        "more": percent(row["factor"] - 1),
        "most": percent(row["bound_factor"] - 1),
    }
