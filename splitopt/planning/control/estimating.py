"""How fast devices, links and the server are, from how long the tasks of a round took.

A task takes work over rate. Under the same cuts and shares a task at the planned rates takes p
seconds, and the measured one s: the rate is p / s times the planned one, whatever the work is. All
tasks of a round that one rate serves are added up first, so that chance in single ones averages
out.

What cannot be told apart is not: forward and backward are one speed of a device, the model and the
data of mini-batches one rate of a link, and the server has one speed, whoever it works for. Where
a cut leaves a rate nothing to do, a round says nothing of it, and the estimate stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from splitopt.documents.checks import check_number
from splitopt.planning.control.events import (
    LEAST_FACTOR,
    MOST_FACTOR,
    DeviceSlows,
    Event,
    RateChanges,
    ServerSlows,
)
from splitopt.timeline import Timeline

COMPUTE, DOWNLOAD, UPLOAD, SERVER = "compute", "download", "upload", "server"
OF_DEVICE = (COMPUTE, DOWNLOAD, UPLOAD)
"""What is estimated of every device."""
_RATE = {
    "model download": DOWNLOAD,
    "device forward": COMPUTE,
    "upload": UPLOAD,
    "server": SERVER,
    "gradient download": DOWNLOAD,
    "device backward": COMPUTE,
    "model upload": UPLOAD,
}
"""Phase of a round of a server with devices -> the rate that serves it."""


@dataclass(frozen=True)
class Rates:
    """Rates as factors of the planned ones; what is not known is missing.

    Parameters
    ----------
    devices
        Device -> ``compute``, ``download``, ``upload`` -> factor.
    server
        Of the server; None where nothing is known of it.
    """

    devices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    server: float | None = None

    def events(self) -> list[Event]:
        """Return the events that tell a controller of them."""
        found: list[Event] = []
        for name, known in self.devices.items():
            links = {way: known[way] for way in (DOWNLOAD, UPLOAD) if way in known}
            if links:
                found.append(RateChanges(name, links))
            if COMPUTE in known:
                found.append(DeviceSlows(name, known[COMPUTE]))
        if self.server is not None:
            found.append(ServerSlows(self.server))
        return found


@dataclass(frozen=True)
class Smoothing:
    """How an estimate follows what is measured.

    Parameters
    ----------
    weight
        Of the last round: estimates are geometric means with weights that fall off by
        ``1 - weight`` from round to round. 1 believes the last round alone.
    jump
        A rate measured at more than so many times its estimate, or less than so many parts of it,
        has changed: the estimate becomes what was measured, at once.

    Raises
    ------
    InputError
        The weight is not above 0 and at most 1, or the jump is below 1.
    """

    weight: float = 0.5
    jump: float = 1.5

    def __post_init__(self) -> None:
        check_number("smoothing", self.weight, 1e-3, 1.0)
        check_number("jump", self.jump, 1.0, 1e9)

    def next(self, before: float, measured: float) -> float:
        """Return the estimate after a round, from the one before it and what was measured."""
        if max(measured / before, before / measured) > self.jump:
            return measured
        return float(before ** (1 - self.weight) * measured**self.weight)

    def after(self, before: Rates, measured: Rates) -> Rates:
        """Return the estimates after a round; those of which it says nothing stay."""
        devices = {name: dict(known) for name, known in before.devices.items()}
        for name, known in measured.devices.items():
            own = devices.setdefault(name, {})
            for rate, value in known.items():
                own[rate] = self.next(own.get(rate, 1.0), value)
        server = before.server
        if measured.server is not None:
            server = self.next(1.0 if server is None else server, measured.server)
        return Rates(devices, server)


def measured_rates(planned: Timeline, found: Timeline, without: Collection[str] = ()) -> Rates:
    """Compute what rates a round had, as factors of the planned ones.

    Parameters
    ----------
    planned
        The round under its own cuts and shares at the planned rates.
    found
        The same round as it was.
    without
        Devices that did not come to the end of it: nothing is said of them.

    Returns
    -------
    Rates
        Of what both rounds spent time on; factors are kept between those that an event may have.
    """
    wanted, taken = _seconds(planned), _seconds(found)
    devices: dict[str, dict[str, float]] = {}
    served = [0.0, 0.0]
    for (owner, rate), seconds in wanted.items():
        measured = taken.get((owner, rate), 0.0)
        if owner in without or seconds <= 0 or measured <= 0:
            continue
        if rate == SERVER:
            served[0] += seconds
            served[1] += measured
        else:
            devices.setdefault(owner, {})[rate] = _kept(seconds / measured)
    return Rates(devices, _kept(served[0] / served[1]) if served[1] > 0 else None)


def _seconds(timeline: Timeline) -> dict[tuple[str, str], float]:
    """Return the seconds of each owner's tasks, by the rate that serves them."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    lasted = (timeline.end_s - timeline.start_s).tolist()
    for phase, owner, seconds in zip(
        timeline.phase.tolist(), timeline.owner.tolist(), lasted, strict=True
    ):
        rate = _RATE.get(timeline.phases[phase])
        if rate is not None:
            found[timeline.owners[owner], rate] += seconds
    return found


def _kept(factor: float) -> float:
    return min(max(factor, LEAST_FACTOR), MOST_FACTOR)
