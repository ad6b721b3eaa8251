"""A round of `CutAndResources` event by event: every batch of every device at its shares.

A device downloads its part of the model; for every batch it computes forward, uploads the smashed
data, waits for its share of the server, downloads the gradient and computes backward; at the end it
uploads its part of the model. Shares are its own all the time, so that nobody waits for anybody.
Links that no two devices share are resources of their own, and taken as a whole.

A round of a quorum ends when those are done for whom it waits: what others do later is not there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.split_federated import (
    PhaseSeconds,
    TaskFractions,
    task_fractions,
    task_seconds,
)
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import PHASES as MODEL_PHASES
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.assigned import assigned, crossing_bytes
from splitopt.problems.cut_and_resources.choice_decision import ChoiceDecision
from splitopt.problems.cut_and_resources.choice_tables import has_choices
from splitopt.problems.cut_and_resources.parts import GroupedDecision
from splitopt.problems.cut_and_resources.quorum import of_devices, waited_for
from splitopt.profiles import ModelProfile
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.simulation.slow_devices import slow_parts, slowed
from splitopt.simulation.tracks import Row, drawn, make_timeline, side_by_side
from splitopt.timeline import Resource
from splitopt.units import some_names

PHASES = (
    "model download",
    "device forward",
    "upload",
    "server",
    "gradient download",
    "device backward",
    "model upload",
)
_SAME = 1e-9
"""Relative difference up to which two devices end together."""
MOST_PARTS = 10_000
"""Parts of a plan by group that are simulated."""
MOST_TASKS = 200_000
"""Above this, the batches of a device are shown as one per epoch, or as one in all."""


class _Fleet(NamedTuple):
    """Devices side by side; one may stand for several alike ones with all their shares.

    Parameters
    ----------
    names
        Of the N devices, or parts of groups.
    cut
        Shape (N,): 1..L.
    phases
        Shape (N, 4): seconds by `MODEL_PHASES`.
    share
        Shape (N, 3): of downlink, uplink and server.
    many
        Shape (N,): how many devices each stands for.
    setting
        With a scenario of as many devices.
    servers
        Names of the servers, where there are several.
    server
        Shape (N,): which of them each device has.
    crossing
        Bytes that cross each cut, see `task_fractions`; None for those of the profile.
    by_rank
        The devices (K,) of each rank of adapters with the profile at it; None where all have the
        profile's.
    """

    names: tuple[str, ...]
    cut: IntArray
    phases: FloatArray
    share: Any
    many: IntArray
    setting: Setting
    servers: tuple[str, ...] = ()
    server: IntArray | None = None
    crossing: FloatArray | None = None
    by_rank: tuple[tuple[IntArray, ModelProfile], ...] | None = None


def replay(problem: CutAndResources, decision: Any, setting: Setting) -> Replay:
    """Simulate a round; without a scenario a device's whole round is a single batch.

    Of a plan by group, all devices of a part do the same: one stands for them, with their shares
    together. Of a plan for slow devices nobody is slow but those whom the setting names.
    """
    awaited = waited_for(problem, decision)
    if setting.slow is not None:
        return _slow_round(problem, decision, setting, awaited)
    if awaited is not None:
        return _quorum_round(problem, decision, setting, awaited)
    fleet = _fleet_of(problem, decision, setting)
    size, shared = len(fleet.names), bool(problem.shared_links)
    if fleet.setting.scenario is not None:
        shared = bool(fleet.setting.scenario.links.shared)
    batches, detail = _batches(fleet.setting, size)
    rows, durations = _tasks(fleet, shared, _by_task_kind(fleet), batches)
    start, end = side_by_side(rows, durations, drawn(len(rows), setting.noise, setting.seed))
    latencies = fleet.phases.sum(axis=1)
    latest = np.flatnonzero(latencies >= latencies.max() * (1 - _SAME))
    longest = MODEL_PHASES[int(fleet.phases[latest[0]].argmax())]
    return Replay(
        timeline=make_timeline(
            _resources(fleet, shared),
            PHASES,
            fleet.names,
            rows,
            start,
            end,
            setting.origin(problem.name),
        ),
        span="a round",
        forecasts=(Forecast("the plan's model (DP-MORA Eq. 12)", float(latencies.max())),),
        binding=f"{fleet.names[latest[0]]}, {longest}"
        if len(latest) == 1
        else f"{fleet.many[latest].sum()} of {problem.devices} devices, which end together",
        facts=(("Shown", detail),),
    )


def _slow_round(problem: Any, decision: Any, setting: Setting, awaited: Any) -> Replay:
    """Simulate a round in which some devices are slow; whom a sum waits for was chosen before."""
    assert setting.slow is not None
    names = setting.device_names(problem.devices)
    part = slow_parts(problem, decision, setting.slow, names)
    slower, plain = slowed(problem, part), setting._replace(slow=None)
    if awaited is None:
        found = replay(slower, decision, plain)
    else:
        found = _quorum_round(slower, decision, plain, awaited)
    who = [names[n] if part[n] == 1 else f"{names[n]} in part" for n in np.flatnonzero(part)]
    line = replace(found.timeline, origin={**found.timeline.origin, "slow": who})
    return replace(
        found, timeline=line, facts=(*found.facts, ("Slow", some_names(who) or "nobody"))
    )


def _quorum_round(
    problem: CutAndResources, decision: Any, setting: Setting, awaited: Any
) -> Replay:
    """Simulate a round that ends when as many devices are done as it waits for.

    Of a makespan these are the first, whoever they are, and of a sum those that the plan has
    chosen, ``awaited`` (N,).
    """
    taken = np.flatnonzero(np.isfinite(problem.phases(decision)).all(axis=1))
    names, awaited = setting.device_names(problem.devices), awaited[taken]
    some = setting
    if setting.scenario is not None:
        fleet = setting.scenario.fleet()
        some = setting._replace(
            scenario=setting.scenario._with(devices=tuple(fleet[n] for n in taken), robust=None)
        )
    part, own = of_devices(problem, decision, taken)
    whole, latency = replay(part, own, some), part.phases(own).sum(axis=1)
    line = whole.timeline
    ends = np.zeros(len(taken))
    np.maximum.at(ends, line.owner, line.end_s)
    count = int(awaited.sum())
    if problem.objective == "sum":
        promise, last = float(latency[awaited].max()), int(np.where(awaited, ends, -1.0).argmax())
    else:
        promise = float(np.sort(latency)[count - 1])
        last = int(np.argsort(ends, kind="stable")[count - 1])
    over_s = float(ends[last])
    late = [names[taken[n]] for n in np.flatnonzero(ends > over_s)]
    left = [name for n, name in enumerate(names) if n not in set(taken.tolist())]
    kept = line.select(line.start_s < over_s)
    facts = (*whole.facts, ("Waited for", f"{count} of {problem.devices} devices"))
    if late:
        facts += (("Late, and not waited for", some_names(late)),)
    if left:
        facts += (("Left out by the plan", some_names(left)),)
    return Replay(
        timeline=replace(
            kept, end_s=np.minimum(kept.end_s, over_s), origin={**line.origin, "quorum": count}
        ),
        span="a round",
        forecasts=(Forecast(f"the plan's promise for {count} devices", promise),),
        binding=f"{names[taken[last]]}, the last of {count} that are waited for",
        facts=facts,
    )


def _fleet_of(problem: CutAndResources, decision: Any, setting: Setting) -> _Fleet:
    if isinstance(decision, ChoiceDecision):
        return _choosing_fleet(problem, decision, setting)
    share = np.stack(
        (decision.download_share, decision.upload_share, decision.server_share), axis=1
    )
    phases = problem.phases(decision)
    if not isinstance(decision, GroupedDecision):
        names = setting.device_names(problem.devices)
        one = np.ones(problem.devices, dtype=np.int64)
        return _Fleet(names, decision.cut, phases, share, one, setting)
    if len(decision.cut) > MOST_PARTS:
        raise InputError(
            f"the plan has {len(decision.cut):,} parts (devices of a group with one cut), at most "
            f"{MOST_PARTS:,} are simulated: plan a smaller fleet, or one of more alike devices"
        )
    groups = setting.scenario.devices if setting.scenario is not None else None
    labels, own = [], []
    for group, cut, many in zip(*(array.tolist() for array in decision.parts), strict=True):
        name = f"group {group}" if groups is None else groups[group].name
        labels.append(name if many == 1 else f"{name}: {many:,} at cut {cut}")
        if groups is not None:
            own.append(groups[group]._with(name=labels[-1], count=1))
    if setting.scenario is not None:
        setting = setting._replace(scenario=setting.scenario._with(devices=tuple(own)))
    together = share * decision.devices[:, None]
    return _Fleet(tuple(labels), decision.cut, phases, together, decision.devices, setting)


def _choosing_fleet(problem: CutAndResources, decision: ChoiceDecision, setting: Setting) -> _Fleet:
    """Return the devices that chose servers and bits; what those are the scenario knows alone."""
    scenario, profile = setting.scenario, setting.profile
    if scenario is None or profile is None or not has_choices(scenario):
        raise InputError(
            "a decision of choices is simulated with the scenario that they are from; "
            "'splitopt plan' writes both into its plan"
        )
    given = assigned(problem, decision, scenario, profile)
    several = len(scenario.servers) > 1
    return _Fleet(
        setting.device_names(problem.devices),
        given.cut,
        given.phases,
        given.share,
        np.ones(problem.devices, dtype=np.int64),
        setting,
        servers=tuple(server.name for server in scenario.servers) if several else (),
        server=given.server,
        crossing=crossing_bytes(given, scenario, profile),
        by_rank=tuple(given.by_rank(profile)),
    )


def _resources(fleet: _Fleet, shared: bool) -> list[Resource]:
    """Return the devices, then the links (of each server in turn), then the servers."""
    names, servers = fleet.names, fleet.servers
    devices = [Resource(name, "device") for name in names]
    if not shared:
        links = [link_of(way, name) for name in names for way in ("downlink", "uplink")]
    elif servers:
        links = [
            Resource(f"{way} of {server}", "link")
            for server in servers
            for way in ("downlink", "uplink")
        ]
    else:
        links = [Resource("downlink", "link"), Resource("uplink", "link")]
    return [*devices, *links, *(Resource(name, "server") for name in servers or ("server",))]


def _tasks(
    fleet: _Fleet, shared: bool, seconds: FloatArray, batches: list[FloatArray]
) -> tuple[list[Row], FloatArray]:
    """Return the tasks of a round with their seconds (T,).

    Parameters
    ----------
    seconds
        Shape (N, 7): of a whole round by `PHASES`.
    batches
        Of each device: its batches as fractions of its round.
    """
    devices = len(fleet.names)
    first = devices + (2 * max(1, len(fleet.servers)) if shared else 2 * devices)
    rows, taken = [], []
    for n in range(devices):
        at = 0 if fleet.server is None else int(fleet.server[n])
        server, link = first + at, devices + 2 * at
        down, up = (link, fleet.share[n, 0]), (link + 1, fleet.share[n, 1])
        if not shared:
            down, up = (devices + 2 * n, 1.0), (devices + 2 * n + 1, 1.0)
        where = (down, (n, 1.0), up, (server, fleet.share[n, 2]), down, (n, 1.0), up)
        last = len(batches[n]) - 1
        for batch, weight in enumerate(batches[n]):
            for phase, (resource, share) in enumerate(where):
                # The model goes down before the first batch and up after the last one.
                once = phase in (0, 6)
                if once and batch != (0 if phase == 0 else last):
                    continue
                rows.append(Row(resource, phase, n, batch, float(share)))
                taken.append(seconds[n, phase] * (1.0 if once else weight))
    return rows, np.array(taken)


def link_of(way: str, device: str) -> Resource:
    """Return the downlink or uplink that is a device's own."""
    return Resource(f"{way} of {device}", f"own {way}")


