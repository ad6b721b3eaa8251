"""Rank 0 among several servers: it serves its own devices, and averages the copies of all."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from splitopt.training.two_servers import SERVER as MAIN
from splitopt.training.wire.addresses import place_of
from splitopt.training.wire.dropping import Dropped, LateError, late_on_failure
from splitopt.training.wire.private import planned_field
from splitopt.training.wire.star.fed.main import MainServer
from splitopt.training.wire.star.several.device import PLACE
from splitopt.training.wire.star.several.links import ServerLink, links_to, read_served
from splitopt.training.wire.star.several.places import members_of, others_of, server_rank
from splitopt.training.wire.star.several.states import common_of, load_after, state_before
from splitopt.training.wire.star.splitfed import Served, SplitFedServer
from splitopt.training.wire.star.timing import SERVER
from splitopt.training.wire.transport.errors import ChannelError

_LOG = logging.getLogger(__name__)

BETWEEN = "between_servers"
"""What the models and states are counted as that servers send each other."""


class FirstServer(SplitFedServer):
    """Rank 0, which is the first of several servers; arguments are those of `SplitFedServer`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        program = self.timing.program
        self._members = {name: members_of(program, name) for name in others_of(program)}
        self._ranks = {
            name: server_rank(program, members[0]) for name, members in self._members.items()
        }
        self._server_of = {n: name for name, own in self._members.items() for n in own}
        self._links: dict[str, ServerLink] = {}
        self._busy: list[ServerLink] = []

    def present(self) -> list[int]:
        """Return the indices of the clients that are connected, and whose servers are."""
        before = self._links
        self._links = links_to(self.crew, self._ranks, before)
        for name, link in before.items():
            if self._links.get(name) is not link:
                self._let_go(link)
        return [n for n in super().present() if n not in self._server_of or self._link(n)]

    def hand_out(self, present: Sequence[int]) -> None:
        """Send the other servers what their devices begin with, and have all begin at once."""
        self._busy, there = [], set(present)
        waiting: list[tuple[ServerLink, list[int]]] = []
        for name, link in self._links.items():
            members = [n for n in self._members[name] if n in there]
            if members:
                self._busy.append(link)
                link.begin_round()
                if self._is_set_up(link):
                    self._send_states(link, members)
                    waiting.append((link, members))
        for link, members in waiting:
            try:
                link.word("ready")
            except LateError as error:  # its devices hear it as well
                _LOG.warning("%s", error)
            else:
                link.send("begin", {"round": self.number, "members": members}, {})

    def serve(self, n: int) -> Served:
        """One client's round, here or at its server."""
        link = self._link(n)
        if link is None:
            return super().serve(n)
        with late_on_failure(self.timing.model_down):
            channel = self._channel(n)
        if link.devices.get(n) is not channel:  # it has joined, or its server has
            self.send(n, PLACE, self.timing.model_down, link.place, {})
            link.devices[n] = channel
        message = link.served(n)
        self._count(BETWEEN, message.tensors)
        with late_on_failure(SERVER):
            losses, traffic = read_served(message)
            load_after(message.tensors, self.scheme.clients[n], self.copy(n))
        return Served(losses, traffic)

    def gather(self) -> None:
        """Add the tasks and the bytes that the other servers have counted."""
        for link in self._busy:
            try:
                over = link.over()
            except LateError:  # each of its devices has been dropped for it
                continue
            for row in over.rows:
                self.recorder.add(*row)
            with self._counting:
                self.sent_bytes.update(over.sent)
                self.received_bytes.setdefault(MAIN, Counter()).update(over.received)

    def drop(self, n: int, phase: str, reason: str) -> Dropped:
        """Go on without a client, which its server lets go as well: it may join again."""
        found, link = super().drop(n, phase, reason), self._link(n)
        if link is not None:
            link.send("drop", {"device": n}, {})
        return found

    def _link(self, n: int) -> ServerLink | None:
        """Return the connection to a client's server; None where that is rank 0, or is gone."""
        return self._links.get(self._server_of.get(n, ""))

    def _is_set_up(self, link: ServerLink) -> bool:
        """Inform a server that has just come how the run is run, and note where it listens."""
        if link.place:
            return True
        try:
            host, port = place_of(link.word("listening").fields, link.channel.peer)
        except LateError as error:
            _LOG.warning("%s", error)
            return False
        except ChannelError as error:
            link.lose(error)
            return False
        link.place = {"host": host, "port": port}
        deadline, fed = asdict(self.deadline), getattr(self, "fed_place", ("", 0))
        told = {"time_scale": float(self.time_scale), "deadline": deadline, "fed": list(fed)}
        link.send("pace", told, {})
        return True

    def _send_states(self, link: ServerLink, members: Sequence[int]) -> None:
        common = common_of(self.scheme.model, self.copy(members[0]), with_fixed=not link.has_common)
        link.send("common", {}, common)
        self._count(BETWEEN, common)
        link.has_common = True
        for n in members:
            client, own = self.scheme.clients[n], self.copy(n)
            state = state_before(client, own, common)
            link.send("state", {"device": n, **planned_field(client)}, state)
            self._count(BETWEEN, state)
        link.send("prepare", {}, {})

    def _let_go(self, link: ServerLink) -> None:
        """Have the devices of a server that is gone join again, once they are started again."""
        _LOG.warning(
            "the server %s is gone; its devices are left out until it and they are started again",
            link.name,
        )
        for n, channel in link.devices.items():
            if self.crew.channel(n + 1) is channel:
                self.crew.drop(n + 1)


class FirstMainServer(FirstServer, MainServer):
    """The same beside a fed server, which has the client parts of all devices."""
