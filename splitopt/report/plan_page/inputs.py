"""What a plan was made from: machines, links, the model, limits and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from splitopt.plans import Plan
from splitopt.report.content import Column, Table
from splitopt.report.plan_page.section import Section
from splitopt.units import counted

MOST_ROWS = 60
"""Machines that a table lists."""
_LISTS = ("devices", "servers", "nodes")
_ASIDE = ("format", "version", "name", "note", "guesses", *_LISTS)
_FIRST = ("name", "count", "compute", "machine", "memory", "samples", "batch_size")


def inputs(plan: Plan) -> Section:
    """Return the section with all that the plan follows from, as the scenario states it."""
    scenario, result = plan.scenario, plan.result
    tables = [
        _machines(name, scenario[name]) for name in _LISTS if isinstance(scenario.get(name), list)
    ]
    stated = [pair for key in scenario if key not in _ASIDE for pair in _flat(key, scenario[key])]
    if isinstance(scenario.get("devices"), Mapping):
        stated.insert(0, ("devices", "as listed in a file with a row for each"))
    profile = plan.profile
    source = profile.get("provenance", {})
    model = [
        ("model", f"{profile['name']}, {counted(len(profile['layers']), 'layer')} to cut behind"),
        ("its numbers", f"{source.get('kind', 'unknown')}: {source.get('source', 'unknown')}"),
        ("asked", f"{plan.problem}, objective {plan.objective}"),
        ("solver", f"{result['solver']}, seed {result['seed']}"),
        ("versions", ", ".join(f"{name} {one}" for name, one in result["versions"].items())),
    ]
    if guessed := scenario.get("guesses"):
        model.append(("guessed", ", ".join(guessed)))
    rows = tuple({"field": field, "value": value} for field, value in (*stated, *model))
    columns = (Column("field", "Field", text=True), Column("value", "Value", text=True))
    tables.append(Table("Everything else", "", columns, rows, things="fields"))
    return Section(
        "inputs",
        "What the plan was made from",
        ("Another fleet, rate or limit has another plan: this one is for exactly these numbers.",),
        tables=tuple(tables),
        folded=True,
    )


def _machines(name: str, entries: list[Mapping[str, Any]]) -> Table:
    """Return a table with a row for each entry and a column for each field that one states."""
    shown = [dict(_flat("", entry)) for entry in entries[:MOST_ROWS]]
    keys = {key: None for row in shown for key in row}
    order = sorted(keys, key=lambda key: _FIRST.index(key) if key in _FIRST else len(_FIRST))
    caption = ""
    if len(entries) > MOST_ROWS:
        caption = f"The first {MOST_ROWS} of {len(entries):,}"
    columns = tuple(
        Column(key, key.replace("_", " ").removesuffix(".rate"), text=key == "name")
        for key in order
    )
    rows = tuple({key: row.get(key, "") for key in order} for row in shown)
    return Table(name.capitalize(), caption, columns, rows, things=name)


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Go through a value's fields, named by their paths."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), one)
    elif isinstance(value, list):
        text = ", ".join(str(one) for one in value[:MOST_ROWS])
        yield name, text + (", ..." if len(value) > MOST_ROWS else "")
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    elif value is not None:
        yield name, f"{value:,}" if isinstance(value, int) else str(value)
