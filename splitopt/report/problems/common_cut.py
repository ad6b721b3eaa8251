"""The report of a `CommonCut` plan: the cut, the round at every other one, where time goes."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.longest import longest_devices
from splitopt.report.numbers import duration, percent, seconds
from splitopt.units import readable_bytes

SHOWS_ROUND = True
"""Whether the page of a plan shows a round as it is simulated."""
LABELS = {
    "splitfed_v1": "SplitFedV1",
    "splitfed_v2": "SplitFedV2",
    "vanilla": "vanilla split learning",
    "federated": "federated learning",
}
_ORDERS = {"client": ", client by client", "batch": ", batch by batch"}
_PHASES = ("download_s", "device_s", "upload_s", "server_s")
_CUTS = (
    Column("cut", "Cut", text=True),
    Column("round_s", "Round"),
    Column("more", "More %"),
)
_DEVICES = (
    Column("device", "Device", text=True),
    Column("downlink", "Down %"),
    Column("uplink", "Up %"),
    Column("server", "Serv %"),
    Column("download_s", "down"),
    Column("device_s", "device"),
    Column("upload_s", "up"),
    Column("server_s", "server"),
    Column("own_s", "OWN"),
)


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    devices = Table(
        heading="What every device takes of the round",
        caption="Shares of the resources in %, and seconds without what a device waits for",
        columns=_DEVICES,
        rows=tuple(_device(row) for row in prediction["devices"]),
        things="devices",
    )
    cuts = Table(
        heading="The round at every cut that all can take",
        caption="Every cut was computed: the shortest round is proved",
        columns=_CUTS,
        rows=tuple(_cut(row, prediction) for row in prediction["cuts"]),
        things="cuts",
    )
    return Content(tuple(_facts(prediction)), (cuts, devices), (_chart(prediction["devices"]),))


def _facts(prediction: Any) -> list[tuple[str, str]]:
    order = _ORDERS.get(prediction.get("server_order"), "")
    phase, most = max(prediction["phases_s"].items(), key=lambda item: item[1])
    fraction = most / prediction["round_s"] if prediction["round_s"] else 0.0
    found = [
        ("Scheme", LABELS[prediction["scheme"]] + order),
        ("Cut of all devices", f"{prediction['cut']} ({prediction['cut_layer']})"),
        ("Round", f"{seconds(prediction['round_s'])} s"),
        ("Whole training", duration(prediction["training_s"])),
        (
            "Longest part of the round",
            f"{phase}, {seconds(most)} s, {percent(fraction)} % of it",
        ),
        ("Traffic of a round", readable_bytes(prediction["traffic_bytes"])),
    ]
    for field, label in (
        ("device_memory_bytes", "Memory of a device"),
        ("server_memory_bytes", "Memory of the server"),
    ):
        if prediction.get(field) is not None:
            found.append((label, readable_bytes(prediction[field])))
    return [*found, *_leakage(prediction.get("leakage"))]


def _leakage(found: Any) -> list[tuple[str, str]]:
    """Return what the cut leaks where a limit is set, and that it is a guess where it is one."""
    if found is None or found["limit"] is None:
        return []
    guess = " (a guess)" if found["state"] == "guess" else ""
    binds = "binds" if found["bound_devices"] else "does not bind"
    text = f"{found['largest']:.3f}{guess}; the limit of {found['limit']:g} {binds}"
    return [("Leakage", text)]


def _cut(row: Any, prediction: Any) -> dict[str, str]:
    best = prediction["round_s"]
    chosen = row["cut"] == prediction["cut"]
    more = "chosen" if chosen else percent(row["round_s"] / best - 1) if best else ""
    cut = f"{row['cut']} {row['cut_layer']}"
    return {"cut": cut, "round_s": seconds(row["round_s"]), "more": more}


def _device(row: Any) -> dict[str, str]:
    return {
        "device": row["name"],
        "downlink": percent(row["download_share"]),
        "uplink": percent(row["upload_share"]),
        "server": percent(row["server_share"]),
        **{key: seconds(row[key]) for key in (*_PHASES, "own_s")},
    }


def _chart(devices: list[Any]) -> Figure:
    return longest_devices(
        devices, "own_s", _PHASES, "What every device takes of a round", "longest"
    )
