"""What a training over connections has led to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitopt.simulation.tracks import one_after_the_other
from splitopt.timeline import Timeline
from splitopt.training.runner import Run


@dataclass(frozen=True, eq=False)
class WireRun(Run):
    """A training whose parties were processes.

    Parameters
    ----------
    program
        What the plan asked for.
    time_scale
        Seconds of the wall for each planned one.
    timelines
        The rounds of this run as measured, in planned seconds; the round is in their origin.
    predicted
        What was predicted for these rounds: of the clients and in the order that each drew.
    sent_bytes
        Bytes of tensors on the wire, by the kind of message.
    dropped
        A text for each party that a round went on without.
    received_bytes
        With a fed server: bytes of tensors that rank 0 (``server``) and ``fed`` received, by the
        kind of message.
    own_names
        With a fed server: the entries of the model that rank 0 has, those of the server part; the
        others have no values here.
    fed_model
        With a fed server: the file that it has written its part of the model to.
    """

    program: Any = None
    time_scale: float = 1.0
    timelines: tuple[Timeline, ...] = ()
    sent_bytes: Mapping[str, int] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    received_bytes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    own_names: tuple[str, ...] | None = None
    fed_model: str | None = None
    predicted: tuple[Timeline, ...] = ()

    def save_model(self, path: str | Path) -> None:
        """Write the weights as a safetensors file; with a fed server those of the server part."""
        if self.own_names is None:
            super().save_model(path)
            return
        from splitopt.storage.writing import write_atomic
        from splitopt.training.model_parts.averaging import state_bytes

        state = self.model.state_dict()
        write_atomic(path, state_bytes({name: state[name] for name in self.own_names}))

    @property
    def measured(self) -> Timeline:
        """All rounds of this run one after the other, batches numbered through."""
        origin = {"source": "measured", "time_scale": self.time_scale}
        return one_after_the_other(self.timelines, origin)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data, without the tasks."""
        return {
            **super().to_dict(),
            "time_scale": self.time_scale,
            "measured_round_s": [timeline.makespan_s for timeline in self.timelines],
            "sent_bytes": dict(self.sent_bytes),
            "dropped": list(self.dropped),
            **(
                {"received_bytes": {name: dict(own) for name, own in self.received_bytes.items()}}
                if self.received_bytes
                else {}
            ),
            **({"fed_model": self.fed_model} if self.fed_model else {}),
        }
