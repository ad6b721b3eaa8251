"""What stands above a column: words and a unit, found from the names of a plan's own fields.

A field of a prediction says its unit at the end of its name, as everywhere in splitopt: ``round_s``
are seconds. Those that do not are listed here.
"""

from __future__ import annotations

_ENDINGS = (
    ("_bytes_per_sample", "B/sample"),
    ("_per_sample_bytes", "B/sample"),
    ("_bytes", "B"),
    ("_flop", "FLOP"),
    ("_share", "fraction"),
    ("_s", "s"),
    ("_j", "J"),
    ("_w", "W"),
)
_WHOLE = {
    "seconds": "s",
    "bytes": "B",
    "joule": "J",
    "joule_with": "J",
    "joule_without": "J",
    "flop_with": "FLOP",
    "flop_without": "FLOP",
    "busy": "fraction",
    "fraction_of_round": "fraction",
    "level": "fraction",
    "cvar_level": "fraction",
    "largest": "fraction",
    "samples": "samples",
    "batch_size": "samples",
    "largest_batch": "samples",
    "bits_up": "bit",
    "bits_down": "bit",
    "subcarriers": "subcarriers",
    "micro_batches": "micro-batches",
    "in_flight": "micro-batches",
    "held": "micro-batches",
    "share": "fraction",
}
_FRACTIONS = {"leakage": "fraction", "leakage.limit": "fraction"}
OF_OBJECTIVE = frozenset(
    {"objective", "saves", "per_percent", "saved_per_percent", "bound", "lacking_quality"}
)
"""Fields in the unit of the objective, which a plan's prediction names."""
OF_ROW = frozenset({"capacity", "used", "limit", "per_unit", "split_learning", "iotsl"})
"""Fields in a unit that stands in the column ``unit`` of the same row."""


def unit_of(field: str, objective_unit: str, *, in_rows: bool = False) -> str:
    """Return the unit of a field; empty where it has none.

    Parameters
    ----------
    field
        Its name, after those of what it is part of with dots between; the last that says a unit
        counts, as in ``phases_s.upload``.
    objective_unit
        The unit of the objective.
    in_rows
        Whether its rows say a unit of their own.
    """
    name = field.rpartition(".")[2]
    if name in OF_OBJECTIVE:
        return objective_unit
    if name in OF_ROW and in_rows:
        return "by unit"
    for own in reversed(field.split(".")):
        if own in _WHOLE:
            return _WHOLE[own]
        for end, unit in _ENDINGS:
            if own.endswith(end):
                return unit
    return _FRACTIONS.get(field, "")


def heading_of(field: str, unit: str) -> str:
    """Return the words above a column, with the unit in brackets: ``download [s]``."""
    words = field.replace(".", " ")
    for end, own in _ENDINGS:
        if own == unit and words.endswith(end):
            rest = {"_share": " share", "_flop": " work"}.get(end, "")
            words = words.removesuffix(end) + rest
            break
    words = words.replace("_", " ").strip()
    return words if not unit or words.split(" ")[-1] == unit else f"{words} [{unit}]"
