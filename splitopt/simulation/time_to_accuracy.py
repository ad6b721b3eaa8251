"""Steps of `TimeToAccuracy` event by event: barriers in each, and an aggregation at the end.

What is simulated is the time from one aggregation to the next, or, for training, one step of it;
the last one ends with the aggregation. The server averages when all parts are up, and sends the
average then: that takes the slowest way up and the slowest way down, where the model of the plan
counts the device whose two ways together are slowest. Both are the same where one device is slowest
both ways.
"""

from __future__ import annotations

from collections.abc import Sequence

from splitopt.problems.time_to_accuracy import TimeToAccuracy, TimeToAccuracyDecision
from splitopt.simulation.cut_and_resources import MOST_TASKS, PHASES, link_of
from splitopt.simulation.ordered import run_in_order
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.simulation.tracks import Row, drawn, make_timeline
from splitopt.timeline import Resource

_MODEL_DOWN, _FORWARD, _UPLOAD, _SERVER, _GRADIENT, _BACKWARD, _MODEL_UP = range(7)
"""Numbers in `PHASES`."""


def replay(problem: TimeToAccuracy, decision: TimeToAccuracyDecision, setting: Setting) -> Replay:
    """Simulate the steps from one aggregation to the next; of very many the first and last ones."""
    interval = decision.aggregation_interval
    shown = min(interval, max(1, MOST_TASKS // (5 * problem.devices)))
    steps = _Steps(problem, decision)
    steps.add(shown, aggregates=True)
    seconds = problem.round_seconds(decision) * interval
    step = float(problem.phases(decision)[:3].sum())
    words = f"{shown} of {interval} steps" if shown < interval else f"{interval} steps"
    return steps.played(
        setting,
        span=f"{words}, with one aggregation",
        expected=seconds - (interval - shown) * step,
    )


def replay_step(
    problem: TimeToAccuracy, decision: TimeToAccuracyDecision, setting: Setting, number: int
) -> Replay:
    """Simulate one step (0, 1, ...), with the aggregation where it has one."""
    steps = _Steps(problem, decision)
    steps.add(1, aggregates=(number + 1) % decision.aggregation_interval == 0)
    return steps.played(setting, span="a step", expected=None)


class _Steps:
    """The tasks of some steps: who takes what, and waits for whom."""

    def __init__(self, problem: TimeToAccuracy, decision: TimeToAccuracyDecision) -> None:
        self.problem, self.decision = problem, decision
        self.rows: list[Row] = []
        self.seconds: list[float] = []
        self.waits_for: list[list[int]] = []
        self.queues: dict[int, list[int]] = {}

    def add(self, steps: int, *, aggregates: bool) -> None:
        """Add steps, and an aggregation behind the last one."""
        devices = range(self.problem.devices)
        before: list[int] = []
        for step in range(steps):
            there = [
                self._task(n, _UPLOAD, step, [self._task(n, _FORWARD, step, before)])
                for n in devices
            ]
            # The server begins when all are there, and sends when it is through with all.
            begun = self._barrier(there)
            served = [self._task(n, _SERVER, step, begun) for n in devices]
            done = [
                self._task(n, _BACKWARD, step, [self._task(n, _GRADIENT, step, served[-1:])])
                for n in devices
            ]
            before = self._barrier(done)
        if aggregates:
            there = [self._task(n, _MODEL_UP, steps - 1, before) for n in devices]
            begun = self._barrier(there)
            for n in devices:
                self._task(n, _MODEL_DOWN, steps - 1, begun)

    def _barrier(self, waits_for: list[int]) -> list[int]:
        """Add a task of no time that waits for many, so that many can wait for it alone."""
        task, place = len(self.rows), 3 * self.problem.devices
        self.rows.append(Row(place, _SERVER, 0, 0, 1.0))
        self.seconds.append(0.0)
        self.waits_for.append(waits_for)
        self.queues.setdefault(place, []).append(task)
        return [task]

    def _task(self, n: int, phase: int, step: int, waits_for: Sequence[int]) -> int:
        task, place = len(self.rows), self._place(n, phase)
        self.rows.append(Row(place, phase, n, step, 1.0))
        self.seconds.append(self._duration(n, phase))
        self.waits_for.append(list(waits_for))
        self.queues.setdefault(place, []).append(task)
        return task

    def _place(self, n: int, phase: int) -> int:
        """Return the number of the resource that a task takes: devices, their links, the server."""
        devices = self.problem.devices
        if phase in (_FORWARD, _BACKWARD):
            return n
        if phase == _SERVER:
            return 3 * devices
        return devices + 2 * n + (phase in (_UPLOAD, _MODEL_UP))

    def _duration(self, n: int, phase: int) -> float:
        problem, cut = self.problem, int(self.decision.cut[n]) - 1
        size = int(self.decision.batch_size[n])
        if phase == _SERVER:
            return size * float(problem.server_s[cut])
        tables = {
            _MODEL_DOWN: problem.model_down_s,
            _MODEL_UP: problem.model_up_s,
            _FORWARD: problem.forward_s,
            _UPLOAD: problem.upload_s,
            _GRADIENT: problem.gradient_s,
            _BACKWARD: problem.backward_s,
        }
        each = float(tables[phase][n, cut])
        return each if phase in (_MODEL_DOWN, _MODEL_UP) else size * each

    def played(self, setting: Setting, span: str, expected: float | None) -> Replay:
        """Run the tasks, and return them beside what the plan's model expects."""
        names = setting.device_names(self.problem.devices)
        noise = drawn(len(self.rows), setting.noise, setting.seed)
        seconds = self.seconds if noise is None else (noise * self.seconds).tolist()
        start, end = run_in_order(seconds, list(self.queues.values()), self.waits_for)
        links = [link_of(way, name) for name in names for way in ("downlink", "uplink")]
        resources = [
            *(Resource(name, "device") for name in names),
            *links,
            Resource("server", "server"),
        ]
        timeline = make_timeline(
            resources, PHASES, names, self.rows, start, end, setting.origin(self.problem.name)
        )
        busiest = max((u for u in timeline.usage if u.tasks), key=lambda usage: usage.busy_s)
        forecasts = () if expected is None else (Forecast("the plan's model", expected),)
        return Replay(
            timeline=timeline,
            span=span,
            forecasts=forecasts,
            binding=f"{busiest.resource.name}, which is busy for {busiest.busy_s:.4g} s of it",
        )
