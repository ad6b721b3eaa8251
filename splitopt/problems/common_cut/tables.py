"""The tables of `CommonCut` from a scenario: seconds by the latency model, cuts within limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.latency.served_in_turn import client_seconds
from splitopt.latency.split_federated import phase_seconds
from splitopt.problems.base import BoolArray
from splitopt.problems.common_cut.data import TABLES
from splitopt.problems.limits import allowed_by_leakage, allowed_by_tied
from splitopt.problems.memory import allowed_by_memory, server_copies_bytes, server_shared_bytes
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.memory import layer_parameters
from splitopt.scenario import Scenario, Server
from splitopt.scenario.parts import Privacy


def tables_from_scenario(scenario: Scenario, profile: ModelProfile, scheme: str) -> dict[str, Any]:
    """Return the arguments of `CommonCut` for a scheme.

    A server that trains one copy of its part must have the memory for the largest batch of a
    device, one with copies that for all devices at once, one that only averages that for the model.
    Where something of this is not known it does not bind, see `splitopt.problems.memory.unchecked`.
    """
    asked = without_server(scenario) if scheme == "federated" else scenario
    phases = phase_seconds(asked, profile)
    columns = np.arange(profile.layer_count)
    tasks = client_seconds(asked, profile, phases, columns)[: len(TABLES)]
    fleet = asked.fleet()
    shape = (len(fleet), profile.layer_count)
    fits = allowed_by_memory(fleet, profile)
    allowed = allowed_by_leakage(asked, profile) & fits
    allowed[:, -1] = fits[:, -1]  # no activation leaves a device
    return {
        **{
            name: np.broadcast_to(table, shape).copy()
            for name, table in zip(TABLES, tasks, strict=True)
        },
        "samples": np.array([device.samples for device in fleet], dtype=np.int64),
        "batch_size": np.array(
            [device.batch_size or device.samples for device in fleet], dtype=np.int64
        ),
        "epochs": scenario.training.epochs,
        "allowed": allowed,
        "copies_allowed": allowed_by_tied(profile, exchanging=True) & _copies_fit(asked, profile),
        "shared_allowed": allowed_by_tied(profile, exchanging=True)
        & _one_fits(asked, profile, scheme),
        "whole_allowed": _model_fits(scenario, profile),
        "shared_links": bool(scenario.links.shared),
        "server_order": scenario.training.server_order or "client",
    }


def without_server(scenario: Scenario) -> Scenario:
    """Return the scenario of federated learning: nothing for a server to do, nothing that leaks."""
    # It has nothing to compute. A speed would need work, which a profile of times may not have.
    measured = next((d.machine for d in scenario.devices if d.machine is not None), None)
    speed = {"compute": 1.0} if measured is None else {"machine": measured}
    open_devices = tuple(
        d.model_copy(update={"leakage_limit": None, "servers": None}) for d in scenario.devices
    )
    links = scenario.servers[0].links if len(scenario.servers) == 1 else None
    return scenario.model_copy(
        update={
            "servers": (Server(name="averaging", links=links, **speed),),
            "privacy": Privacy(),  # no activation leaves a device
            "devices": open_devices,
        }
    )


def model_bytes(profile: ModelProfile) -> float:
    """Bytes of all parameters of the model, those that are frozen included."""
    if profile.layer_trained_bytes is None:
        return float(profile.device_model_bytes[-1])
    return float(layer_parameters(profile).sum())


def _memory(scenario: Scenario) -> float | None:
    return scenario.servers[0].memory if scenario.servers else None


def _copies_fit(scenario: Scenario, profile: ModelProfile) -> BoolArray:
    """Shape (L,): whether the server has the memory for a copy of its part for every device."""
    memory, need = _memory(scenario), server_copies_bytes(scenario, profile)
    if memory is None or need is None:
        return np.ones(profile.layer_count, dtype=np.bool_)
    return np.asarray(need.sum(axis=0) <= memory)


def served_with_parts(scenario: Scenario, scheme: str) -> int:
    """Return how many devices have parts of their own at a time while one server part learns."""
    return len(scenario.fleet()) if scheme == "splitfed_v2" else 1


def _one_fits(scenario: Scenario, profile: ModelProfile, scheme: str) -> BoolArray:
    """Shape (L,): whether it has that for one copy, and the largest batch of a device."""
    memory, sizes = _memory(scenario), [device.batch_size for device in scenario.fleet()]
    stated = [size for size in sizes if size is not None]
    if memory is None or len(stated) < len(sizes):
        return np.ones(profile.layer_count, dtype=np.bool_)
    devices = served_with_parts(scenario, scheme)
    need = server_shared_bytes(profile, float(max(stated)), devices)
    return np.ones(profile.layer_count, dtype=np.bool_) if need is None else need <= memory


def _model_fits(scenario: Scenario, profile: ModelProfile) -> bool:
    memory = _memory(scenario)
    return memory is None or model_bytes(profile) <= memory
