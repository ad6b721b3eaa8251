"""The document of a profile: what its keys hold, read part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.documents.fields import expect_keys, expect_mapping, expect_texts
from splitopt.profiles.table.adapter_ranks import AdapterRanks
from splitopt.profiles.table.columns import OPTIONAL, REQUIRED
from splitopt.profiles.table.curves import Curve
from splitopt.profiles.table.layer_graph import LayerGraph
from splitopt.profiles.table.leakage_record import LeakageRecord
from splitopt.profiles.table.machine_times import MachineTimes
from splitopt.profiles.table.operator_counts import OperatorCounts
from splitopt.profiles.table.provenance import Provenance
from splitopt.profiles.table.trace_record import TraceRecord
from splitopt.profiles.table.uncounted import read_uncounted

FORMAT, VERSION = "splitopt-profile", 1
_REQUIRED = ("name", "layers", "work_unit", *REQUIRED, "provenance")
_PARTS = (
    "machines",
    "curves",
    "uncounted",
    "operators",
    "trace",
    "leakage_record",
    "graph",
    "adapter_ranks",
)
_OPTIONAL = (*OPTIONAL, *_PARTS, "sample_gradients")


def read_keys(document: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the values of a profile's document that are there, as they stand in it.

    Raises
    ------
    InputError
        A missing or unknown key; the message starts with `source`.
    """
    expect_keys(document, source, ("format", "version", *_REQUIRED), _OPTIONAL)
    values = {key: document[key] for key in _REQUIRED}
    return values | {key: document[key] for key in _OPTIONAL if document.get(key) is not None}


def read_parts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a profile: the values of its document, with its parts as objects.

    Raises
    ------
    InputError
        A part is not of its form; the message starts with its place.
    """
    found = dict(values)
    found["provenance"] = Provenance.from_dict(found["provenance"])
    if "uncounted" in found:
        found["uncounted"] = read_uncounted(found["uncounted"])
    for key, part in (("machines", MachineTimes), ("curves", Curve)):
        if key in found:
            found[key] = {
                name: part.from_dict(item, f"{key}.{name}")
                for name, item in expect_mapping(found[key], key).items()
            }
    if "operators" in found:
        count = len(expect_texts(found["layers"], "layers"))
        found["operators"] = OperatorCounts.from_dict(found["operators"], "operators", count)
    if "trace" in found:
        found["trace"] = TraceRecord.from_dict(found["trace"])
    if "leakage_record" in found:
        found["leakage_record"] = LeakageRecord.from_dict(found["leakage_record"])
    if "adapter_ranks" in found:
        found["adapter_ranks"] = AdapterRanks.from_dict(found["adapter_ranks"])
    if "graph" in found:
        found["graph"] = LayerGraph.from_dict(found["graph"])
    return found


def document_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a profile from its arguments; what is unknown is left out."""
    found: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": values["name"],
        "work_unit": values["work_unit"],
        "layers": list(values["layers"]),
    }
    columns = ((name, values[name]) for name in (*REQUIRED, *OPTIONAL))
    found |= {name: column.tolist() for name, column in columns if column is not None}
    if values["machines"]:
        found["machines"] = {name: item.to_dict() for name, item in values["machines"].items()}
    if values["curves"] is not None:
        found["curves"] = {name: item.to_dict() for name, item in values["curves"].items()}
    if values["uncounted"]:
        found["uncounted"] = [item.to_dict() for item in values["uncounted"]]
    for key in ("operators", "trace", "leakage_record"):
        if values[key] is not None:
            found[key] = values[key].to_dict()
    if values["sample_gradients"]:
        found["sample_gradients"] = values["sample_gradients"]
    for key in ("graph", "adapter_ranks"):
        if values[key] is not None:
            found[key] = values[key].to_dict()
    found["provenance"] = values["provenance"].to_dict()
    return found
