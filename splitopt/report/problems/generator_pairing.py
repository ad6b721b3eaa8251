"""The report of a `GeneratorPairing` plan: who sends which generator to whom."""

from __future__ import annotations

from collections import Counter
from typing import Any

from splitopt.plans import Plan
from splitopt.report import paying
from splitopt.report.bars import stacked_bars
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.numbers import duration, seconds
from splitopt.units import readable_bytes


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    devices = prediction["devices"]
    lacking = [device for device in devices if device["missing"]]
    costs = [
        ("Exchange", duration(prediction["exchange_s"])),
        ("Bytes over links", readable_bytes(prediction["exchange_bytes"])),
    ]
    if prediction["objective_unit"] == "B":
        costs.reverse()  # what was minimised stands first, and is what a page claims its proof for
    facts = [
        *costs,
        ("Generators sent", f"{len(prediction['transfers'])}"),
        ("Devices that lack classes", f"{len(lacking)} of {len(devices)}"),
        (
            "Of these without a single partner",
            f"{prediction['devices_without_one_partner']} (Algorithm 2 leaves them without)",
        ),
    ]
    if lack := prediction.get("lacking_quality"):
        facts.append(("Charged for lost quality", f"{lack:,.6g} {prediction['objective_unit']}"))
    exchanged = (_chart(devices),) if prediction["transfers"] else ()
    tables = (_devices(devices), _transfers(prediction))
    if (whole := prediction.get("iotsl")) is None:
        return Content(tuple(facts), tables, exchanged)
    found, shown = paying.content(whole), tables if prediction["transfers"] else tables[:1]
    return Content((*facts, *found.facts), (*found.tables, *shown), (*found.figures, *exchanged))


def _devices(devices: list[Any]) -> Table:
    columns = (
        Column("name", "Device", text=True),
        Column("missing", "Lacks", text=True),
        Column("senders", "Receives from", text=True),
        Column("receivers", "Sends to", meaning="how many devices receive its generator"),
        Column("bytes", "Bytes received"),
        Column("seconds", "SECONDS"),
    )
    rows = tuple(
        {
            "name": device["name"],
            "missing": ", ".join(map(str, device["missing"])) or "nothing",
            "senders": ", ".join(device["senders"]) or "nobody",
            "receivers": str(device["receivers"]),
            "bytes": readable_bytes(device["received_bytes"]),
            "seconds": seconds(device["seconds"]),
        }
        for device in devices
    )
    caption = "What every device lacks, and whose generators it receives"
    return Table("Who receives what", caption, columns, rows, "devices")


def _transfers(prediction: Any) -> Table:
    columns = (
        Column("sender", "Sender", text=True),
        Column("receiver", "Receiver", text=True),
        Column("labels", "Classes taken", text=True),
        Column("bytes", "Bytes"),
        Column("seconds", "SECONDS"),
    )
    rows = tuple(
        {
            "sender": row["sender"],
            "receiver": row["receiver"],
            "labels": ", ".join(map(str, row["labels"])) or "none",
            "bytes": readable_bytes(row["bytes"]),
            "seconds": seconds(row["seconds"]),
        }
        for row in prediction["transfers"]
    )
    caption = "Every generator that is sent, at the full links"
    return Table("Transfers", caption, columns, rows, "transfers", main=False)


def _chart(devices: list[Any]) -> Figure:
    def draw() -> str:
        sent = Counter({device["name"]: device["receivers"] for device in devices})
        most = sent.most_common(40)
        labels = [name for name, _ in most]
        parts = {"receivers": [float(count) for _, count in most]}
        return stacked_bars(labels, parts, "devices that receive its generator")

    return Figure("Whose generators are sent most", draw)
