"""What is sent before the split training begins: messages with their bytes, as planned and as sent.

Before the training the devices send their histograms and generators up, and the server sends
generators down to those who lack classes. The pre-trained part of a device goes out with the first
round of the training, as its part of the model does in every round.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from splitopt.latency.split_federated import link_rate
from splitopt.scenario import Scenario

HISTOGRAM, GENERATOR, PAIRED = "histogram", "generator", "paired_generator"
"""Kinds of messages: up, up and down."""
SERVER = "server"
HISTOGRAM_BYTES = 12
"""Of each class: a count of 8 bytes and a quality of 4."""


@dataclass(frozen=True)
class Sent:
    """A message.

    Parameters
    ----------
    kind
        What it is.
    sender, receiver
        Names of devices, or ``server``.
    bytes
        Of its tensors, as sent.
    planned_bytes
        As planned before anything was trained.
    planned_s
        What it takes at the full link.
    measured_s
        What it took over connections that keep the pace of the links, in planned seconds; None
        without.
    """

    kind: str
    sender: str
    receiver: str
    bytes: int
    planned_bytes: int
    planned_s: float
    measured_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)


def up(scenario: Scenario, number: int, kind: str, planned: int) -> Sent:
    """Return a message of a device to the server, as planned: none of it is sent yet.

    Parameters
    ----------
    scenario
        With the links.
    number
        Of the device.
    kind
        What it is.
    planned
        Its bytes.
    """
    device = scenario.fleet()[number]
    rate = link_rate(scenario.link(device, "uplink"))
    return Sent(kind, device.name, SERVER, 0, planned, 8.0 * planned / rate)


def down(scenario: Scenario, number: int, kind: str, planned: int) -> Sent:
    """Return a message of the server to a device; the arguments are those of `up`."""
    device = scenario.fleet()[number]
    rate = link_rate(scenario.link(device, "downlink"))
    return Sent(kind, SERVER, device.name, 0, planned, 8.0 * planned / rate)


def totals(messages: Iterable[Sent]) -> dict[str, dict[str, float]]:
    """Return bytes, planned bytes, seconds and the number of messages of each kind."""
    found: dict[str, dict[str, float]] = {}
    for one in messages:
        own = found.setdefault(
            one.kind, {"messages": 0, "bytes": 0, "planned_bytes": 0, "planned_s": 0.0}
        )
        own["messages"] += 1
        own["bytes"] += one.bytes
        own["planned_bytes"] += one.planned_bytes
        own["planned_s"] += one.planned_s
    return found
