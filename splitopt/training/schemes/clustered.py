"""CPSL (Wu et al. 2023, Algorithm 1): clusters one after the other, devices of one side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.copies import tensor_bytes
from splitopt.training.schemes.base import Client, Round
from splitopt.training.schemes.shared_server import SharedServer


class Clustered(SharedServer):
    """Within a cluster the server trains on the smashed data of all its devices at once.

    ``clusters`` names the clients of every cluster, in the order in which the clusters run; the
    device part that one cluster has averaged is where the next one starts from.
    """

    name: ClassVar[str] = "clustered"

    def cluster(self, groups: Sequence[Sequence[int]]) -> Clustered:
        """Set the clusters, as indices of clients; each client is in one."""
        members = sorted(index for group in groups for index in group)
        if members != list(range(len(self.clients))):
            raise InputError.at(
                "clusters", f"must hold each of the {len(self.clients)} clients exactly once"
            )
        self.clusters = [[self.clients[index] for index in group] for group in groups]
        return self

    def round(self, number: int) -> Round:
        """All clusters in turn."""
        tally = Round()
        self.start_round()
        for group in self.groups(number):
            self.hand_out(group, tally)
            steps = max(self.options.steps(client.batches.per_epoch) for client in group)
            for _ in range(steps):
                self._step(group, tally)
            self.collect(group, tally)
        return tally

    def groups(self, number: int) -> list[list[Client]]:
        """Clusters in the order of this round."""
        if self.options.order == "given":
            return self.clusters
        place = {client.name: i for i, client in enumerate(self.order(number))}
        return sorted(self.clusters, key=lambda group: place[group[0].name])

    def _step(self, group: Sequence[Client], tally: Round) -> None:
        """One local epoch of the paper: a mini-batch of every device, one update of the server."""
        held, targets = [], []
        for client in group:
            inputs, target = client.batches.draw()
            held.append(self.device(client).forward(inputs, client.stream, first=True))
            targets.append(target)
            tally.traffic.label += tensor_bytes(target)
            tally.traffic.smashed += tensor_bytes(held[-1].sent)
        sizes = [len(target) for target in targets]
        together = self.server.forward(torch.cat([one.sent for one in held]), group[0].stream)
        loss = self.criterion(together.result, torch.cat(targets))  # Eq. 4: the mean over all
        self.note_loss(loss, sum(sizes), group[0], tally)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = torch.split(together.gradient, sizes)
        for client, one, part in zip(group, held, gradients, strict=True):
            own = self._scaled(part, sum(sizes) / len(part))
            tally.traffic.gradient += tensor_bytes(own)
            one.backward(own)
            self.device(client).step()
        self.server.step()

    def _scaled(self, gradient: Tensor, factor: float) -> Tensor:
        return gradient * factor if self.options.cut_gradient == "rescaled" else gradient
