"""What the arguments of a profile must be, and how they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.documents.fields import expect_name, expect_names
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import frozen_array
from splitopt.profiles.table.columns import (
    OPTIONAL,
    REQUIRED,
    UNITS,
    check_last_cut,
    check_wholes,
)
from splitopt.profiles.table.curves import check_curves
from splitopt.profiles.table.machine_times import check_machines
from splitopt.profiles.table.uncounted import check_uncounted


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a profile as it keeps them: arrays read-only, collections copied.

    Raises
    ------
    InputError
        As `ModelProfile` says.
    """
    expect_name(values["name"], "name")
    layers = expect_names(values["layers"], "layers")
    count = len(layers)
    if not layers:
        raise InputError.at("layers", "is empty; a model has at least one layer")
    unit = values["work_unit"]
    if unit not in UNITS:
        known = ", ".join(map(repr, UNITS))
        raise InputError.at("work_unit", f"is {shown(unit)}; choose one of {known}")
    columns = {
        name: frozen_array(values[name], name, count)
        for name in (*REQUIRED, *OPTIONAL)
        if name in REQUIRED or values[name] is not None
    }
    check_last_cut(columns)
    found = {**values, **columns, "layers": layers}
    found["uncounted"] = check_uncounted(values["uncounted"], layers)
    covered = values["sample_gradients"]
    if not isinstance(covered, bool) and covered != "model":
        raise InputError.at("sample_gradients", "must be true, false or 'model'")
    check_wholes(columns, bool(covered))
    if (trace := values["trace"]) is not None and trace.tied is not None:
        trace.tied.check(layers)
    for key in ("operators", "graph"):
        if values[key] is not None:
            values[key].check(count)
    if (record := values["leakage_record"]) is not None:
        record.check(columns.get("leakage"), count)
    if (ranks := values["adapter_ranks"]) is not None:
        found["adapter_ranks"] = ranks.check(columns, count)
    found["machines"] = check_machines(values["machines"], count)
    if values["curves"] is not None:
        found["curves"] = check_curves(values["curves"], REQUIRED, count)
    values["provenance"].check(columns)
    return found
