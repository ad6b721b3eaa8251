"""SplitFedV2 (Thapa et al. 2022): one server part that learns from all clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from splitopt.training.data.named import Inputs
from splitopt.training.model_parts.averaging import copy_state, load_state
from splitopt.training.options import Order
from splitopt.training.schemes.base import Client
from splitopt.training.schemes.shared_server import SharedServer
from splitopt.training.schemes.tally import Round
from splitopt.training.turns import permuted


class SplitFedV2(SharedServer):
    """SplitFedV2 (Thapa et al. 2022, section 3): one server part serves clients in turn.

    Devices start from the same weights and are averaged at the end of the round, the server's part
    is updated after every client's batch and never averaged. By ``server_order`` of the options it
    serves all batches of a client before those of the next one, as the authors' script does, or a
    batch of every client in turn, as the paper says; clients come in an order that is drawn anew
    for every round, or for every turn.
    """

    name: ClassVar[str] = "splitfed_v2"
    exchanges_tied: ClassVar[bool] = True
    draws_clients: ClassVar[bool] = True
    averages_devices: ClassVar[bool] = True
    has_fed_server: ClassVar[bool] = True
    has_script: ClassVar[bool] = True
    usual_order: ClassVar[Order] = "shuffled"

    def served(self, number: int) -> list[list[int]]:
        """Return who is served in a round, in this order; batch by batch a list for every turn."""
        if self.options.server_order != "batch":
            return super().served(number)
        members = self._chosen(number)
        turns = range(max(self.steps(self.clients[n]) for n in members))
        if not self.is_shuffled:
            return [members for _ in turns]
        return [permuted(members, self.seed, number, turn) for turn in turns]

    def round(self, number: int) -> Round:
        """Serve the local batches of those who take part, then average the device parts."""
        tally, present = Round(), self.takes_part(number)
        self.tested_as = {}
        self.begin(present, tally)
        if self.options.server_order == "batch":
            self._batch_by_batch(number, tally)
        else:
            for client in self.order(number):
                for batch in client.batches.take(self.steps(client)):
                    self._serve(client, batch, tally)
                self._turn_ends(client)
                if self.options.as_published:  # the common device part is still the old one
                    self.tested_as[client.name] = copy_state(self.model)
        self.end(present, tally)
        for client in present:
            self.note_exchanged(client, self.steps(client), tally)
        return tally

    def begin(self, clients: Sequence[Client], tally: Round) -> None:
        """Set the device parts of those who take part in a round to the common one."""
        self.start_round()
        self.hand_out(clients, tally)

    def end(self, clients: Sequence[Client], tally: Round) -> None:
        """Make the average of the device parts of those who finished a round the common one."""
        self.collect(clients, tally)

    def _batch_by_batch(self, number: int, tally: Round) -> None:
        """Serve a batch of every client that has one left, turn by turn."""
        for turn, order in enumerate(self.served(number)):
            for client in (self.clients[n] for n in order):
                if turn < self.steps(client):
                    self._serve(client, client.batches.draw(), tally)

    def _serve(self, client: Client, batch: tuple[Inputs, Tensor], tally: Round) -> None:
        self.train_batch([self.device(client), self.server], batch, client, tally)

    @property
    def has_turns(self) -> bool:
        """Clients have them where all batches of one come before those of the next one."""
        return self.options.server_order != "batch"

    def _turn_ends(self, client: Client) -> None:
        """Show the server's part behind the device part of the client whose turn is over."""
        if self.after_turn is None:
            return
        common = self.common.parts[0].module
        before = copy_state(common)
        load_state(common, copy_state(self.device(client).module))
        self.turn_ends([client])
        load_state(common, before)
