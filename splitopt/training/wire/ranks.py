"""Which rank a process is and where rank 0 listens: by arguments, or as torchrun says it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from splitopt.errors import InputError, shown
from splitopt.training.wire.transport.errors import ChannelTimeoutError
from splitopt.training.wire.transport.listener import SAFER, is_loopback
from splitopt.training.wire.transport.tls import LEADER
from splitopt.training.wire.transport.tokens import FILE_VARIABLE, TOKEN_VARIABLE, Token, read_token

if TYPE_CHECKING:
    from splitopt.training.wire.setting import Setting

_STORE_KEY = "splitopt-port"


@dataclass(frozen=True)
class Rank:
    """One process among several that were started one by one.

    Parameters
    ----------
    rank, world_size
        From 0, and how many there are.
    host, port
        Where rank 0 listens.
    has_store
        The port belongs to torchrun's own store, in which rank 0 leaves the port that it listens
        on itself.
    """

    rank: int
    world_size: int
    host: str
    port: int
    has_store: bool = False

    def check(self, parties: Sequence[str]) -> None:
        """See that there are as many ranks as a plan needs.

        Raises
        ------
        InputError
            There are not; the message says how many it needs.
        """
        needed = 1 + len(parties)
        if self.world_size != needed:
            shown = ", ".join(parties) if len(parties) <= 6 else f"{parties[0]}, ..."
            raise InputError.at(
                "world_size",
                f"is {self.world_size}, this plan needs {needed} processes: rank 0 to lead, and "
                f"one each for {shown}",
            )
        if not 0 <= self.rank < self.world_size:
            raise InputError.at(
                "rank", f"is {self.rank}, it must be from 0 to {self.world_size - 1}"
            )

    def check_listening(self, host: str | None) -> None:
        """See that others can connect to rank 0 where it listens; None is the loopback interface.

        Raises
        ------
        InputError
            They are told another address, and it listens on the loopback interface only.
        """
        if host is None and not _is_loopback(self.host):
            raise InputError.at(
                "listen",
                f"rank 0 is to be found at {self.host}, but it listens on the loopback interface "
                "only; give --listen with its address, or 0.0.0.0 for all of them",
            )

    def check_protected(self, setting: Setting, parties: Sequence[str]) -> None:
        """See that what goes to other machines is protected, by a certificate of this rank.

        Parameters
        ----------
        setting
            With the certificate, or with the word that none is wanted.
        parties
            Names of ranks 1, 2, ...

        Raises
        ------
        InputError
            It is not, or the certificate is for another party.
        """
        if setting.tls is not None:
            setting.tls.of_party((LEADER, *parties)[self.rank])
            if LEADER in parties:
                raise InputError.at(
                    "--tls-cert",
                    f"a party of the plan is called {LEADER}, as certificates call rank 0; give "
                    "it another name",
                )
        elif not setting.no_tls:
            if setting.host is not None and _is_elsewhere(setting.host):
                raise InputError.at(
                    "listen", f"{setting.host} can be reached from other machines; {SAFER}"
                )
            if self.rank and _is_elsewhere(self.host):
                raise InputError.at("master", f"rank 0 may be elsewhere, at {self.host}; {SAFER}")

    def publish(self, port: int, timeout_s: float) -> None:
        """Leave the port of rank 0 in torchrun's store, if there is one."""
        if self.has_store:
            with _store(self, timeout_s) as store:
                store.set(_STORE_KEY, str(port))

    def find_port(self, timeout_s: float) -> int:
        """Return the port on which rank 0 listens."""
        if not self.has_store:
            return self.port
        with _store(self, timeout_s) as store:
            return int(store.get(_STORE_KEY))


def read_rank(
    rank: int | None = None,
    world_size: int | None = None,
    master: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Rank | None:
    """Read which rank this process is.

    Parameters
    ----------
    rank, world_size, master
        As arguments; ``master`` is ``HOST:PORT``. Each that is None is taken from the environment:
        RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them.
    environment
        Instead of that of the process.

    Returns
    -------
    None where there is no rank: this process starts all others.

    Raises
    ------
    InputError
        Something is missing or no number.
    """
    known = os.environ if environment is None else environment
    if rank is None:
        if world_size is not None or master is not None:
            raise InputError.at("rank", "is missing; give --rank with --world-size and --master")
        if "RANK" not in known:
            return None
        rank = _number("RANK", known["RANK"])
    if world_size is None:
        world_size = _number("WORLD_SIZE", known.get("WORLD_SIZE"))
    has_store = False
    if master is None:
        host, port = known.get("MASTER_ADDR"), _number("MASTER_PORT", known.get("MASTER_PORT"))
        has_store = known.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        if not host:
            raise InputError.at("MASTER_ADDR", "is not set; give --master HOST:PORT")
    else:
        host, _, text = master.rpartition(":")
        host = host.strip("[]")
        if not (host and text.isascii() and text.isdigit()):
            raise InputError.at("master", f"is {shown(master)}, it must be HOST:PORT")
        port = int(text)
    return Rank(rank, world_size, host, port, has_store)


def shared_token(path: str | os.PathLike[str] | None = None) -> Token:
    """Return the token that processes which were started one by one must share.

    Raises
    ------
    InputError
        There is none.
    """
    found = read_token(None if path is None else os.fspath(path))
    if found is None:
        raise InputError.at(
            "token",
            "is missing, and all processes of a run need the same one; give --token-file, or set "
            f"{TOKEN_VARIABLE} or {FILE_VARIABLE}",
        )
    return found


def _number(name: str, text: str | None) -> int:
    if text is None:
        raise InputError.at(name, "is not set; give --rank, --world-size and --master HOST:PORT")
    if not text.isascii() or not text.isdigit():
        raise InputError.at(name, f"is {shown(text)}, it must be a whole number >= 0")
    return int(text)


def _is_loopback(host: str) -> bool:
    try:
        return is_loopback(str(socket.getaddrinfo(host, None)[0][4][0]))
    except OSError:
        return False


def _is_elsewhere(host: str) -> bool:
    """Report whether other machines can be on the way to a host; unknown ones are for `connect`."""
    try:
        return not is_loopback(str(socket.getaddrinfo(host, None)[0][4][0]))
    except OSError:
        return False


@contextmanager
def _store(rank: Rank, timeout_s: float) -> Iterator[Any]:
    """Open torchrun's store; what it raises is turned into what a run says."""
    from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]

    wait = timedelta(seconds=timeout_s)
    try:
        yield TCPStore(rank.host, rank.port, is_master=False, timeout=wait)
    except DistError as error:
        raise ChannelTimeoutError(
            f"torchrun's store on {rank.host}:{rank.port} does not say where rank 0 listens "
            f"({str(error).splitlines()[0]})"
        ) from None
