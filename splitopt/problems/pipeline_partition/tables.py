"""The arguments of `PipelinePartition` from a scenario: what nodes host, and what it costs them.

The owners are the scenario's devices. Each keeps the layers up to the first cut and behind the
last one; the compute nodes host those between, once for every owner.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.latency.layer_seconds import LayerSeconds, layer_seconds
from splitopt.latency.split_federated import link_rate
from splitopt.problems.base import FloatArray
from splitopt.problems.limits import check_leakage
from splitopt.profiles import ModelProfile, layer_memory_bytes
from splitopt.profiles.counting.sample_gradients import of_nodes
from splitopt.profiles.counting.tied import held_apart
from splitopt.profiles.table.tied import TiedWeight
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import AUTO
from splitopt.units import readable_bytes

BITS = 8.0


class Cuts(NamedTuple):
    """Where the owners' parts end and begin: nodes host layer ``first + 1`` to layer ``last``."""

    first: int
    last: int


def tables_from_scenario(
    scenario: Scenario, profile: ModelProfile, cuts: Cuts | None = None
) -> dict[str, Any]:
    """Return the arguments of `PipelinePartition`.

    Parameters
    ----------
    scenario
        A scenario with compute nodes.
    profile
        Its model.
    cuts
        The owners' cuts, by default those that the scenario states.

    Raises
    ------
    InputError
        No compute nodes, cuts that are not stated or out of range, devices with different batch
        sizes, a machine with unmeasured layers, or a memory formula that the profile cannot serve.
    InfeasibleError
        The stated cuts are above a limit of leakage or memory of an owner.
    """
    if not scenario.nodes:
        raise InputError("nodes: there are none, and this problem asks who of them hosts what")
    if cuts is None:
        cuts = stated_cuts(scenario, profile)
        check_owners(scenario, profile, cuts)
    first, last = cuts
    batch = batch_size(scenario)
    seconds = node_seconds(scenario, profile, Cuts(first, last))
    memory = _memory(scenario, of_nodes(profile))[first:last]
    owners = sum(device.count for device in scenario.devices)
    up, down = boundary_bytes(profile, batch)
    return {
        "forward_s": batch * np.stack([item.forward[first:last] for item in seconds]),
        "backward_s": batch * np.stack([item.backward[first:last] for item in seconds]),
        "layer_memory_bytes": memory,
        "node_memory_bytes": _node_memory(scenario, owners * math.fsum(memory.tolist())),
        "owners": owners,
        "cut_up_bytes": up[first : last + 1],
        "cut_down_bytes": down[first : last + 1],
        "links": links_of(scenario, profile, Cuts(first, last)),
        "order": scenario.pipeline.order,
        "use_all_nodes": scenario.pipeline.use_all_nodes,
        "owner_groups": owner_groups(scenario, profile, Cuts(first, last)),
    }


def stated_cuts(scenario: Scenario, profile: ModelProfile) -> Cuts:
    """Return the cuts that the scenario states, as numbers of layers.

    Raises
    ------
    InputError
        A cut that is left to the plan, a layer that there is not, or nothing between the cuts.
    """
    found = []
    for field in ("first_cut", "last_cut"):
        number = stated_cut(scenario, profile, field)
        if number is None:
            raise InputError.at(
                f"pipeline.{field}",
                "is 'auto', which only a plan chooses; give the number of layers before the cut, "
                "or the name of the last of them",
            )
        found.append(number)
    cuts = Cuts(*found)
    if cuts.first >= cuts.last:
        raise InputError.at(
            "pipeline.last_cut",
            f"is behind layer {cuts.last} and first_cut behind layer {cuts.first}, so that nothing "
            "is left for the nodes; take a later last_cut",
        )
    return cuts


def stated_cut(scenario: Scenario, profile: ModelProfile, field: str) -> int | None:
    """Return ``first_cut`` or ``last_cut`` as a number of layers, None if the plan chooses it."""
    stated: int | str = getattr(scenario.pipeline, field)
    place = f"pipeline.{field}"
    if stated == AUTO:
        return None
    if isinstance(stated, str):
        if (there := profile.layers.count(stated)) != 1:
            raise InputError.at(
                place,
                f"is {stated!r}, which names {there or 'no'} layers of {profile.name!r}; give the "
                f"number of layers before the cut, 1 to {profile.layer_count}",
            )
        return profile.layers.index(stated) + 1
    if stated > profile.layer_count:
        raise InputError.at(
            place, f"is {stated}, but {profile.name!r} has {profile.layer_count} layers"
        )
    return stated


