"""One server part that learns from all clients; devices train copies of the first part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.training.data.named import Inputs
from splitopt.training.model_parts.averaging import average, copy_state, load_state
from splitopt.training.model_parts.copies import Copy
from splitopt.training.model_parts.parts import Part
from splitopt.training.program import Takes
from splitopt.training.schemes.base import Client, Scheme
from splitopt.training.schemes.tally import Round


class SharedServer(Scheme):
    """What vanilla split learning, SplitFedV2 and CPSL have in common.

    The server's part is that of the common model itself; every client has a copy of the device's
    part, which begins from the common one and is averaged into it. A tied weight is one of the
    device's part, of which the server holds a copy for every device that it serves: its part
    computes with the copy of the device whose smashed data it works on.
    """

    takes: ClassVar[Takes] = "shared"

    def prepare(self) -> None:
        """Cut the common model, and copy its device part for every client."""
        cuts = {client.cuts for client in self.clients}
        if len(cuts) != 1 or len(next(iter(cuts))) != 1:
            raise InputError(
                f"cuts: {self.name} needs one cut that all clients share; splitfed_v1 takes a cut "
                "for every client"
            )
        self.common = Copy.of(
            self.model,
            next(iter(cuts)),
            self.roles,
            self.split,
            self.options,
            shared=True,
            about=self.about,
        )
        first = self.common.parts[0].module
        self._copies = {
            client.name: Copy.of(
                first, (), ("device",), self.split, self.options, about=self.about, is_part=True
            )
            for client in self.clients
        }
        for own in self._copies.values():
            own.exchanged = self.common.exchanged
        self._tied = self._tied_names()

    def _tied_names(self) -> dict[str, str]:
        """Return how the server's part calls tied weights: name there -> name on the devices."""
        ids = {id(weight): name for name, weight in self.common.tied().items()}
        named = self.server.module.named_parameters()
        return {name: ids[id(weight)] for name, weight in named if id(weight) in ids}

    def tied_of(self, client: Client) -> dict[str, nn.Parameter]:
        """Return the copies of a device's tied weights, as the server's part calls them."""
        own = self._copies[client.name].tied()
        return {name: own[there] for name, there in self._tied.items()}

    def train_batch(
        self, parts: Sequence[Part], batch: tuple[Inputs, Tensor], client: Client, tally: Round
    ) -> None:
        """One step of a device and the server, which hold a copy of its tied weights each."""
        self.server.instead = self.tied_of(client)
        super().train_batch(parts, batch, client, tally)

    def note_exchanged(self, client: Client, steps: int, tally: Round) -> None:
        """Count the gradients of tied weights of a client that has made so many steps."""
        self.note_tied(self._copies[client.name], steps, tally.traffic)

    def copies(self) -> list[Copy]:
        """Return the common model, and the device part of each client."""
        return [self.common, *(self._copies[client.name] for client in self.clients)]

    @property
    def server(self) -> Part:
        """The part that learns from everybody."""
        return self.common.parts[1]

    def device(self, client: Client) -> Part:
        """Return the client's own first part."""
        return self._copies[client.name].parts[0]

    def hand_out(self, clients: Sequence[Client], tally: Round) -> None:
        """Copy the common device part to the clients."""
        begin = copy_state(self.common.parts[0].module)
        if self.options.optimizer_state == "average":
            self.average_moments([self._copies[client.name] for client in clients], clients)
        copies = [self._copies[client.name] for client in clients]
        for own in copies:
            own.load(begin, self.options)
        self.note_model(copies, tally, down=True)

    def collect(self, clients: Sequence[Client], tally: Round) -> None:
        """Average the clients' device parts into the common one."""
        copies = [self._copies[client.name] for client in clients]
        weights = [self.weight(client) for client in clients]
        mean = average([own.changed() for own in copies], weights)
        load_state(self.common.parts[0].module, mean)
        self.note_model(copies, tally, down=False)

    def start_round(self) -> None:
        """Begin the server's optimizer anew, if the options say so."""
        if self.options.optimizer_state == "reset":
            self.server.reset_optimizer()
