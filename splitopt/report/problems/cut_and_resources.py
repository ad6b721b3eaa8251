"""The report of a `CutAndResources` plan: who cuts where, who gets what, where the time goes."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.by_group import group_tables, longest_parts
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.longest import longest_devices
from splitopt.report.numbers import duration, percent, seconds
from splitopt.units import readable_bytes

SLIDERS = "shares"
"""What plans anew in the page of a plan, see `splitopt.report.replanning`."""
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
_SERVER = Column("at", "At", text=True, meaning="the server of the device")
_BITS = (
    Column("bits_up", "Bits up", meaning="bits of a value of the activations"),
    Column("bits_down", "Bits down", meaning="bits of a value of their gradients"),
)
_RANK = Column("rank", "Rank", meaning="the rank of its model's adapters")
_POWER = Column("power", "Power W", meaning="with which it sends")
_CLOCK = Column("clock", "Clock", meaning="its clock by the one that its speed is stated at")
_SERVERS = (
    Column("server", "Server", text=True),
    Column("devices", "Devices"),
    Column("seats", "Seats"),
    Column("total", "Sum of rounds"),
    Column("round", "Longest"),
)
_FREEDOMS = (
    Column("freedom", "Choice of", text=True),
    Column("without", "Without it", text=True),
    Column("objective", "Objective"),
    Column("saves", "Saved"),
    Column("percent", "Saved %"),
)
_NAMED = 8
"""Devices that a fact names."""
_SLOW = Column("slow_round_s", "WHEN SLOW", meaning="the round if this device is slow")
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
    if prediction.get("groups") is not None:
        tables = group_tables(prediction["groups"])
        figures = (longest_parts(prediction["groups"]),)
        facts = tuple(_facts(prediction, unit))
        return Content(facts, (*tables, _worth_table(prediction, unit)), figures)
    limited = any(device.get("largest_batch") is not None for device in prediction["devices"])
    slow = any(device.get("slow_round_s") is not None for device in prediction["devices"])
    devices = Table(
        heading="Who cuts where and gets what",
        caption="Shares of all devices of a row together in %, and seconds per round of each"
        if any("devices" in device for device in prediction["devices"])
        else "Shares of the resources in %, and seconds per round",
        columns=(
            *_shown_columns(prediction["devices"]),
            *((_SLOW,) if slow else ()),
            *((_BATCH,) if limited else ()),
        ),
        rows=tuple(_row(device) for device in prediction["devices"]),
        things="devices",
    )
    return Content(
        tuple(_facts(prediction, unit)),
        (devices, *_choice_tables(prediction, unit), _worth_table(prediction, unit)),
        (_chart(prediction["devices"]),),
    )


def _shown_columns(rows: Any) -> tuple[Column, ...]:
    """Return the columns of a row per device: server and bits where devices choose them."""
    first, found = rows[0] if rows else {}, list(_COLUMNS)
    if first.get("server") is not None:
        found.insert(1, _SERVER)
    if first.get("bits_up") is not None:
        cut = next(place for place, column in enumerate(found) if column.key == "cut")
        found[cut + 1 : cut + 1] = _BITS
    for field, column in (
        ("transmit_power_w", _POWER),
        ("clock", _CLOCK),
        ("adapter_rank", _RANK),
    ):
        if any(row.get(field) is not None for row in rows):
            cut = next(place for place, own in enumerate(found) if own.key == "cut")
            found.insert(cut + 1, column)
    return tuple(found)


def _choice_tables(prediction: Any, unit: str) -> tuple[Table, ...]:
    """Return the tables of servers and of what each kind of choice was worth, where they are."""
    found = []
    if servers := prediction.get("servers"):
        rows = tuple(_server(row) for row in servers)
        found.append(Table("Servers", "Who has how many devices, in s", _SERVERS, rows))
    if freedoms := prediction.get("freedoms"):
        found.append(
            Table(
                heading="What each choice was worth",
                caption="The best plan without each kind of choice, the others free",
                columns=_FREEDOMS,
                rows=tuple(_freedom(row, unit) for row in freedoms),
            )
        )
    return tuple(found)


def _server(row: Any) -> dict[str, str]:
    return {
        "server": row["name"],
        "devices": f"{row['devices']:,}",
        "seats": "" if row.get("seats") is None else f"{row['seats']:,}",
        "total": seconds(row["total_s"]),
        "round": "" if row.get("round_s") is None else seconds(row["round_s"]),
    }


_KINDS = {"up": "bits up", "down": "bits down", "rank": "adapter rank", "power": "sending power"}


def _freedom(row: Any, unit: str) -> dict[str, str]:
    best = row.get("objective")
    return {
        "freedom": _KINDS.get(row["freedom"], row["freedom"]),
        "without": row["without"],
        "objective": "no plan" if best is None else f"{seconds(best)} {unit}",
        "saves": "" if best is None else f"{seconds(row['saves'])} {unit}",
        "percent": "" if not best else percent(row["saves"] / best),
    }


def _worth_table(prediction: Any, unit: str) -> Table:
    return Table(
        heading="What more of a resource would save",
        caption="What more of a resource saves of the objective (exact, for these cuts)",
        columns=_WORTH,
        rows=tuple(_worth(row, unit) for row in prediction["worth"]),
        main=False,
    )


def _chart(devices: list[Any]) -> Figure:
    return longest_devices(
        devices, "round_s", PHASES, "Where the time of a round goes", "slowest devices"
    )


def _row(device: Any) -> dict[str, str]:
    return {
        "device": device["name"],
        "cut": "left out" if device.get("left_out") else f"{device['cut']} {device['cut_layer']}",
        "downlink": percent(device["download_share"]),
        "uplink": percent(device["upload_share"]),
        "server": percent(device["server_share"]),
        **{key: seconds(device[key]) for key in (*PHASES, "round_s")},
        "at": device.get("server") or "",
        "clock": "" if device.get("clock") is None else f"{device['clock']:.3g}",
        "rank": str(device.get("adapter_rank") or ""),
        "power": ""
        if device.get("transmit_power_w") is None
        else f"{device['transmit_power_w']:.3g}",
        "bits_up": str(device.get("bits_up") or ""),
        "bits_down": str(device.get("bits_down") or ""),
        "slow_round_s": ""
        if device.get("slow_round_s") is None or device.get("left_out")
        else seconds(device["slow_round_s"]),
        "batch": f"{device['largest_batch']:,}" if device.get("largest_batch") is not None else "",
    }


def _facts(prediction: Any, unit: str) -> list[tuple[str, str]]:
    narrow = prediction["bottleneck"]
    energy = prediction.get("energy_j")
    spent = [] if energy is None else [("Energy of the devices", f"{seconds(energy)} J a round")]
    return [
        *_worst(prediction.get("worst_case")),
        ("Round time (slowest device)", duration(prediction["round_s"])),
        ("Sum over devices", duration(prediction["total_s"])),
        ("Whole training", duration(prediction["training_s"])),
        ("Bottleneck", _bottleneck(narrow, unit)),
        ("Slowest device", _slowest(narrow, fleet_size(prediction))),
        *spent,
        *_leakage(prediction.get("leakage")),
        *(_budget(row, prediction["objective_unit"]) for row in prediction.get("budgets", [])),
    ]


def _worst(found: Any) -> list[tuple[str, str]]:
    """Return what a robust plan takes at worst, and who is protected."""
    if found is None:
        return []
    rows = []
    if slow := found["slow_devices"]:
        more = found["worst_s"] / found["nominal_s"] - 1 if found["nominal_s"] else 0.0
        words = f"{duration(found['worst_s'])}, {percent(more)} % more than if none is slow"
        named = f"; then slow: {_names(found['slow'])}" if found["slow"] else ""
        rows.append((f"Worst case, {slow:g} slow", words + named))
        safe = _names(found["protected"]) or "none"
        rows.append(("Protected, in time even if slow", safe))
    rows.append(("If none is slow", duration(found["nominal_s"])))
    rows.append(("Waited for", f"{found['quorum']:,} devices"))
    if found["left_out"]:
        rows.append(("Left out", _names(found["left_out"])))
    return rows


def _names(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (
        f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    )


def fleet_size(prediction: Any) -> int:
    """Return how many devices a prediction is about."""
    groups = prediction.get("groups")
    if groups is not None:
        return int(groups["devices"])
    return sum(row.get("devices", 1) for row in prediction["devices"])


def _leakage(found: Any) -> list[tuple[str, str]]:
    """Return what the cuts leak where a limit is set, and that it is a guess where it is one."""
    if found is None or found["limit"] is None:
        return []
    guess = " (a guess)" if found["state"] == "guess" else ""
    bound = found.get("bound", len(found["bound_devices"]))
    binds = f"binds {bound:,} of the devices" if bound else "binds none of the devices"
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
        return f"none by itself, {together:,} of {devices:,} end together"
    return (
        f"{narrow['device']}; its longest part is {narrow['phase']}, "
        f"{seconds(narrow['phase_s'])} s, {percent(narrow['fraction_of_round'])} % of its round"
    )


def _budget(row: Any, unit: str) -> tuple[str, str]:
    """Format the use of a budget against its limit, and what more of it is worth."""
    more, counted = row["without"], row.get("unit")
    if counted is not None:
        words = f"{row['used']:.6g} of {row['limit']:.6g} {counted}"
        free = f"without any limit {more['used']:.6g} are used"
        saved = f", which saves {seconds(more['saves'])} {unit}" if more["saves"] > 0 else ""
        return row["name"].capitalize(), f"{words}; {free}{saved}"
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
