"""How far the real round may lie from the predicted one, from what is known of the machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from splitopt.planning.predictions import RoundInterval
from splitopt.profiles import Interval, ModelProfile
from splitopt.scenario import Scenario
from splitopt.scenario.device_columns import DeviceColumns
from splitopt.scenario.machine import Machine

_WORK = ("convolutions", "depthwise convolutions", "matrix products")
"""How notes name the first columns of `FEATURES`."""

METHOD = (
    "the decision kept, the seconds of every machine at the low and at the high end of its "
    "interval; a round is never shorter when a machine takes longer; transfers as stated"
)

RoundSeconds = Callable[[Scenario, ModelProfile], float]


def round_interval(
    sections: Sequence[str], scenario: Scenario, profile: ModelProfile, round_s: RoundSeconds
) -> RoundInterval:
    """Carry the intervals of the machines through to the round.

    Latency is monotone in the seconds of every machine, so that the round lies between the rounds
    with all of them at their ends, however their errors depend on each other.

    Parameters
    ----------
    sections
        Those of the scenario whose machines compute in the problem, such as ``devices``.
    scenario, profile
        What was planned.
    round_s
        Predicts the round of the decision, in s, for another scenario and profile.

    Returns
    -------
    RoundInterval
        Its ends, with the least level of the machines' intervals; or the reason why it is unknown.
    """
    known: dict[str, Interval] = {}
    for section, index, machine in _machines(sections, scenario):
        found = _interval(machine, profile)
        if isinstance(found, str):
            return RoundInterval(unknown=f"{section}[{index}] ({machine.name}) {found}")
        known[machine.name] = found
    ends = [round_s(*_scaled(scenario, profile, end)) for end in ("low", "high")]
    return RoundInterval(
        low_s=min(ends),
        high_s=max(ends),
        level=min(interval.level for interval in known.values()),
        method=METHOD,
    )


def machine_notes(
    sections: Sequence[str], counts_messages: bool, scenario: Scenario, profile: ModelProfile
) -> list[str]:
    """Collect what a reader should know about the machine models of a plan.

    Parameters
    ----------
    sections, scenario, profile
        As for `round_interval`.
    counts_messages
        Whether the plan's seconds include those that a machine model states per message.
    """
    found: list[str] = []
    for section, index, machine in _machines(sections, scenario):
        model = machine.machine_model
        if model is None:
            continue
        place = f"{section}[{index}] ({machine.name})"
        size = getattr(machine, "batch_size", None)
        if size is not None and size != model.batch:
            found.append(
                f"{place} trains batches of {size}, but its machine model is for batches of "
                f"{model.batch}; state 'machine_model: {{file: ..., batch: {size}}}'"
            )
        if not counts_messages and model.message_s > 0:
            found.append(
                f"{place}: the {model.message_s:g} s per message of its machine model are not in a "
                "pipeline's plan; state them as links.nodes.latency"
            )
        works = profile.operator_counts(model.name)
        total = works.forward.sum(axis=0) + works.backward.sum(axis=0)
        for work, name in zip(total, _WORK, strict=False):
            guess = f"No network that it was fitted to has {name}:"
            if work > 0:
                found += [f"{place}: {note}" for note in model.notes if note.startswith(guess)]
    return found


def _machines(sections: Sequence[str], scenario: Scenario) -> list[tuple[str, int, Machine]]:
    """List the machines of some sections with their places."""
    found = []
    for section in sections:
        part = getattr(scenario, section)
        rows = part.telling_rows() if isinstance(part, DeviceColumns) else range(len(part))
        found += [(section, row, part[row]) for row in rows]
    return found


def _interval(machine: Machine, profile: ModelProfile) -> Interval | str:
    """Return a machine's interval, or why there is none."""
    if machine.machine_model is not None:
        if machine.machine_model.interval is not None:
            return machine.machine_model.interval
        return "has a machine model without an interval; fit it on more networks"
    if machine.machine is not None:
        times = profile.machines[machine.machine]
        if times.interval is not None:
            return times.interval
        return f"is {machine.machine!r}, whose times in {profile.name} have no interval"
    work = " and published work" if profile.provenance.kind == "published" else ""
    return f"has a stated speed{work}, held against no measurement"


def _scaled(scenario: Scenario, profile: ModelProfile, end: str) -> tuple[Scenario, ModelProfile]:
    """Scale the seconds of every machine to one end of its interval."""

    def at_end(machine: Machine) -> Machine:
        model = machine.machine_model
        if model is None or model.interval is None:  # one that the problem does not use
            return machine
        return machine.model_copy(
            update={"machine_model": model.scaled(getattr(model.interval, end))}
        )

    parts = {
        section: tuple(at_end(machine) for machine in getattr(scenario, section))
        for section in ("devices", "servers", "nodes")
        if not isinstance(getattr(scenario, section), DeviceColumns)  # which name no models
    }
    machines = {
        name: times if times.interval is None else times.scaled(getattr(times.interval, end))
        for name, times in profile.machines.items()
    }
    return scenario.model_copy(update=parts), replace(profile, machines=machines)
