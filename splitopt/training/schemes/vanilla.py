"""Split learning one device after the other (Gupta and Raskar 2018)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.model_parts.modes import evaluating
from splitopt.training.randomness import seed_of
from splitopt.training.remembering.balanced import check_labels
from splitopt.training.remembering.ewc import Ewc
from splitopt.training.remembering.replay import Replay
from splitopt.training.remembering_options import Remembering
from splitopt.training.schemes.base import Client, under
from splitopt.training.schemes.clustered import Clustered
from splitopt.training.schemes.tally import Round
from splitopt.training.turns import TurnsOfClient, interleaved

_REPLAY = 1
"""Stands behind the seed of the order, so that what is replayed is drawn from another one."""


class Vanilla(Clustered):
    """The device part goes from device to device: CPSL with clusters of one.

    What the options ask for against forgetting is done here: turns of some batches, penalties of
    elastic weight consolidation for both parts, and smashed data that the server replays. To the
    server what it replays is like the batch of one more device in the cluster.
    """

    name: ClassVar[str] = "vanilla"
    can_remember: ClassVar[bool] = True

    def prepare(self) -> None:
        """Cut the model, and put every client into a cluster of its own."""
        super().prepare()
        self.cluster([[index] for index in range(len(self.clients))])
        self.ewc: Ewc | None = None
        self.replay: Replay | None = None
        given = self.options.remembering
        if given is not None and given.ewc is not None:
            self.ewc = self._made_ewc(given)
        if given is not None and given.replay is not None:
            self.replay = self._made_replay(given.replay)

    def _made_ewc(self, given: Remembering) -> Ewc:
        """Return no penalties yet, which every part asks before each of its steps."""
        for name in self.common.exchanged:
            raise InputError.at(
                "ewc",
                "penalises the weights of each part by itself, and both parts hold a copy of the "
                f"tied weight {name}; cut where one part has all its uses, or leave it out",
            )
        found = Ewc(given, [part.module for part in self.common.parts])
        self.server.pull = partial(found.pull, 1, self.server.module)
        for client in self.clients:
            part = self.device(client)
            part.pull = partial(found.pull, 0, part.module)
        return found

    def _made_replay(self, per_class: int) -> Replay:
        """Return an empty buffer for what crosses the cut."""
        words = "keeps samples by class"
        labels = [check_labels(c.batches.targets, "replay", words) for c in self.clients]
        part = self.device(self.clients[0])
        with evaluating(part.module), torch.no_grad():
            like = part.forward(self.clients[0].batches.inputs[:1], first=True).sent
        classes = 1 + max(int(own.max()) for own in labels)
        return Replay(per_class, classes, like, seed_of(self.seed, _REPLAY))

    def turns(self, number: int) -> list[tuple[list[Client], int]]:
        """Return whose turns a round has; of so many batches each as the options say."""
        order = [client for (client,) in self.groups(number)]
        given = self.options.remembering
        batches = None if given is None else given.turn_batches
        turns = interleaved([self.steps(client) for client in order], batches)
        return [([order[place]], steps) for place, steps in turns]

    def hand_out(self, clients: Sequence[Client], tally: Round) -> None:
        """Pass the device part to the next device, with what the penalties need."""
        super().hand_out(clients, tally)
        if self.ewc is not None and self.ewc.turns:
            tally.traffic.fisher_down += self.ewc.bytes_on(0)

    def collect(self, clients: Sequence[Client], tally: Round) -> None:
        """Receive the device part back, and keep what the turn leaves against forgetting."""
        if self.ewc is not None:
            (client,) = clients
            own, parts = client.batches, [self.device(client), self.server]
            sent = self.ewc.learn(parts, own.inputs, own.targets, self.criterion)
            tally.traffic.smashed += sent[0]
            tally.traffic.gradient += sent[1]
            tally.traffic.label += sent[2]
            tally.traffic.fisher_up += self.ewc.bytes_on(0)
        super().collect(clients, tally)
        if self.replay is not None:
            self.replay.turn_ends()

    def serve(
        self,
        group: Sequence[Client],
        smashed: Sequence[Tensor],
        targets: Sequence[Tensor],
        tally: Round,
        beside: tuple[Tensor, Tensor] | None = None,
    ) -> list[Tensor]:
        """Train the server's part on a batch, and on as many replayed samples."""
        if self.replay is None:
            return super().serve(group, smashed, targets, tally, beside)
        kept = self.replay.draw(sum(map(len, targets)))
        gradients = super().serve(group, smashed, targets, tally, kept)
        self.replay.see(smashed, targets)
        return gradients

    def turns_of(self, number: int) -> list[TurnsOfClient] | None:
        """Return the work of each client in a round, where it is more than one usual turn."""
        given = self.options.remembering
        if given is None or given.asked == ("oversample",):
            return None
        turns = self.turns(number)
        counts = Counter(client.name for (client,), _ in turns)
        (first,), steps = turns[0]  # before which there is nothing yet, in the first round
        return [
            self._work(client, counts[client.name], steps if first is client and not number else 0)
            for client in self.clients
        ]

    def _work(self, client: Client, turns: int, without: int) -> TurnsOfClient:
        """Return the work of a client with so many turns, some batches of it with nothing kept."""
        steps, passes, replayed, tensors = self.steps(client), 0.0, 0.0, 0
        if self.ewc is not None:
            tensors = self.ewc.options.handed_on
            samples = min(self.ewc.options.ewc_samples, client.samples)
            passes = turns * samples / (steps / client.batches.per_epoch * client.samples)
        if self.replay is not None:
            most = self.replay.per_class * self.replay.classes
            replayed = min(1.0, most / client.batches.size) * (steps - without) / steps
        down = turns - 1 if without else turns
        return TurnsOfClient(turns, passes, replayed, tensors * down, tensors * turns)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next round depends on, with the penalties and what is replayed."""
        kept = {
            f"{name}.{key}": value.detach().clone().contiguous()
            for name, holder in (("ewc", self.ewc), ("replay", self.replay))
            if holder is not None
            for key, value in holder.state_dict().items()
        }
        return {**super().state_dict(), **kept}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that `state_dict` gave."""
        super().load_state_dict(state)
        if self.ewc is not None:
            self.ewc.load_state_dict(under(state, "ewc."))
        if self.replay is not None:
            self.replay.load_state_dict(under(state, "replay."))
