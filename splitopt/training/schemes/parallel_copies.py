"""Clients that train copies of the whole model side by side, averaged after every round.

Federated learning, SplitFedV1, DP-MORA and MP-SL are this: where a client's copy is cut, and how
often, changes who computes and what is sent, but not one bit of what is learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import torch
from torch.func import vmap

from splitopt.errors import InputError
from splitopt.training.codecs.crossing import SideBySide
from splitopt.training.data.named import joined, shapes_of
from splitopt.training.model_parts.averaging import (
    average,
    copy_state,
    load_leading,
    load_state,
)
from splitopt.training.model_parts.batched import Stack, alike, is_count, refuse_unless_possible
from splitopt.training.model_parts.copies import Copy
from splitopt.training.model_parts.parts import (
    backward_chain,
    forward_chain,
)
from splitopt.training.schemes.as_published import State
from splitopt.training.schemes.as_published import joined as joined_state
from splitopt.training.schemes.base import Client, Scheme
from splitopt.training.schemes.client import with_codecs
from splitopt.training.schemes.tally import Round


class ParallelCopies(Scheme):
    """Every client has a copy of every part; the round ends with the average of all copies."""

    can_batch: ClassVar[bool] = True
    takes_ranks: ClassVar[bool] = True
    aggregates_apart: ClassVar[bool] = False
    """Whether device parts can be averaged less often than the rest, see `aggregation_interval`."""

    @cached_property
    def _copies(self) -> dict[str, Copy]:
        """Copy and cut the model for every client, once a round needs it.

        A process that is one client of many has all of them in its scheme, and no use for copies.
        """
        return {client.name: self._copy_for(client) for client in self.clients}

    def _copy_for(self, client: Client) -> Copy:
        return Copy.of(
            self.model,
            client.cuts,
            self.roles_of(client),
            self.split,
            self.options,
            about=self.about,
            rank=client.rank,
        )

    def prepare(self) -> None:
        """See that clients can train together, if they are to."""
        self._stacks: dict[tuple[str, ...], Stack] = {}
        if self.options.aggregation_interval > 1:
            self._refuse_unless_apart()
        if self.options.batched:
            self._refuse_unless_batched()

    def recut(self, cuts: Mapping[str, tuple[int, ...]]) -> None:
        """Cut the copies of clients elsewhere, between rounds; what they learnt stays.

        State and moments go over parameter by parameter.

        Parameters
        ----------
        cuts
            Client -> numbers of layers before each cut.
        """
        for place, client in enumerate(self.clients):
            wanted = cuts[client.name]
            if wanted == client.cuts:
                continue
            old = self._copies[client.name]
            (changed,) = with_codecs([replace(client, cuts=wanted)], self.options, self.split)
            self.clients[place] = changed
            new = self._copy_for(changed)
            load_state(new.model, old.state())
            new.load_moments(old.moments())
            self._copies[client.name] = new
            self._stacks = {key: s for key, s in self._stacks.items() if client.name not in key}

    def copies(self) -> list[Copy]:
        """One for each client."""
        return [self._copies[client.name] for client in self.clients]

    def keep_copies_of(self, clients: Sequence[Client]) -> None:
        """Keep the copies of these clients alone, in a process that serves no others."""
        made = self.__dict__.get("_copies", {})
        self._copies = {
            client.name: made.get(client.name) or self._copy_for(client) for client in clients
        }

    def copy_of(self, client: Client) -> Copy:
        """Return the copy of a client."""
        return self._copies[client.name]

    def round(self, number: int) -> Round:
        """Local training of every client from the common weights, then their average."""
        tally, present = Round(), self.takes_part(number)
        before = copy_state(self.model) if self.options.as_published else {}
        self.begin(present, tally, number)
        for clients in self._groups(self.order(number)):
            if len(clients) > 1:
                self._train_together(clients, tally)
            else:
                self._train_alone(clients[0], tally)
        self.end(present, tally, number)
        if before:
            self._keep_tested(before, self.order(number))
        return tally

    def _keep_tested(self, before: State, order: Sequence[Client]) -> None:
        """Keep the states by which the authors' script tests clients, in the order of service."""
        copies = {client.name: self._copies[client.name] for client in order}
        self.tested_as = {
            name: joined_state(before, own, own.state()) for name, own in copies.items()
        }
        last = order[-1].name  # whose turn is over when all copies are averaged
        self.tested_as[last] = joined_state(before, copies[last], copy_state(self.model))

    def begin(self, clients: Sequence[Client], tally: Round, number: int = 0) -> None:
        """Set the copies of those who take part in a round (0, 1, ...) to the common weights.

        Between two aggregations the device parts go on with what they are.
        """
        copies = [self._copies[client.name] for client in clients]
        if self.options.optimizer_state == "average":
            self.average_moments(copies, clients)
        begin, apart = copy_state(self.model), number % self.options.aggregation_interval
        for own in copies:
            kept = own.names_on("device") if apart else frozenset()
            own.load({k: v for k, v in begin.items() if k not in kept}, self.options)
        if not apart:
            self.note_model(copies, tally, down=True)

    def end(self, clients: Sequence[Client], tally: Round, number: int = 0) -> None:
        """Make the average of the copies of those who finished a round the common weights.

        Between two aggregations the average of the device parts is that of no device: it is what an
        aggregation would give, by which the common model is tested.
        """
        copies = [self._copies[client.name] for client in clients]
        weights = [self.weight(client) for client in clients]
        # what no one present holds (rows of a higher rank than theirs) stays as it is
        load_leading(self.model, average([own.changed() for own in copies], weights))
        if (number + 1) % self.options.aggregation_interval == 0:
            self.note_model(copies, tally, down=False)

    def _train_alone(self, client: Client, tally: Round) -> None:
        own = self._copies[client.name]
        for batch in client.batches.take(self.steps(client)):
            self.train_batch(own.parts, batch, client, tally)
        self.note_tied(own, self.steps(client), tally.traffic)

    def _train_together(self, clients: Sequence[Client], tally: Round) -> None:
        """Train clients that are alike by one stack of their copies."""
        names = tuple(client.name for client in clients)
        if names not in self._stacks:
            copies = [self._copies[name] for name in names]
            self._stacks[names] = Stack(copies, clients[0].cuts, self.split, self.options)
        stack = self._stacks[names]
        crossing = SideBySide([client.crossing for client in clients])
        stack.gather()
        for _ in range(self.steps(clients[0])):
            drawn = [client.batches.draw() for client in clients]
            inputs = joined([own for own, _ in drawn], torch.stack)
            targets = torch.stack([own for _, own in drawn])
            passes = forward_chain(stack.together.parts, inputs, None, crossing)
            losses = vmap(self.criterion)(passes[-1].result, targets)
            for client, loss in zip(clients, losses.detach().cpu(), strict=True):
                self.note_loss(loss, targets.shape[1], client, tally)
            # No loss depends on another's copy.
            gradients = backward_chain(passes, losses.sum(), crossing)
            for part in stack.together.parts:
                part.step()
            self.note_traffic(passes, gradients, targets, clients[0], tally, crossing)
        stack.scatter()
        for client in clients:
            self.note_tied(self._copies[client.name], self.steps(client), tally.traffic)

    def _groups(self, clients: Sequence[Client]) -> list[list[Client]]:
        """Clients that train together: each by itself, or those that are alike, in given order."""
        if not self.options.batched:
            return [[client] for client in clients]
        here = {client.name for client in clients}
        some = [client for client in self.clients if client.name in here]
        groups = alike([self._likeness(client) for client in some], some)
        names = {tuple(client.name for client in group) for group in groups}
        self._stacks = {key: stack for key, stack in self._stacks.items() if key in names}
        return groups

    def _likeness(self, client: Client) -> object:
        """Return what is the same for clients that can be stacked."""
        counts = {
            key: float(value) if is_count(key) else None
            for key, value in self._copies[client.name].moments().items()
        }
        inputs = shapes_of(client.batches.inputs)
        sizes = client.batches.sizes(self.steps(client))
        return client.cuts, client.rank, inputs, sizes, tuple(sorted(counts.items()))

    def _refuse_unless_apart(self) -> None:
        """Reject an aggregation interval where nothing else is averaged in between."""
        interval = self.options.aggregation_interval
        if not self.aggregates_apart:
            raise InputError.at(
                "aggregation_interval",
                f"is {interval}, which is for splitfed_v1, whose server averages its own copies "
                f"in every round, not for {self.name}; leave it out",
            )
        if self.parties_tied():
            raise InputError.at(
                "aggregation_interval",
                f"is {interval}, and devices and server hold copies of a tied weight, which "
                "must stay equal; cut elsewhere, or aggregate in every round",
            )

    def _refuse_unless_batched(self) -> None:
        if all(len(group) == 1 for group in self._groups(self.clients)):
            raise InputError.at(
                "batched",
                "no two clients have the same cuts and batches of the same sizes in a round, as "
                "they have with equal numbers of samples; train them without",
            )
        first = self.clients[0]
        rows = slice(first.batches.size)
        refuse_unless_possible(
            self._copies[first.name].model,
            first.batches.inputs[rows],
            first.batches.targets[rows],
            self.criterion,
        )
