"""CPSL (Wu et al. 2023, Algorithm 1): clusters one after the other, devices of one side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import ClassVar

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.codecs.crossing import DOWN, UP
from splitopt.training.data.named import Inputs
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.model_parts.parts import Pass
from splitopt.training.privacy.per_sample import Gradients
from splitopt.training.schemes.base import Client, finite_loss
from splitopt.training.schemes.client import guard_of
from splitopt.training.schemes.joining import joined
from splitopt.training.schemes.shared_server import SharedServer
from splitopt.training.schemes.tally import Round


class Clustered(SharedServer):
    """Within a cluster the server trains on the smashed data of all its devices at once.

    ``clusters`` names the clients of every cluster, in the order in which the clusters run; the
    device part that one cluster has averaged is where the next one starts from.
    """

    name: ClassVar[str] = "clustered"
    exchanges_tied: ClassVar[bool] = True
    serves_together: ClassVar[bool] = True

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
        for group, steps in self.turns(number):
            tally.join([client.name for client in group])
            self.hand_out(group, tally)
            for _ in range(steps):
                self._step(group, tally)
            for client in group:
                self.note_exchanged(client, steps, tally)
            self.collect(group, tally)
            self.turn_ends(group)
        return tally

    def most_steps(self, client: Client) -> int:  # noqa: ARG002
        """Devices of a cluster make as many batches as the one with the most."""
        return max(self.steps(one) for one in self.clients)

    @property
    def has_turns(self) -> bool:
        """Clusters have them."""
        return True

    def turns(self, number: int) -> list[tuple[list[Client], int]]:
        """Return whose turns a round has, in their order, and with how many mini-batches."""
        return [(group, max(map(self.steps, group))) for group in self.groups(number)]

    def groups(self, number: int) -> list[list[Client]]:
        """Clusters in the order of this round."""
        if not self.is_shuffled:
            return self.clusters
        place = {client.name: i for i, client in enumerate(self.order(number))}
        return sorted(self.clusters, key=lambda group: place[group[0].name])

    def _step(self, group: Sequence[Client], tally: Round) -> None:
        """One local epoch of the paper: a mini-batch of every device, one update of the server."""
        if self.options.privacy is not None:
            self._step_privately(group, tally)
            return
        held, arrived, targets = [], [], []
        for client in group:
            inputs, target = client.batches.draw()
            held.append(self.device(client).forward(inputs, client.stream, first=True))
            arrived.append(client.crossing.up(0, held[-1].sent))
            targets.append(target)
        gradients = self.serve(group, arrived, targets, tally)
        for client, one, gradient in zip_longest(group, held, gradients):
            one.backward(None if gradient is None else client.crossing.down(0, gradient))
            self.device(client).step()

    def _step_privately(self, group: Sequence[Client], tally: Round) -> None:
        """Train as `_step` does, with noise in the device parts, or in both for a single device."""
        if len(group) == 1:
            (client,) = group
            self.train_batch(
                [self.device(client), self.server], client.batches.draw(), client, tally
            )
            return
        drawn = [(client, *client.batches.draw()) for client in group]
        some = [entry for entry in drawn if len(entry[1])]
        held = [
            self.device(client).forward(inputs, client.stream, first=True)
            for client, inputs, _ in some
        ]
        gradients: list[Tensor] = []
        if some:
            there = [client for client, _, _ in some]
            arrived = [c.crossing.up(0, one.sent) for c, one in zip(there, held, strict=True)]
            gradients = self.serve(there, arrived, [target for _, _, target in some], tally)
        passes = {
            client.name: (one, client.crossing.down(0, gradient))
            for (client, _, _), one, gradient in zip(some, held, gradients, strict=False)
        }  # none where nothing of the devices' part is trained
        self._release(drawn, passes)

    def _release(
        self,
        drawn: Sequence[tuple[Client, Inputs, Tensor]],
        passes: Mapping[str, tuple[Pass, Tensor]],
    ) -> None:
        """Update the device parts of a cluster by the gradients that came back, with noise."""
        sizes = [len(inputs) for _, inputs, _ in drawn]
        told = self.shares_of_sum([client for client, _, _ in drawn], sizes)
        for (client, inputs, _), (whole, divisor) in zip(drawn, told, strict=True):
            guard, own, part = guard_of(client), Gradients(), self.device(client)
            if client.name in passes:
                one, gradient = passes[client.name]
                own = guard.gradients(part, one, gradient * whole)
            guard.release([part], own, len(inputs), divisor)
            part.step()

    def shares_of_sum(self, group: Sequence[Client], sizes: Sequence[int]) -> list[tuple[int, int]]:
        """Return what the devices of a cluster need to know of each other's batches, with privacy.

        Parameters
        ----------
        group, sizes
            The devices that have drawn, and how many samples each has.

        Returns
        -------
        For each device, of how many samples the loss is the mean whose gradient comes back, and by
        what its sum of clipped gradients is divided. Empty without privacy.
        """
        if self.options.privacy is None:
            return []
        drawn = zip(group, sizes, strict=True)
        counts = [guard_of(client).batches.counted(size) for client, size in drawn]
        if self.options.cut_gradient == "mean":
            return [(sum(sizes), sum(counts))] * len(sizes)
        return list(zip(sizes, counts, strict=True))

    def serve(
        self,
        group: Sequence[Client],
        smashed: Sequence[Tensor],
        targets: Sequence[Tensor],
        tally: Round,
        beside: tuple[Tensor, Tensor] | None = None,
    ) -> list[Tensor]:
        """Train the server's part on what a cluster has sent.

        Parameters
        ----------
        group
            The cluster.
        smashed, targets
            What its devices have sent.
        tally
            Where it is counted.
        beside
            Smashed data and targets that nobody has sent now, and no gradient comes back to.

        Returns
        -------
        The gradient that is sent to each device, as the options scale it; none where nothing of
        the devices' part is trained.
        """
        sizes = [len(target) for target in targets]
        own, more = sum(sizes), () if beside is None else (beside,)
        rows = [len(sent) for sent in smashed]  # of tokens, say, where samples are flattened
        passes = self._passes(group, [*smashed, *(kept for kept, _ in more)])
        labels = [*targets, *(others for _, others in more)]
        apart = labels if len(passes) == len(labels) else [torch.cat(labels)]
        result, wanted = joined([held.result for held in passes], apart)
        loss = self.criterion(result, wanted)  # Eq. 4: mean over all
        noted = loss if beside is None else self._own_loss(result[:own], targets)
        self._note(noted, result[:own], wanted[:own], sizes, group, tally)
        loss.backward()  # type: ignore[no-untyped-call]
        self.server.step()
        for client, sent, target in zip(group, smashed, targets, strict=True):
            tally.traffic.label += tensor_bytes(target)
            tally.traffic.smashed += client.crossing.size(UP, sent)
        back = [held.gradient for held in passes if held.gradient is not None]
        if not back:
            return []
        whole = len(passes) == 1
        gradients = list(torch.split(torch.cat(back)[: sum(rows)], rows)) if whole else back
        if self.options.cut_gradient == "rescaled":
            factors = [len(wanted) / size for size in sizes]
            pairs = zip(gradients, factors, strict=True)
            gradients = [part * factor for part, factor in pairs]
            for client, factor in zip(group, factors, strict=True):
                self._rescale_tied(client, factor)
        for client, gradient in zip(group, gradients, strict=True):
            tally.traffic.gradient += client.crossing.size(DOWN, gradient)
        return gradients

    def _passes(self, group: Sequence[Client], arrived: Sequence[Tensor]) -> list[Pass]:
        """Send what has arrived through the server's part: all at once, as one batch.

        Where devices of a cluster have copies of a tied weight each, the server's part works on
        what each has sent by itself, with the copy of that device; so it does where batches are as
        long as their own longest samples.
        """
        apart = self.common.exchanged or self.options.padding == "batch"
        if len(group) == 1 or not apart:
            self.server.instead = self.tied_of(group[0])
            return [self.server.forward(torch.cat(list(arrived)), group[0].stream)]
        found = []
        for client, sent in zip(group, arrived, strict=True):  # nothing stands beside a cluster
            self.server.instead = self.tied_of(client)
            found.append(self.server.forward(sent, client.stream))
        return found

    def _rescale_tied(self, client: Client, factor: float) -> None:
        """Scale the server's gradients of a device's tied weights as those of its smashed data."""
        for weight in self.tied_of(client).values():
            if weight.grad is not None:
                weight.grad *= factor

    def _own_loss(self, result: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """Return the mean loss of what has been sent, without what stands beside it."""
        return self.criterion(result.detach(), torch.cat(list(targets)))

    def _note(
        self,
        loss: Tensor,
        result: Tensor,
        targets: Tensor,
        sizes: Sequence[int],
        group: Sequence[Client],
        tally: Round,
    ) -> None:
        """Count the cluster's loss and that of each device; name the first that is not finite."""
        if len(group) == 1:
            self.note_loss(loss, sizes[0], group[0], tally)
            return
        each = list(sizes)
        parts, own_targets = torch.split(result.detach(), each), torch.split(targets, each)
        is_finite = bool(torch.isfinite(loss.detach()))
        for client, part, target in zip(group, parts, own_targets, strict=True):
            own = self.criterion(part, target)
            if not is_finite or bool(torch.isfinite(own)):  # none where no target of it counts
                tally.note_client(client.name, finite_loss(own, client), len(target))
        tally.add(finite_loss(loss, group[0]), sum(sizes))
