"""The report of a `CutAndResources` plan: who cuts where, who gets what, where the time goes."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.longest import longest_devices
from splitopt.report.numbers import duration, percent, seconds
from splitopt.units import readable_bytes

PHASES = ("download_s", "device_s", "upload_s", "server_s")
_COLUMNS = (
    Column("device", "Device", text=True),
    Column("cut", "Cut", text=True),
    Column("downlink", "Down %"),
    Column("uplink", "Up %"),
    Column("server", "Serv %"),
    Column("download_s", "down"),
    Column("device_s", "device"),
    Column("upload_s", "up"),
    Column("server_s", "server"),
    Column("round_s", "ROUND"),
)
_BATCH = Column("batch", "Max batch", meaning="the most samples in a batch that its memory holds")
_WORTH = (
    Column("resource", "Resource", text=True),
    Column("now", "Now"),
    Column("percent", "1 % more"),
    Column("unit", "Unit"),
)


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction, unit = plan.prediction, plan.prediction["objective_unit"]
    limited = any(device.get("largest_batch") is not None for device in prediction["devices"])
    devices = Table(
        heading="Who cuts where and gets what",
        caption="Shares of the resources in %, and seconds per round",
        columns=(*_COLUMNS, *((_BATCH,) if limited else ())),
        rows=tuple(_row(device) for device in prediction["devices"]),
        things="devices",
    )
    worth = Table(
        heading="What more of a resource would save",
        caption="What more of a resource saves of the objective (exact, for these cuts)",
        columns=_WORTH,
        rows=tuple(_worth(row, unit) for row in prediction["worth"]),
        main=False,
    )
    return Content(
        tuple(_facts(prediction, unit)), (devices, worth), (_chart(prediction["devices"]),)
    )


def _chart(devices: list[Any]) -> Figure:
    return longest_devices(
        devices, "round_s", PHASES, "Where the time of a round goes", "slowest devices"
    )


def _row(device: Any) -> dict[str, str]:
    return {
        "device": device["name"],
        "cut": f"{device['cut']} {device['cut_layer']}",
        "downlink": percent(device["download_share"]),
        "uplink": percent(device["upload_share"]),
        "server": percent(device["server_share"]),
        **{key: seconds(device[key]) for key in (*PHASES, "round_s")},
        "batch": f"{device['largest_batch']:,}" if device.get("largest_batch") is not None else "",
    }


def _facts(prediction: Any, unit: str) -> list[tuple[str, str]]:
    narrow = prediction["bottleneck"]
    energy = prediction.get("energy_j")
    spent = [] if energy is None else [("Energy of the devices", f"{seconds(energy)} J a round")]
    return [
        ("Round time (slowest device)", duration(prediction["round_s"])),
        ("Sum over devices", duration(prediction["total_s"])),
        ("Whole training", duration(prediction["training_s"])),
        ("Bottleneck", _bottleneck(narrow, unit)),
        ("Slowest device", _slowest(narrow, len(prediction["devices"]))),
        *spent,
        *_leakage(prediction.get("leakage")),
        *(_budget(row, prediction["objective_unit"]) for row in prediction.get("budgets", [])),
    ]


def _leakage(found: Any) -> list[tuple[str, str]]:
    """Return what the cuts leak where a limit is set, and that it is a guess where it is one."""
    if found is None or found["limit"] is None:
        return []
    guess = " (a guess)" if found["state"] == "guess" else ""
    bound = len(found["bound_devices"])
    binds = f"binds {bound} of the devices" if bound else "binds none of the devices"
    text = f"at most {found['largest']:.3f}{guess}; the limit of {found['limit']:g} {binds}"
    return [("Leakage", text)]


def _bottleneck(narrow: Any, unit: str) -> str:
    """Return what would help most, as the table of what more is worth has it."""
    if "helps_most" not in narrow:  # a plan of an older version
        return f"{narrow['device']}, {narrow['phase']}"
    if narrow["helps_most"] is None:
        return "none, no resource is in use"
    return (
        f"{narrow['helps_most']}: 1 % more saves {seconds(narrow['saved_per_percent'])} {unit} "
        "of the objective, more than of anything else"
    )


def _slowest(narrow: Any, devices: int) -> str:
    together = narrow.get("slowest_devices", 1)
    if together > 1:
        return f"none by itself, {together} of {devices} end together"
    return (
        f"{narrow['device']}; its longest part is {narrow['phase']}, "
        f"{seconds(narrow['phase_s'])} s, {percent(narrow['fraction_of_round'])} % of its round"
    )


def _budget(row: Any, unit: str) -> tuple[str, str]:
    """Format the use of a budget against its limit, and what more of it is worth."""
    more = row["without"]
    words = f"{readable_bytes(row['used'])} of {readable_bytes(row['limit'])}"
    if more["saves"] > 0:
        words += (
            f"; 1 % more saves about {seconds(row['per_percent'])} {unit}, all that is of use "
            f"({readable_bytes(more['used'])}) saves {seconds(more['saves'])} {unit}"
        )
    else:
        words += "; more saves nothing"
    return row["name"].capitalize(), words


def _worth(row: Any, saved: str) -> dict[str, str]:
    unit = row.get("unit")
    return {
        "resource": row["resource"],
        "now": f"{row['capacity']:,.6g} {unit}"
        if unit
        else "as measured"
        if row["resource"].startswith(("server", "device"))
        else "by device",
        "percent": f"{seconds(row['per_percent'])} {saved}",
        "unit": f"{seconds(row['per_unit'])} {saved} per {unit}" if unit else "",
    }
