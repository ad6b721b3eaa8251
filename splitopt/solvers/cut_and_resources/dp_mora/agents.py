"""The devices and the server as objects that only know what they were told by messages.

This is the reference of the module `fleet`: slower, with the same arithmetic in the same order, and
with a transcript of every message, so that it can be seen who learns what.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from splitopt.latency.relaxed import TABLE, latency_at, values_at
from splitopt.problems.base import BoolArray, FloatArray
from splitopt.secure_sum.masks import Masks
from splitopt.solvers.cut_and_resources.dp_mora.cut_step import CutRule, descend
from splitopt.solvers.cut_and_resources.dp_mora.fleet import FlowRun, Gathered, PrivateData
from splitopt.solvers.cut_and_resources.dp_mora.flow import (
    DIVERGED,
    RUNAWAY,
    RUNNING,
    SETTLED,
    SHARE_FLOOR,
)
from splitopt.solvers.cut_and_resources.dp_mora.graphs import Graph
from splitopt.solvers.cut_and_resources.dp_mora.messages import CODE, KINDS
from splitopt.solvers.cut_and_resources.messaging.log import CENTRE, Message, MessageLog

Price = tuple[float, float]
"""A node's lambda and z."""


class Node:
    """A node of the graph: its own lambda and z, and Eq. 29, 30, 32 and 33."""

    def __init__(self) -> None:
        self.price = self.memory = 0.0
        self._price_velocity = self._memory_velocity = 0.0

    def start(self) -> None:
        """Begin a flow (Algorithm 2, line 2)."""
        self.price = self.memory = 0.0

    def hear(self, prices: list[Price], surplus: float) -> float:
        """Read the neighbours' prices and return the squared gradients of lambda and z.

        `surplus` is 1/N minus the share, and zero for the server, which has no share.
        """
        price_gap = memory_gap = 0.0
        for price, memory in prices:
            price_gap += self.price - price
            memory_gap += self.memory - memory
        self._price_velocity = -price_gap - memory_gap + surplus
        self._memory_velocity = price_gap
        square = self._price_velocity * self._price_velocity
        return square + self._memory_velocity * self._memory_velocity

    def move(self, step: float) -> None:
        """Make one Euler step."""
        self.price += step * self._price_velocity
        self.memory += step * self._memory_velocity


class DeviceAgent(Node):
    """One device. What it knows of itself is private: only what its methods return is sent.

    Parameters
    ----------
    index, devices
        Its number and N, both public.
    columns, table, choices, low, high
        Its rows of `PrivateData`.
    """

    def __init__(
        self,
        index: int,
        devices: int,
        columns: Mapping[str, FloatArray],
        table: FloatArray,
        choices: BoolArray,
        low: float,
        high: float,
    ) -> None:
        super().__init__()
        self.index = index
        self._equal = 1.0 / devices
        self._columns = {name: rows[None] for name, rows in columns.items()}
        self._own = PrivateData(
            self._columns, table[None], choices[None], np.array([low]), np.array([high])
        )
        self._layers = self._own.layers
        self._alpha = min(max(0.5, low / self._layers), high / self._layers)
        self._cut = int(self._own.rounded(np.array([self._relaxed]))[0])
        self._shares = np.full((1, 3), self._equal)
        self._before = self._shares.copy()
        self._need = self._share = self._share_velocity = 0.0
        self._settled = False
        self._keys: dict[int, bytes] = {}

    @property
    def _relaxed(self) -> float:
        return self._alpha * self._layers

    def agree_on_key(self, other: int, key: bytes) -> None:
        """Record the key of the masks that it shares with one other device."""
        self._keys[other] = key

    def improve_cut(self, rule: CutRule) -> int:
        """Descend on the relaxed cut (Eq. 21); return the number of steps."""
        layers = self._layers
        low, high = self._own.low / layers, self._own.high / layers
        start = np.array([self._alpha])
        found, steps = descend(self._columns, layers, start, self._shares, low, high, rule)
        self._alpha = float(found[0])
        return steps

    def has_negative_need(self, resource: int, clip: bool) -> bool:
        """Work out how many seconds of a resource it needs; say whether they are negative."""
        at = np.array([self._relaxed])
        self._need = float(values_at(self._columns, at, clip=clip)[0, resource])
        return self._need < 0

    def masked_root(self, label: str) -> int:
        """Return the root of its need behind masks."""
        return self._masked(math.sqrt(self._need), label)

    def masked_latency(self, label: str, clip: bool) -> int:
        """Return its latency at the relaxed cut behind masks."""
        at = np.array([self._relaxed])
        latency = float(latency_at(self._columns, at, self._shares, clip=clip)[0])
        return self._masked(latency, label)

    def masked_share(self, resource: int, label: str) -> int:
        """Return its share behind masks."""
        return self._masked(float(self._shares[0, resource]), label)

    def start_flow(self, scale: float) -> None:
        """Begin Algorithm 2 for the resource whose need it worked out last."""
        self.start()
        self._before = self._shares.copy()
        self._share, self._need, self._settled = self._equal, self._need / scale, False

    def respond(self, prices: list[Price], part: float) -> tuple[bool, bool]:
        """Work out its gradients (Eq. 28-30); return its vote and whether it changed."""
        square = self.hear(prices, self._equal - self._share)
        target = self._share + self._need / (self._share * self._share) + self.price
        self._share_velocity = min(max(target, SHARE_FLOOR), 1.0) - self._share
        square += self._share_velocity * self._share_velocity
        vote = square <= part
        changed, self._settled = vote != self._settled, vote
        return vote, changed

    def step_flow(self, step: float) -> Price:
        """Make one Euler step (Eq. 31-33) and return the price to send."""
        self._share += step * self._share_velocity
        self.move(step)
        return self.price, self.memory

    def end_flow(self, resource: int) -> None:
        """Set the share that the flow has reached."""
        self._shares[0, resource] = self._share

    def undo(self) -> None:
        """Restore the shares from before the flow."""
        self._shares = self._before.copy()

    def shrink(self, resource: int, total: float) -> None:
        """Divide a share by the total of all."""
        self._shares[0, resource] /= total

    def round_cut(self) -> None:
        """Round the cut and go by the table from now on."""
        self._cut = int(self._own.rounded(np.array([self._relaxed]))[0])
        self._columns = {TABLE: self._own.table}
        self._alpha = self._cut / self._layers

    def _masked(self, value: float, label: str) -> int:
        masks = Masks(CODE, self.index, self._keys)
        return masks.hide([CODE.encode(value)], label.encode())[0]

    def hand_over(self) -> tuple[int, float, FloatArray]:
        """Return cut, relaxed cut and shares to whoever carries out the plan."""
        return self._cut, self._relaxed, self._shares[0].copy()


