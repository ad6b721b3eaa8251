"""What schemes with one server part for all devices share over connections."""

from __future__ import annotations

from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.shared_server import SharedServer
from splitopt.training.wire.own_parts import copy_of
from splitopt.training.wire.star.server import Server


class SharedPart(Server):
    """Rank 0, whose server part learns from all devices."""

    scheme: SharedServer

    def copy(self, n: int) -> Copy:
        """Return the client's copy of the device's part."""
        return copy_of(self.scheme, n)
