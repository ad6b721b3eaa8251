"""Tables of a comparison about generators: ways to pair them, and IoTSL as a whole."""

from __future__ import annotations

from splitopt.planning.comparison.generators import GeneratorComparison, PairingRow
from splitopt.planning.predictions.iotsl import percent
from splitopt.report.content import Column, Table
from splitopt.report.numbers import seconds
from splitopt.units import readable_bytes, readable_work

_NONE = "-"
_UNITS = {
    "bytes": "bytes",
    "flop": "FLOP",
    "joule": "J",
    "seconds": "s",
    "device_flop": "devices' FLOP",
    "device_joule": "devices' J",
}


def generator_tables(found: GeneratorComparison | None) -> list[Table]:
    """Return the tables, none where a scenario has no generators."""
    if found is None:
        return []
    paired = [_pairings(found)] if any(row.reason is None for row in found.pairings) else []
    return [*paired, *([_whole(found)] if found.whole else [])]


def without_pairing(found: GeneratorComparison | None) -> list[tuple[str, str, str]]:
    """Return label, verdict and reason of the ways that have no pairing."""
    rows = () if found is None else found.pairings
    return [(row.label, "no pairing", row.reason) for row in rows if row.reason is not None]


def _pairings(found: GeneratorComparison) -> Table:
    columns = (
        Column("label", "Pairing", text=True),
        Column("sent", "Generators sent"),
        Column("bytes", "Bytes"),
        Column("seconds", "SECONDS"),
        Column("objective", "Objective"),
        Column("what", "", text=True),
    )
    rows = tuple(
        {"label": row.label, **_pairing(row)} for row in found.pairings if row.reason is None
    )
    return Table("Pairings", "Whose generators go to which device", columns, rows, "pairings")


def _pairing(row: PairingRow) -> dict[str, str]:
    assert row.exchange_bytes is not None  # it has a pairing
    assert row.exchange_s is not None
    assert row.objective is not None
    return {
        "sent": f"{row.generators_sent:,}",
        "bytes": readable_bytes(row.exchange_bytes),
        "seconds": seconds(row.exchange_s),
        "objective": f"{row.objective:,.6g} {row.unit}",
        "what": "no other costs less" if row.proved else f"by {row.solver}",
    }


def _whole(found: GeneratorComparison) -> Table:
    assert found.target is not None  # it has rows
    columns = (
        Column("label", "Scheme", text=True),
        Column("bytes", "Bytes"),
        Column("flop", "FLOP", meaning="of all but the server"),
        Column("device_flop", "Devices' FLOP"),
        Column("joule", "Joule", meaning="of all but the server"),
        Column("seconds", "SECONDS"),
        Column("pays", "Pays in", text=True),
    )
    rows = tuple(
        {
            "label": row.label,
            "bytes": readable_bytes(row.bytes),
            "flop": readable_work(row.flop),
            "device_flop": readable_work(row.device_flop),
            "joule": _NONE if row.joule is None else seconds(row.joule),
            "seconds": seconds(row.seconds),
            "pays": _NONE if place == 0 else ", ".join(_UNITS[u] for u in row.pays) or "nothing",
        }
        for place, row in enumerate(found.whole)
    )
    caption = f"To {percent(found.target)}: everything, with the training of the generators"
    return Table("Does IoTSL pay?", caption, columns, rows, "schemes")
