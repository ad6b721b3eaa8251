"""How numbers are known: guesses are called guesses, and a leakage says where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.scenario.guesses import guessed_values
from splitopt.scenario.machine import Machine

_MEMORY = ("device_memory_fixed_bytes", "device_memory_per_sample_bytes")
_MEMORY_OF_SERVER = ("layer_parameter_bytes", "layer_saved_bytes")
_ROWS = {
    "leakage": (("leakage",), ()),
    "traffic_bytes": (("smashed_bytes", "gradient_bytes", "device_model_bytes"), ()),
    "device_flop": (("device_forward_flop", "device_backward_flop"), ()),
    "device_memory_bytes": (_MEMORY, ()),
    "server_memory_bytes": (_MEMORY_OF_SERVER, ()),
    "energy_j": ((), ("compute_power", "transmit_power")),
    "round_cost": ((), ("price_per_hour",)),
}
"""Number of a comparison -> columns of the profile and fields of the scenario that it rests on."""


def guess_notes(
    scenario: Scenario,
    profile: ModelProfile,
    bound_devices: Sequence[str] | None = None,
    leakage_is_shown: bool = False,
) -> list[str]:
    """Return a sentence for each sort of guess, and how a leakage that counts is known.

    Parameters
    ----------
    scenario, profile
        What was planned.
    bound_devices
        The devices that the leakage limit binds, where that is known.
    leakage_is_shown
        Whether the leakage of cuts is printed, although no limit may be set.
    """
    found = []
    limited = scenario.privacy.leakage_limit is not None or any(
        device.leakage_limit is not None for device in scenario.devices
    )
    used = {*profile.REQUIRED, *(_MEMORY if any(d.memory for d in scenario.devices) else ())}
    if guessed := [name for name in profile.guesses() if name in used]:
        found.append(f"guesses of the profile {profile.name}: {', '.join(guessed)}")
    if "leakage" in profile.guesses() and (limited or leakage_is_shown):
        found.append(_leakage_note(profile, bound_devices, limited))
    elif profile.leakage is not None and limited:
        found.append(_known_leakage(profile))
    if scenario.guesses:
        document = scenario.to_dict()
        stated = [f"{path} ({_values(document, path)})" for path in scenario.guesses]
        found.append(f"guesses of the scenario: {', '.join(stated)}")
    return found


def fill_notes(profile: ModelProfile, machines: Iterable[Machine]) -> list[str]:
    """Return how the counts of the machines in use were filled, where the profile says so."""
    used = {machine.machine for machine in machines}
    return [fill for fill in profile.provenance.fills if fill.partition(":")[0] in used]


def guessed_numbers(scenario: Scenario, profile: ModelProfile) -> tuple[str, ...]:
    """Return the fields of a comparison's rows that rest on a guess."""
    guessed = set(profile.guesses())
    fields = {path.rpartition(".")[2] for path in scenario.guesses}
    return tuple(
        name
        for name, (columns, stated) in _ROWS.items()
        if guessed & set(columns) or fields & set(stated)
    )


def _known_leakage(profile: ModelProfile) -> str:
    """Return how a leakage that is no guess is known."""
    state = profile.state_of("leakage")
    if state is None:
        return f"how the leakage of {profile.name} is known, its profile does not say"
    record = profile.leakage_record
    method = "" if record is None else f": {record.method}; 95 % intervals in the profile"
    return f"the leakage of {profile.name} is {state}{method}"


def _leakage_note(profile: ModelProfile, bound: Sequence[str] | None, limited: bool) -> str:
    text = f"the leakage of {profile.name} is a guess"
    if not limited:
        return text
    if bound is None:
        return f"{text}, and the leakage limit rests on it"
    if not bound:
        return f"{text}; the leakage limit does not bind here"
    names = ", ".join(bound[:4]) + (", ..." if len(bound) > 4 else "")
    return f"{text}, and the leakage limit, which binds {names}, rests on it"


def _values(document: Mapping[str, Any], path: str) -> str:
    """Write what a path leads to; of several values each once."""
    found = list(dict.fromkeys(_written(value) for value in guessed_values(document, path)))
    return ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")


def _written(value: Any) -> str:
    """Write a quantity; of a link its rate, of another section its name or only that it is one."""
    if isinstance(value, Mapping):
        return str(value.get("rate", value.get("name", "all of it")))
    return str(value)
