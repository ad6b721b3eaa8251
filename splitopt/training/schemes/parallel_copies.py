"""Clients that train copies of the whole model side by side, averaged after every round.

Federated learning, SplitFedV1, DP-MORA and MP-SL are this: where a client's copy is cut, and how
often, changes who computes and what is sent, but not one bit of what is learned.
"""

from __future__ import annotations

from splitopt.training.averaging import average, copy_state, load_state
from splitopt.training.copies import Copy
from splitopt.training.schemes.base import Round, Scheme


class ParallelCopies(Scheme):
    """Every client has a copy of every part; the round ends with the average of all copies."""

    def prepare(self) -> None:
        """Copy and cut the model for every client."""
        self._copies = {
            client.name: Copy.of(
                self.model, client.cuts, self.roles_of(client), self.split, self.options
            )
            for client in self.clients
        }

    def copies(self) -> list[Copy]:
        """One for each client."""
        return [self._copies[client.name] for client in self.clients]

    def round(self, number: int) -> Round:
        """Local training of every client from the common weights, then their average."""
        tally = Round()
        begin = copy_state(self.model)
        if self.options.optimizer_state == "average":
            self.average_moments(self.copies(), self.clients)
        for client in self.order(number):
            own = self._copies[client.name]
            own.load(begin, self.options)
            for batch in client.batches.take(self.options.steps(client.batches.per_epoch)):
                self.train_batch(own.parts, batch, client, tally)
            size = own.bytes_on("device")
            tally.traffic.model_down += size
            tally.traffic.model_up += size
        weights = [self.weight(client) for client in self.clients]
        load_state(self.model, average([own.state() for own in self.copies()], weights))
        return tally
