"""The tables of a plan: whatever problem it answers, lists of its prediction become tables.

What a prediction has once goes into the table ``plan``, a row per value. Rows of devices get what
the plan asks of them beside what it promises: cut, samples, batch, bytes that cross.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splitopt.errors import InputError
from splitopt.export.plan_job import PlanJob
from splitopt.export.tables.headings import heading_of, unit_of
from splitopt.training.program import ClientPlan, Program

Cell = str | int | float | bool | None
Row = dict[str, Cell]
MOST_ROWS = 1_000_000
"""Rows of a table; a sheet holds 1,048,576 with its heading."""
JOINED = ", "
"""Between the texts of a list in one cell."""


@dataclass(frozen=True)
class Column:
    """A column: its key in the plan, the heading with its unit, and ``text`` or ``number``."""

    key: str
    heading: str
    unit: str
    kind: str


@dataclass(frozen=True)
class PlanTable:
    """A table of a plan; each row has a cell, or None, by the key of every column."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def cells(self) -> Iterator[list[Cell]]:
        """Yield the cells of each row in the order of the columns."""
        for row in self.rows:
            yield [row.get(column.key) for column in self.columns]


def tables_of(job: PlanJob) -> list[PlanTable]:
    """Return all tables of a plan that have rows, ``plan`` first.

    Raises
    ------
    InputError
        A table would have more than `MOST_ROWS` rows.
    """
    plan = job.opened.plan
    assert plan.prediction is not None  # the caller saw to it
    prediction = dict(plan.prediction)
    single, tables = _parted(prediction, "")
    remarks = list(plan.notes)
    _join_clients(job, tables, remarks)
    unit = str(prediction["objective_unit"])
    about = {
        "problem": plan.problem,
        "objective_name": plan.objective,
        "scenario": plan.scenario.get("name"),
        "profile": plan.profile.get("name"),
        **{key: plan.result.get(key) for key in ("solver", "outcome", "objective", "bound")},
        "gap": plan.result.get("gap"),
        **single,
    }
    found = [_facts(about, unit)]
    found += [_table(name, rows, unit) for name, rows in tables.items() if rows]
    if remarks:
        found.append(_table("notes", [{"note": text} for text in remarks], unit))
    return found


def _facts(about: Mapping[str, Cell], unit: str) -> PlanTable:
    """Return what a plan has once, a row for each number and each text."""
    rows: list[Row] = []
    for key, value in about.items():
        if value is None:
            continue
        own, number = unit_of(key, unit), not isinstance(value, str | bool)
        rows.append(
            {
                "name": key,
                "value": value if number else None,
                "unit": own if number else None,
                "text": None if number else str(value),
            }
        )
    columns = tuple(
        Column(key, key, "", "number" if key == "value" else "text")
        for key in ("name", "value", "unit", "text")
    )
    return PlanTable("plan", columns, tuple(rows))


def _parted(data: Mapping[str, Any], prefix: str) -> tuple[Row, dict[str, list[Row]]]:
    """Part plain data into what it has once and lists of objects, which are tables."""
    single: Row = {}
    tables: dict[str, list[Row]] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            own, inner = _parted(value, f"{name}.")
            single |= own
            tables |= inner
        elif _is_rows(value):
            tables |= _rows(name, value)
        else:
            single[name] = _cell(value)
    return single, tables


def _rows(name: str, items: Sequence[Mapping[str, Any]]) -> dict[str, list[Row]]:
    """Return the rows of a list of objects, and those of lists in them with whose they are."""
    rows: list[Row] = []
    below: dict[str, list[Row]] = {}
    for place, item in enumerate(items):
        own, inner = _parted(item, "")
        own = own if "name" in own or name != "clusters" else {"cluster": place, **own}
        rows.append(own)
        whose = next((v for k, v in own.items() if k in ("name", "where", "cluster")), place)
        for key, found in inner.items():
            label = name.rpartition(".")[2]
            below.setdefault(f"{name}.{key}", []).extend({f"of_{label}": whose, **r} for r in found)
    return {name: rows, **below}


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _cell(value: Any) -> Cell:
    """Return a value as a cell; texts of a list are joined, and other lists are their values."""
    if isinstance(value, list):
        return JOINED.join("" if item is None else str(item) for item in value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)


def _join_clients(job: PlanJob, tables: dict[str, list[Row]], remarks: list[str]) -> None:
    """Put what the plan asks of each device before what it promises of it."""
    try:
        program = job.program
    except InputError as error:
        remarks.append(f"no table of what each device does: {error}")
        return
    if program.is_hosted:  # the host alone has data, and machines have a table of their own
        return
    promised = {str(row.get("name")): row for row in tables.pop("devices", [])}
    asked = [_client(program, client) for client in program.clients]
    rows = [{**row, **_without_name(promised.get(str(row["name"]), {}))} for row in asked]
    first = {"devices": rows}
    rest = dict(tables)
    tables.clear()
    tables |= first | rest


def _without_name(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "name"}


def _client(program: Program, client: ClientPlan) -> Row:
    """Return what a plan asks of a client, and the bytes of its steps."""
    profile, both = program.profile, program.both_ends
    holders = [party.name for party in program.holders_of(client)] if client.cuts else []
    places = [profile.layers.index(cut) for cut in client.cuts]
    row: Row = {
        "name": client.name,
        "role": "owner" if both else "device",
        "cut_behind": JOINED.join(client.cuts),
        "layers_on_it": profile.layer_count if not places else places[0] + 1,
        "other_parts_on": JOINED.join(holders),
        "samples": client.samples,
        "batch_size": client.batch_size,
        "activation_bytes_per_sample": float(profile.smashed_bytes[places[0]]) if places else 0.0,
        "gradient_bytes_per_sample": float(profile.gradient_bytes[places[0]]) if places else 0.0,
        "first_part_bytes": float(
            profile.device_model_bytes[places[0] if places else profile.layer_count - 1]
        ),
    }
    return row | {key: _cell(value) for key, value in client.allocation.items()}


def _table(name: str, rows: Sequence[Row], objective_unit: str) -> PlanTable:
    """Return rows as a table with the columns that any of them has, in their order."""
    if len(rows) > MOST_ROWS:
        raise InputError(
            f"the table {name} has {len(rows):,} rows, and at most {MOST_ROWS:,} are written; plan "
            "by group"
        )
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = []
    for key in keys:
        values = [row[key] for row in rows if row.get(key) is not None]
        number = bool(values) and all(not isinstance(v, str | bool) for v in values)
        unit = unit_of(key, objective_unit, in_rows="unit" in keys) if number else ""
        columns.append(Column(key, heading_of(key, unit), unit, "number" if number else "text"))
    kinds = {column.key: column.kind for column in columns}
    texts = tuple({key: _as(kinds[key], value) for key, value in row.items()} for row in rows)
    return PlanTable(name.replace(".", "_"), tuple(columns), texts)


def _as(kind: str, value: Cell) -> Cell:
    """Return a cell of a column of texts as text."""
    if kind == "number" or value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
