"""A device's process, from its start to the end of the exchange."""

from __future__ import annotations

from splitopt.iotsl.folder import read_samples
from splitopt.iotsl.wire.device import ExchangeDevice
from splitopt.iotsl.wire.job import ExchangeJob
from splitopt.training.wire.compute import one_thread
from splitopt.training.wire.crew import join
from splitopt.training.wire.transport.listener import LOOPBACK
from splitopt.training.wire.transport.tokens import Token


def follow(job: ExchangeJob, rank: int, port: int, token: Token, join_s: float) -> None:
    """Run an exchange as the device of a rank, from 1 on.

    Parameters
    ----------
    job
        What all devices are told.
    rank
        One's own.
    port
        Where the server listens, on this machine.
    token
        That all parties know.
    join_s
        For how long to wait for the server.
    """
    number, name = rank - 1, job.names[rank - 1]
    place = job.folder / "devices" / name
    place.mkdir(parents=True, exist_ok=True)
    own = read_samples(job.folder / "data", [name])[0]
    with one_thread(), join(LOOPBACK, port, token, rank, job.agreement, join_s) as channel:
        ExchangeDevice(
            name,
            number,
            own,
            job.learning[number],
            channel,
            place,
            job.folder / "imputed" / f"{name}.npz",
        ).run()