def _by_task_kind(fleet: _Fleet) -> FloatArray:
    """Shape (N, 7): seconds of a whole round by `PHASES`; they add up to those of the problem."""
    download, device, upload, server = fleet.phases.T
    none = np.zeros(len(fleet.names))
    fractions = TaskFractions(model_down=none, model_up=none, forward=none)
    if fleet.setting.scenario is not None and fleet.setting.profile is not None:
        columns, scenario = (fleet.cut - 1)[:, None], fleet.setting.scenario
        every = ((np.arange(len(none)), fleet.setting.profile),)
        fractions = TaskFractions(none.copy(), none.copy(), none.copy())
        for rows, profile in fleet.by_rank or every:
            parts = task_fractions(scenario, profile, columns, fleet.crossing)
            for whole, part in zip(fractions, parts, strict=True):
                whole[rows] = part[rows, 0]
    return np.stack(task_seconds(PhaseSeconds(download, upload, server, device), fractions), axis=1)


def _batches(setting: Setting, devices: int) -> tuple[list[FloatArray], str]:
    """Return each device's batches as fractions of its round, and in words how fine they are."""
    if setting.scenario is None:
        return [np.ones(1)] * devices, "a device's round as one batch"
    fleet, epochs = setting.scenario.fleet(), setting.scenario.training.epochs
    sizes = [(device.samples, device.batch_size or device.samples) for device in fleet]
    if 5 * epochs * sum(-(-samples // size) for samples, size in sizes) <= MOST_TASKS:
        found = []
        for samples, size in sizes:
            full, rest = divmod(samples, size)
            epoch = np.array([size] * full + [rest] * (rest > 0)) / (samples * epochs)
            found.append(np.tile(epoch, epochs))
        return found, "every batch"
    if 5 * epochs * devices <= MOST_TASKS:
        return [np.full(epochs, 1 / epochs)] * devices, "every epoch as one batch"
    return [np.ones(1)] * devices, "a device's round as one batch"
