"""What a round is counted by: losses, and bytes by what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass
class Traffic:
    """Bytes that were sent in a round, by what they are.

    The model is its trained parameters; ``statistics`` are what layers write and goes with them,
    down and up together. ``tied_down`` and ``tied_up`` are gradients of weights of which both
    sides of a cut hold a copy. ``statistics_up`` is what of ``statistics`` has gone up.
    ``secure_down`` and ``secure_up`` are the keys and shares of secure aggregation, with which
    ``model_up`` are the masked vectors.
    ``fisher_down`` and ``fisher_up`` are what devices hand on of elastic weight consolidation.
    """

    smashed: int = 0
    gradient: int = 0
    label: int = 0
    model_down: int = 0
    model_up: int = 0
    statistics: int = 0
    tied_down: int = 0
    tied_up: int = 0
    fisher_down: int = 0
    fisher_up: int = 0
    statistics_up: int = 0
    secure_down: int = 0
    secure_up: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return bytes by kind; those that few runs send only where there are any."""
        found = asdict(self)
        del found["statistics_up"]
        for kind in ("tied", "fisher", "secure"):
            if not found[f"{kind}_down"] and not found[f"{kind}_up"]:
                del found[f"{kind}_down"], found[f"{kind}_up"]
        return found


@dataclass
class Losses:
    """A sum of losses, each times its samples, and how many samples these were."""

    loss_sum: float = 0.0
    samples: int = 0

    @property
    def loss(self) -> float:
        """The mean over the samples."""
        return self.loss_sum / max(1, self.samples)

    def add(self, loss: float, samples: int) -> None:
        """Count a mean loss of so many samples."""
        self.loss_sum += loss * samples
        self.samples += samples


@dataclass
class Round(Losses):
    """Sums over one round.

    ``dropped`` names clients that did not finish it, ``clients`` has the losses of each by name,
    and ``groups`` the names of those that trained side by side on one server part, group by group.
    """

    traffic: Traffic = field(default_factory=Traffic)
    dropped: tuple[str, ...] = ()
    clients: dict[str, Losses] = field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ()

    def note(self, client: str, loss: float, samples: int) -> None:
        """Count a mean loss of a client's samples."""
        self.add(loss, samples)
        self.note_client(client, loss, samples)

    def join(self, names: Sequence[str]) -> None:
        """Note clients that train side by side; one by itself is no group."""
        if len(names) > 1:
            self.groups = (*self.groups, tuple(names))

    def note_client(self, client: str, loss: float, samples: int) -> None:
        """Count it for the client alone, where the sums have it already."""
        self.clients.setdefault(client, Losses()).add(loss, samples)
