"""The protocol with every party in a thread of its own and real connections between them."""

from __future__ import annotations

import threading

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cryptography", reason="needs the extra 'tls'")

from splitopt.consensus.coordinator import Account, WireChannel, WireRun  # noqa: E402
from splitopt.consensus.launch import agreement_of, party_names  # noqa: E402
from splitopt.consensus.parties import run_device, run_server  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.transport.channel import Channel  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402


class Parties:
    """One run; then it has the account, what the server knows, and what parties raised."""

    def __init__(self):
        self.errors, self.granted, self.seen = {}, None, []

    def follow(self, work, rank, port, token, devices, solver):
        name = party_names(devices)[rank - 1]
        try:
            with join(
                "127.0.0.1", port, token, rank, agreement_of(devices, solver), 20.0
            ) as channel:
                found = work(channel)
                if found is not None:
                    self.granted = found
        except Exception as error:
            self.errors[name] = error

    def run(self, problem, solver, *, device=run_device, account=None, row=lambda n: n):
        """Run all parties; `row` says where a device finds its numbers."""
        token, count = Token.new(), problem.devices
        listener = listen(None, 0, token)
        self.account = account or Account()
        work = [
            (lambda channel, n=n: device(channel, problem, row(n), n, solver)) for n in range(count)
        ]
        work.append(run_server)
        threads = [
            threading.Thread(
                target=self.follow, args=(one, rank, listener.port, token, count, solver)
            )
            for rank, one in enumerate(work, start=1)
        ]
        for thread in threads:
            thread.start()
        try:
            with Crew(listener, party_names(count), agreement_of(count, solver)) as crew:
                crew.wait(120.0)
                self.channel = WireChannel(crew)
                self.channel.exchange_keys()
                self.stopped = WireRun(solver, self.account, self.channel).run()
        finally:
            for thread in threads:
                thread.join(30.0)
        return self


@pytest.fixture
def parties(monkeypatch):
    """Return the parties of a run; what the coordinator's thread receives is written down."""
    found, receive, here = Parties(), Channel.receive, threading.current_thread()

    def received(channel, *given, **named):
        message = receive(channel, *given, **named)
        if threading.current_thread() is here:
            found.seen.append(message)
        return message

    monkeypatch.setattr(Channel, "receive", received)
    return found