def batch_size(scenario: Scenario) -> int:
    """Return the samples of a batch, which all owners of a pipeline share.

    Raises
    ------
    InputError
        A device that states none, or devices that differ.
    """
    sizes = {device.batch_size: device.name for device in scenario.devices}
    if None in sizes:
        raise InputError.at(
            f"devices ({sizes[None]})", "has no 'batch_size', which a pipeline needs; give it"
        )
    if len(sizes) > 1:
        (one, a), (two, b) = list(sizes.items())[:2]
        raise InputError.at(
            "devices",
            f"batch_size is {one} for {a} and {two} for {b}, but a pipeline takes the same from "
            "all owners; choose one",
        )
    return int(next(iter(sizes)) or 0)


def batches_of(scenario: Scenario, index: int) -> int:
    """Return the batches of an owner of group `index` in a round: epochs x those of its data."""
    device = scenario.devices[index]
    assert device.batch_size is not None  # batch_size() saw to it
    return scenario.training.epochs * -(-device.samples // device.batch_size)


def node_seconds(scenario: Scenario, profile: ModelProfile, cuts: Cuts) -> list[LayerSeconds]:
    """Return the seconds per sample of every layer on each of N nodes, known between the cuts."""
    needed = np.zeros(profile.layer_count, dtype=np.bool_)
    needed[cuts.first : cuts.last] = True
    theirs = of_nodes(profile)
    known = [
        (node.count, layer_seconds(theirs, node.speed, node.slowdown or 1.0, needed))
        for node in scenario.nodes
    ]
    return [seconds for count, seconds in known for _ in range(count)]


def boundary_bytes(profile: ModelProfile, batch: int) -> tuple[FloatArray, FloatArray]:
    """Shape (L + 1,) each: bytes per batch forward and backward over the boundary behind layer l.

    Entry 0, before the first layer, is not a cut: the owners keep at least one layer.
    """
    up = batch * np.append(0.0, profile.smashed_bytes)
    return up, batch * np.append(0.0, profile.gradient_bytes)


def _memory(scenario: Scenario, profile: ModelProfile) -> FloatArray:
    """Shape (L,): bytes of each layer for one owner, zero where unknown and nothing is limited."""
    try:
        return layer_memory_bytes(
            profile,
            batch_size(scenario),
            scenario.pipeline.memory,
            sample_gradients=bool(profile.sample_gradients),
        )
    except InputError:
        if any(machine.memory is not None for machine in (*scenario.nodes, *scenario.devices)):
            raise
        return np.zeros(profile.layer_count)


def _node_memory(scenario: Scenario, everything: float) -> FloatArray:
    """Shape (N,): the memory of each node; one that states none holds everything."""
    return np.array(
        [everything if node.memory is None else node.memory for node in scenario.node_list()]
    )


def owner_memory(scenario: Scenario, profile: ModelProfile, cuts: Cuts) -> float:
    """Bytes that an owner's first and last part take."""
    memory = _memory(scenario, profile)
    return math.fsum([*memory[: cuts.first].tolist(), *memory[cuts.last :].tolist()])


def check_owners(scenario: Scenario, profile: ModelProfile, cuts: Cuts) -> None:
    """Raise `InfeasibleError` where a limit of an owner does not allow the stated cuts."""
    check_leakage(scenario, profile, cuts.first, "pipeline.first_cut")
    if (weight := not_with_owner(profile, cuts)) is not None:
        raise InfeasibleError(why_not_with_owner(weight))
    need = owner_memory(scenario, profile, cuts)
    short = [d for d in scenario.devices if d.memory is not None and d.memory < need]
    if short:
        least = min(short, key=lambda device: device.memory or 0.0)
        raise InfeasibleError(
            f"an owner's layers, the first {cuts.first} and the last "
            f"{profile.layer_count - cuts.last}, need {readable_bytes(need)} and {least.name} has "
            f"{readable_bytes(least.memory or 0.0)}; take an earlier first_cut, a later last_cut, "
            "smaller batches or more memory"
        )


def not_with_owner(profile: ModelProfile, cuts: Cuts) -> TiedWeight | None:
    """Return a tied weight that layers train of which a node would host some; None without one."""
    layers = range(profile.layer_count)
    return held_apart(profile, [not cuts.first <= layer < cuts.last for layer in layers])


def why_not_with_owner(weight: TiedWeight) -> str:
    """Name the layers that an owner must keep, since they train one weight."""
    return (
        f"the layers {', '.join(weight.layers)} train the tied weight {weight.name}, so that the "
        "owner must hold all of them, in its first and its last part; take first_cut behind the "
        "first ones and last_cut before the others"
    )


def links_of(scenario: Scenario, profile: ModelProfile, cuts: Cuts) -> dict[str, Any]:
    """Return the links in the form of `Links.read`: byte/s and s."""
    stated, nodes = scenario.links.nodes, scenario.node_list()
    found: dict[str, Any] = {"model": "none" if stated is None else stated.model}
    if (owner := owner_bandwidth(scenario, profile, cuts)) is not None:
        found["owner_bandwidth_bytes_per_s"] = owner
    if stated is None or stated.model == "none":
        return found
    if stated.latency is not None:
        found["latency_s"] = stated.latency
    found["duplex"] = stated.duplex
    if stated.model == "uniform":
        assert stated.rate is not None  # the scenario saw to it
        return {**found, "bandwidth_bytes_per_s": stated.rate / BITS}
    if stated.model == "pairwise":
        assert stated.rates is not None
        group = np.repeat(np.arange(len(scenario.nodes)), [node.count for node in scenario.nodes])
        rates = np.array([[0.0 if rate is None else rate for rate in row] for row in stated.rates])
        return {**found, "bandwidth_bytes_per_s": rates[np.ix_(group, group)] / BITS}
    own = [stated.rate if node.rate is None else node.rate for node in nodes]
    return {**found, "bandwidth_bytes_per_s": np.array(own, dtype=np.float64) / BITS}


def owner_groups(scenario: Scenario, profile: ModelProfile, cuts: Cuts) -> dict[str, Any]:
    """Return what the devices add to a round, in the form of `OwnerGroups.read`.

    A message between owner and pipeline is delayed as one between nodes.

    Averaging the parts of the model is taken to cost nothing: a scenario does not say who does it.
    """
    batch, devices, links = batch_size(scenario), scenario.devices, scenario.links
    own = np.ones(profile.layer_count, dtype=np.bool_)
    own[cuts.first : cuts.last] = False
    seconds = [layer_seconds(profile, device.speed, needed=own) for device in devices]
    sent, received = owner_transfers(scenario, profile, cuts)
    size = BITS * own_part_bytes(profile, cuts)
    first, last = slice(None, cuts.first), slice(cuts.last, None)
    return {
        "count": [device.count for device in devices],
        "batches": [batches_of(scenario, group) for group in range(len(devices))],
        "first_forward_s": [batch * item.forward[first].sum() for item in seconds],
        "last_s": [
            batch * (item.forward[last].sum() + item.backward[last].sum()) for item in seconds
        ],
        "first_backward_s": [batch * item.backward[first].sum() for item in seconds],
        "to_first_s": sent[:, 0],
        "from_last_s": received[:, 1],
        "to_last_s": sent[:, 1],
        "from_first_s": received[:, 0],
        "latency_s": (links.nodes and links.nodes.latency) or 0.0,
        "upload_s": [size / link_rate(scenario.link(device, "uplink")) for device in devices],
        "download_s": [size / link_rate(scenario.link(device, "downlink")) for device in devices],
        "shared": links.shared,
    }


def own_part_bytes(profile: ModelProfile, cuts: Cuts) -> float:
    """Bytes of an owner's first and last part of the model, which are averaged after a round."""
    held = np.append(0.0, profile.device_model_bytes)
    return float(held[cuts.first] + max(0.0, held[-1] - held[cuts.last]))


def owner_bandwidth(scenario: Scenario, profile: ModelProfile, cuts: Cuts) -> float | None:
    """Byte/s of a link that serves both directions as owners' uplinks and downlinks do on average.

    The problem knows one number for all owners' links: with this one, the four transfers of a
    batch between owner and pipeline take as long as they do on average over the owners. They
    delay a batch and never limit the period, since every owner has a link of its own. None if
    nothing crosses.
    """
    up_s, down_s = owner_transfers(scenario, profile, cuts)
    up, down = (array[list(cuts)] for array in boundary_bytes(profile, batch_size(scenario)))
    volume = float(up.sum() + down.sum())
    counts = [device.count for device in scenario.devices]
    mean = float(np.average((up_s + down_s).sum(axis=1), weights=counts))
    return volume / mean if mean > 0 else None


def owner_transfers(
    scenario: Scenario, profile: ModelProfile, cuts: Cuts
) -> tuple[FloatArray, FloatArray]:
    """Seconds per batch that owners of each group (G,) send and receive at the two cuts.

    Returns
    -------
    Shape (G, 2) each. Sent: activations at the first cut, gradients at the last. Received:
    gradients at the first cut, activations at the last.
    """
    up, down = (array[list(cuts)] for array in boundary_bytes(profile, batch_size(scenario)))
    rates = np.array(
        [
            [
                link_rate(scenario.link(device, "uplink")),
                link_rate(scenario.link(device, "downlink")),
            ]
            for device in scenario.devices
        ]
    )
    sent, received = np.array([up[0], down[1]]), np.array([down[0], up[1]])
    return BITS * sent / rates[:, :1], BITS * received / rates[:, 1:]
