"""What a training says of one round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from splitopt.training.by_client import ClientRow
from splitopt.training.by_turn import TurnRow

_OPTIONAL = (
    *("epsilon", "clients", "groups", "classes", "pixel_dp", "distance_correlation"),
    *("received_bytes", "turns", "replan", "measured", "estimated"),
)
"""Fields of a row that files have where there is something in them."""


@dataclass(frozen=True)
class RoundRow:
    """One round.

    Parameters
    ----------
    round
        Its number, from 1.
    loss
        Mean training loss over the samples that were seen in the round.
    samples
        How many these were.
    test_loss, accuracy
        Of the common model on the test data after the round, accuracy from 0 to 1; None where it
        was not evaluated, or the task has no accuracy.
    round_s, clock_s
        What the round takes and when it ends by the virtual clock, in s; None where the scheme's
        time is unknown.
    phases_s
        ``round_s`` by phase, under the names of the simulator.
    traffic_bytes
        Bytes that were sent, by the kinds of `TRAFFIC`, and of `TIED_TRAFFIC` where there are any.
    dropped
        Names of clients that did not finish the round.
    metrics
        All metrics of the task in the test, by name; see `splitopt.training.tasks.Task`.
    epsilon
        What differential privacy each device has spent up to the end of the round, by name: the
        epsilon at the delta of the origin, None where there is no noise. Empty without privacy.
    clients
        What the round says of each client, by name, in the order in which they began to train.
    groups
        Names of the clients that trained on one server part side by side, in the order in which
        their groups ran; empty where there are no such groups.
    classes
        Metrics of each class in the test, by name, in the order of the classes; None for a class
        that has none, such as the recall of a class without a sample.
    pixel_dp
        Of a noise layer behind the round: ``sensitivity`` and ``noise`` (its standard deviation or
        scale) by the weights of the common model, and where it was tested ``accuracy`` and
        ``test_loss`` of scores averaged over noise draws. Empty without a noise layer.
    distance_correlation
        Under NoPeek: that of test inputs with their smashed data in the common model, the largest
        over the cuts of clients; None where it was not tested.
    received_bytes
        With a fed server: bytes that each party received in the round, by party (``server``,
        ``fed``, and ``devices`` for all of them) and by kind.
    turns
        The tests after the turns of the round, in the order of the turns; empty where there were
        none.
    replan
        Where plans follow: ``gap`` and ``objective`` of the round's plan for what was known before
        it, and how many devices ``moved`` to another cut; where they follow what is measured, also
        ``server_measured`` and ``server_estimated`` as below. Empty otherwise.
    measured
        Where plans follow what is measured: the rates of each device in the round, ``compute``,
        ``download`` and ``upload``, as factors of the planned ones; what could not be told is
        missing.
    estimated
        The same as it is estimated after the round, from all rounds; the next one is planned by it.
    """

    round: int
    loss: float
    samples: int
    test_loss: float | None = None
    accuracy: float | None = None
    round_s: float | None = None
    clock_s: float | None = None
    phases_s: Mapping[str, float] = field(default_factory=dict)
    traffic_bytes: Mapping[str, int] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    epsilon: Mapping[str, float | None] = field(default_factory=dict)
    clients: Mapping[str, ClientRow] = field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ()
    classes: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    pixel_dp: Mapping[str, float] = field(default_factory=dict)
    distance_correlation: float | None = None
    received_bytes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    turns: tuple[TurnRow, ...] = ()
    replan: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    estimated: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-ready data, without the fields in which it has nothing to say."""
        plain = {
            **asdict(self),
            "dropped": list(self.dropped),
            "groups": [list(group) for group in self.groups],
            "classes": {name: list(values) for name, values in self.classes.items()},
            "turns": [turn.to_dict() for turn in self.turns],
        }
        return {
            name: value
            for name, value in plain.items()
            if value or value == 0 or name not in _OPTIONAL
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> RoundRow:
        """Read what `to_dict` wrote, and was checked."""
        clients = entry.get("clients", {}).items()
        read = {
            "dropped": tuple(entry["dropped"]),
            "clients": {name: ClientRow(**own) for name, own in clients},
            "groups": tuple(tuple(group) for group in entry.get("groups", ())),
            "classes": {name: tuple(own) for name, own in entry.get("classes", {}).items()},
            "turns": tuple(map(TurnRow.from_dict, entry.get("turns", ()))),
        }
        return cls(**{**entry, **read})
