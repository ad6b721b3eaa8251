"""The content of a plan's report, once, for the terminal and for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splitopt.plans import Plan
from splitopt.report.numbers import gap, percent, seconds

COLUMNS = (
    ("device", "Device"),
    ("cut", "Cut"),
    ("downlink", "Down %"),
    ("uplink", "Up %"),
    ("server", "Serv %"),
    ("download_s", "down"),
    ("device_s", "device"),
    ("upload_s", "up"),
    ("server_s", "server"),
    ("round_s", "ROUND"),
)
"""Key and heading of the device table: shares of the resources in %, then seconds per round."""

PHASES = ("download_s", "device_s", "upload_s", "server_s")


@dataclass(frozen=True)
class PlanSummary:
    """A plan in words and rows of text."""

    title: str
    verdict: str
    rows: tuple[dict[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    worth: tuple[dict[str, str], ...]
    notes: tuple[str, ...]


def summarize(plan: Plan) -> PlanSummary:
    """Put a plan into words."""
    name, profile = plan.scenario["name"], plan.profile["name"]
    title = f"{name}: {profile}, objective {plan.objective}"
    prediction = plan.prediction
    if prediction is None:
        reason = plan.result["message"] or f"{plan.result['solver']} found no feasible decision"
        return PlanSummary(title, f"No plan ({plan.result['outcome']}): {reason}", (), (), (), ())
    return PlanSummary(
        title,
        _verdict(plan.result, prediction["objective_unit"]),
        tuple(_row(device) for device in prediction["devices"]),
        tuple(_facts(prediction)),
        tuple(_worth(row, prediction["objective_unit"]) for row in prediction["worth"]),
        plan.notes if plan.result["message"] is None else (plan.result["message"], *plan.notes),
    )


def _verdict(result: Any, unit: str) -> str:
    """Say how good the answer is and how that is known."""
    value = f"{result['objective']:,.7g}"
    if result["outcome"] == "optimal":
        return f"Optimal by proof: no plan is below {value} {unit} ({result['solver']})."
    if result["bound"] is None:
        return f"Feasible, {value} {unit}; how far from the best is unknown ({result['solver']})."
    return (
        f"Feasible, {value} {unit}, at most {gap(result['gap'])} above the best: no plan is below "
        f"{result['bound']:,.7g} {unit} ({result['solver']}, stopped: {result['stop_reason']})."
    )


def _row(device: Any) -> dict[str, str]:
    return {
        "device": device["name"],
        "cut": f"{device['cut']} {device['cut_layer']}",
        "downlink": percent(device["download_share"]),
        "uplink": percent(device["upload_share"]),
        "server": percent(device["server_share"]),
        **{key: seconds(device[key]) for key in (*PHASES, "round_s")},
    }


def _facts(prediction: Any) -> list[tuple[str, str]]:
    narrow = prediction["bottleneck"]
    energy = prediction.get("energy_j")
    spent = [] if energy is None else [("Energy of the devices", f"{seconds(energy)} J a round")]
    return [
        ("Round time (slowest device)", f"{seconds(prediction['round_s'])} s"),
        ("Sum over devices", f"{seconds(prediction['total_s'])} s"),
        ("Whole training", f"{seconds(prediction['training_s'])} s"),
        (
            "Bottleneck",
            f"{narrow['device']}, {narrow['phase']}: {seconds(narrow['phase_s'])} s, "
            f"{percent(narrow['fraction_of_round'])} % of its round",
        ),
        *spent,
    ]


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