class Relay:
    """The server: it holds the last price of every node, passes prices on and adds masked values.

    In the star it is a node of the graph itself, without a share.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._prices: list[Price] = [(0.0, 0.0)] * graph.nodes
        self._votes = [False] * graph.devices
        self._hub = Node() if graph.nodes > graph.devices else None
        self._hub_vote = True

    def start_flow(self) -> None:
        """Forget the last flow."""
        self._prices = [(0.0, 0.0)] * self._graph.nodes
        self._votes = [False] * self._graph.devices
        if self._hub is not None:
            self._hub.start()

    def heard_by(self, device: int) -> list[tuple[int, Price]]:
        """Return the prices that a device hears, with the nodes they are from."""
        return [(m, self._prices[m]) for m in self._graph.of(device).tolist()]

    def receive(self, message: Message) -> None:
        """Receive a price or a vote."""
        if message.kind == "price":
            self._prices[message.sender] = (message.fields["lambda"], message.fields["z"])
        else:
            self._votes[message.sender] = message.fields["settled"]

    def settled(self, part: float) -> bool:
        """Report whether all votes, and its own in the star, are in favour of stopping."""
        if self._hub is not None:
            heard = [price for _, price in self.heard_by(self._graph.devices)]
            self._hub_vote = self._hub.hear(heard, 0.0) <= part
        return all(self._votes) and self._hub_vote

    def step(self, step: float) -> None:
        """Step its own price in the star."""
        if self._hub is not None:
            self._hub.move(step)
            self._prices[-1] = (self._hub.price, self._hub.memory)

    def sees_divergence(self) -> bool:
        """Report whether a price has run away."""
        return any(not abs(price) + abs(memory) <= RUNAWAY for price, memory in self._prices)


class AgentNetwork:
    """Runs the agents; everything that passes between them is a `Message` in the audit."""

    def __init__(
        self, data: PrivateData, graph: Graph, rng: np.random.Generator, keep: bool = False
    ) -> None:
        self.transcript: list[Message] = []
        listener = self.transcript.append if keep else None
        self.audit, self.graph = MessageLog(KINDS, listener=listener), graph
        self._agents = [
            DeviceAgent(
                n,
                data.devices,
                {name: rows[n] for name, rows in data.columns.items()},
                data.table[n],
                data.choices[n],
                float(data.low[n]),
                float(data.high[n]),
            )
            for n in range(data.devices)
        ]
        self._relay, self._sums = Relay(graph), 0
        for agent in self._agents:
            for other in self._agents[agent.index + 1 :]:
                key = rng.bytes(32)
                self._send("mask_key", agent.index, other.index, {"key": key})
                agent.agree_on_key(other.index, key)
                other.agree_on_key(agent.index, key)

    def improve_cuts(self, rule: CutRule) -> int:
        """Run the cut step of every agent."""
        self._command("improve_cut")
        return max(agent.improve_cut(rule) for agent in self._agents)

    def alarms(self, resource: int, clip: bool) -> list[int]:
        """Compute the need of every agent."""
        found = [a.index for a in self._agents if a.has_negative_need(resource, clip)]
        for index in found:
            self._send("alarm", index, CENTRE, {"negative": True})
        return found

    def root_total(self, resource: int) -> float:  # noqa: ARG002 - the need of `alarms`
        """Add masked roots."""
        label = self._next_sum()
        return self._sum([agent.masked_root(label) for agent in self._agents])

    def start_flow(self, resource: int, scale: float) -> None:
        """Begin Algorithm 2."""
        self._command(f"start_flow_{resource}", scale)
        self._relay.start_flow()
        for agent in self._agents:
            agent.start_flow(scale)

    def flow(self, resource: int, step: float, tolerance: float, limit: int) -> FlowRun:
        """Exchange prices until all votes agree, a price runs away or the limit is reached."""
        self._command("flow", step)
        part, taken, ending = tolerance / self.graph.nodes, 0, RUNNING
        while taken < limit and ending == RUNNING:
            self._exchange(part)
            if self._relay.settled(part):
                ending = SETTLED
                break
            for agent in self._agents:
                price, memory = agent.step_flow(step)
                values = {"lambda": price, "z": memory}
                self._relay.receive(self._send("price", agent.index, CENTRE, values))
            self._relay.step(step)
            taken += 1
            ending = DIVERGED if self._relay.sees_divergence() else RUNNING
        for agent in self._agents:
            agent.end_flow(resource)
        return FlowRun(taken, ending)

    def undo(self, resource: int) -> None:  # noqa: ARG002 - the other shares are unchanged
        """Restore the share of every agent."""
        self._command("undo")
        for agent in self._agents:
            agent.undo()

    def latency_total(self, clip: bool) -> float:
        """Add masked latencies."""
        label = self._next_sum()
        return self._sum([agent.masked_latency(label, clip) for agent in self._agents])

    def share_total(self, resource: int) -> float:
        """Add masked shares."""
        label = self._next_sum()
        return self._sum([agent.masked_share(resource, label) for agent in self._agents])

    def shrink(self, resource: int, total: float) -> None:
        """Divide the share of every agent."""
        self._command("shrink", total)
        for agent in self._agents:
            agent.shrink(resource, total)

    def round_cuts(self) -> None:
        """Round the cut of every agent."""
        self._command("round_cut")
        for agent in self._agents:
            agent.round_cut()

    def gather(self) -> Gathered:
        """Collect the plan."""
        cuts, relaxed, shares = zip(*(agent.hand_over() for agent in self._agents), strict=True)
        return Gathered(np.array(cuts, dtype=np.int64), np.array(relaxed), np.stack(shares))

    def _exchange(self, part: float) -> None:
        """Deliver the neighbours' prices to every device, and changed votes to the relay."""
        for agent in self._agents:
            heard = []
            for origin, (price, memory) in self._relay.heard_by(agent.index):
                values = {"lambda": price, "z": memory}
                sent = self._send("relayed_price", CENTRE, agent.index, values, origin)
                heard.append((sent.fields["lambda"], sent.fields["z"]))
            vote, changed = agent.respond(heard, part)
            if changed:
                self._relay.receive(self._send("vote", agent.index, CENTRE, {"settled": vote}))

    def _next_sum(self) -> str:
        self._sums += 1
        self._command(f"sum_{self._sums}")
        return f"sum_{self._sums}"

    def _sum(self, values: list[int]) -> float:
        for agent, value in zip(self._agents, values, strict=True):
            self._send("masked", agent.index, CENTRE, {"masked_value": value})
        total = CODE.decode(CODE.add(values, signed=True))
        for agent in self._agents:
            self._send("total", CENTRE, agent.index, {"total": total})
        return total

    def _command(self, command: str, value: float = 0.0) -> None:
        for agent in self._agents:
            self._send("command", CENTRE, agent.index, {"command": command, "value": value})

    def _send(
        self,
        kind: str,
        sender: int,
        receiver: int,
        values: Mapping[str, Any],
        origin: int | None = None,
    ) -> Message:
        return self.audit.record(Message(kind, sender, receiver, values, origin))
