"""An exchange with a process for each device, all on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from splitopt.iotsl.steps import Setting
from splitopt.iotsl.wire.job import ExchangeJob
from splitopt.iotsl.wire.server import ExchangeServer
from splitopt.storage.temporary import temporary_folder
from splitopt.training.wire.compute import one_thread
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.processes import LOADED, Processes
from splitopt.training.wire.transport.listener import listen
from splitopt.training.wire.transport.tokens import Token


@contextmanager
def exchange(setting: Setting, time_scale: float, join_s: float) -> Iterator[ExchangeServer]:
    """Start the devices, and give the server that they have joined.

    Parameters
    ----------
    setting
        Of the run.
    time_scale
        Seconds of the wall for each planned one of a transfer; 0 for as fast as can be.
    join_s
        For how long to wait for the devices.

    Raises
    ------
    JoinError, ProcessError
        A process did not come up.
    """
    names = setting.names
    job = ExchangeJob(setting.folder.path, tuple(names), tuple(setting.learning))
    setting.folder.place("imputed")
    token = Token.new()
    with (
        one_thread(),
        temporary_folder() as place,
        listen(None, 0, token) as listener,
        Processes(
            job.save(place),
            names,
            listener.port,
            token,
            join_s,
            module="splitopt.iotsl.wire",
            loaded=(*LOADED, "splitopt.iotsl.wire.follow"),
        ) as processes,
        Crew(listener, names, job.agreement) as crew,
    ):
        crew.wait(join_s, processes.check)
        yield ExchangeServer(setting, crew, time_scale)
