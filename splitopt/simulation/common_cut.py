"""A round of `CommonCut` event by event: every batch of every device, by the rules of the scheme.

SplitFedV1 and federated learning are a round of `CutAndResources` in which all cut alike. In
vanilla split learning a device goes through its whole round before the next one begins. In
SplitFedV2 the server keeps to its order, and links to theirs: the rules are those of
`splitopt.latency.served_in_turn` and `splitopt.latency.served_by_batch`, played task by task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from splitopt.latency.served_by_batch import turns_of
from splitopt.problems.common_cut import BY_BATCH, CommonCut, CommonCutDecision
from splitopt.problems.common_cut.data import TABLES
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.simulation import cut_and_resources
from splitopt.simulation.cut_and_resources import MOST_TASKS, PHASES, link_of
from splitopt.simulation.ordered import run_in_order
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.simulation.tracks import Row, drawn, make_timeline
from splitopt.timeline import Resource

_MODEL_DOWN, _FORWARD, _UPLOAD, _SERVER, _GRADIENT, _BACKWARD, _MODEL_UP = range(len(TABLES))
_WORDS = {
    "splitfed_v1": "SplitFedV1, all side by side",
    "federated": "federated learning, all side by side",
    "vanilla": "vanilla split learning, one after the other",
    "splitfed_v2": "SplitFedV2, client by client",
}


def replay(
    problem: CommonCut,
    decision: CommonCutDecision,
    setting: Setting,
    orders: Sequence[Sequence[int]] | None = None,
) -> Replay:
    """Simulate a round.

    Parameters
    ----------
    orders
        Of a scheme whose devices take turns: as for `CommonCut.rounds`.
    """
    words = _WORDS[problem.objective]
    if problem.objective == "splitfed_v2" and problem.server_order == BY_BATCH:
        words = "SplitFedV2, batch by batch"
    forecast = Forecast(f"the plan's model ({words})", problem.evaluate(decision))
    if not problem.takes_turns:
        cuts = np.full(problem.devices, decision.cut)
        alike = CutAndResourcesDecision(cuts, *decision.shares.T)
        found = cut_and_resources.replay(problem.side_by_side, alike, setting)
        origin = {**found.timeline.origin, "problem": problem.name}
        timeline = replace(found.timeline, origin=origin)
        return replace(found, timeline=timeline, forecasts=(forecast,))
    if orders is not None:
        forecast = Forecast(forecast.model, float(problem.rounds([decision.cut], orders)[0].sum()))
    round_ = _Round(problem, decision.cut)
    if problem.objective == "vanilla":
        round_.relayed(range(problem.devices) if orders is None else orders[0])
    else:
        round_.served(orders)
    names = setting.device_names(problem.devices)
    noise = drawn(len(round_.rows), setting.noise, setting.seed)
    seconds = np.array(round_.seconds) * (1.0 if noise is None else noise)
    start, end = run_in_order(seconds.tolist(), list(round_.queues.values()), round_.waits_for)
    timeline = make_timeline(
        _resources(problem, names),
        PHASES,
        names,
        round_.rows,
        start,
        end,
        setting.origin(problem.name),
    )
    busiest = max((u for u in timeline.usage if u.tasks), key=lambda usage: usage.busy_s)
    return Replay(
        timeline=timeline,
        span="a round",
        forecasts=(forecast,),
        binding=f"{busiest.resource.name}, which is busy for {busiest.busy_s:.4g} s of the round",
        facts=(("Shown", round_.detail),),
    )


def _resources(problem: CommonCut, names: Sequence[str]) -> list[Resource]:
    """Return the devices, then the links, then the server."""
    devices = [Resource(name, "device") for name in names]
    if problem.shared_links:
        links = [Resource("downlink", "link"), Resource("uplink", "link")]
    else:
        links = [link_of(way, name) for name in names for way in ("downlink", "uplink")]
    return [*devices, *links, Resource("server", "server")]


@dataclass
class _Round:
    """The tasks of a round at a cut, as they are added: who takes what, and waits for whom."""

    problem: CommonCut
    cut: int
    rows: list[Row] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    waits_for: list[list[int]] = field(default_factory=list)
    queues: dict[int, list[int]] = field(default_factory=dict)

    @cached_property
    def parts(self) -> list[list[float]]:
        """Of each device, its batches as fractions of its round.

        Of very many only the first and the last one by themselves, where that changes no time.
        """
        problem, every = self.problem, self.problem.fractions
        by_batch = problem.objective == "splitfed_v2" and problem.server_order == BY_BATCH
        if by_batch or 5 * int(problem.batches.sum()) <= MOST_TASKS:
            return every
        return [own if len(own) < 3 else [own[0], 1.0 - own[0] - own[-1], own[-1]] for own in every]

    @property
    def detail(self) -> str:
        """In words, how fine the tasks are."""
        if self.parts is self.problem.fractions:
            return "every batch"
        return "a device's first and last batch, and the others as one"

    def add(self, n: int, phase: int, batch: int, waits_for: Sequence[int]) -> int:
        """Add a task of a device behind those that are there, and return its number."""
        task, place = len(self.rows), self._place(n, phase)
        once = phase in (_MODEL_DOWN, _MODEL_UP)
        part = 1.0 if once else self.parts[n][batch]
        self.rows.append(Row(place, phase, n, batch, 1.0))
        self.seconds.append(float(getattr(self.problem, TABLES[phase])[n, self.cut - 1]) * part)
        self.waits_for.append(list(waits_for))
        self.queues.setdefault(place, []).append(task)
        return task

    def _place(self, n: int, phase: int) -> int:
        """Return the number of the resource that a task takes."""
        devices, shared = self.problem.devices, self.problem.shared_links
        if phase in (_FORWARD, _BACKWARD):
            return n
        if phase == _SERVER:
            return devices + (2 if shared else 2 * devices)
        up = phase in (_UPLOAD, _MODEL_UP)
        return devices + up if shared else devices + 2 * n + up

    def relayed(self, order: Sequence[int]) -> None:
        """Add device after device: each begins when the one before is through."""
        before: list[int] = []
        for n in order:
            last = self.add(n, _MODEL_DOWN, 0, before)
            for batch in range(len(self.parts[n])):
                for phase in (_FORWARD, _UPLOAD, _SERVER, _GRADIENT, _BACKWARD):
                    last = self.add(n, phase, batch, [last])
            before = [self.add(n, _MODEL_UP, len(self.parts[n]) - 1, [last])]

    def served(self, orders: Sequence[Sequence[int]] | None) -> None:
        """Add the batches in the order in which one server part serves them."""
        problem = self.problem
        counts = [len(parts) for parts in self.parts]
        by_batch = problem.server_order == BY_BATCH
        if by_batch:
            turns = turns_of(counts, orders)
            sequence = [(n, turn) for turn, order in enumerate(turns) for n in order]
        else:
            order = range(problem.devices) if orders is None else orders[0]
            sequence = [(n, batch) for n in order for batch in range(counts[n])]
        begun = list(dict.fromkeys(n for n, _ in sequence))
        last = {n: self.add(n, _MODEL_DOWN, 0, []) for n in begun}
        last = {n: self.add(n, _FORWARD, 0, [last[n]]) for n in begun}
        served: list[int] = []
        for n, batch in sequence:
            # Client by client, a turn begins with the upload of its first batch.
            gate = served if batch == 0 and not by_batch else []
            sent = self.add(n, _UPLOAD, batch, [last[n], *gate])
            served = [self.add(n, _SERVER, batch, [sent])]
            back = self.add(n, _GRADIENT, batch, served)
            last[n] = self.add(n, _BACKWARD, batch, [back])
            if batch + 1 < counts[n]:
                last[n] = self.add(n, _FORWARD, batch + 1, [last[n]])
        done = list(last.values())
        for n in begun:
            self.add(n, _MODEL_UP, counts[n] - 1, done)
