"""Split learning one device after the other (Gupta and Raskar 2018), and SplitFedV2."""

from __future__ import annotations

from typing import ClassVar

from splitopt.training.schemes.clustered import Clustered
from splitopt.training.schemes.shared_server import SharedServer
from splitopt.training.schemes.tally import Round


class Vanilla(Clustered):
    """The device part goes from device to device: CPSL with clusters of one."""

    name: ClassVar[str] = "vanilla"

    def prepare(self) -> None:
        """Cut the model, and put every client into a cluster of its own."""
        super().prepare()
        self.cluster([[index] for index in range(len(self.clients))])


class SplitFedV2(SharedServer):
    """SplitFedV2 (Thapa et al. 2022, section 3): one server part serves clients in turn.

    Devices start from the same weights and are averaged at the end of the round, the server's part
    is updated after every client's batch and never averaged.
    """

    name: ClassVar[str] = "splitfed_v2"

    def round(self, number: int) -> Round:
        """Serve every client's local batches, client by client, then average the device parts."""
        tally = Round()
        self.start_round()
        self.hand_out(self.clients, tally)
        for client in self.order(number):
            chain = [self.device(client), self.server]
            for batch in client.batches.take(self.steps(client)):
                self.train_batch(chain, batch, client, tally)
        self.collect(self.clients, tally)
        return tally
