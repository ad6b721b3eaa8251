"""Network namespaces: an interface of its own for each process, with links that `tc` shapes.

Where the user may (root on Linux), every process gets a namespace with one interface, all of them
on a bridge in a namespace of its own. Nothing of it touches the interfaces of the machine, and
nothing leaves it. A class of `htb` for each pair of a sender and a receiver holds what goes from
one to the other at the plan's rate, TCP's and IP's headers not counted; pure acknowledgements go
ahead of it. Propagation delays stay with the processes.

Names begin with ``splitopt-`` and the process that made them, so that what a run that was killed
has left behind is found, and removed, by the next one.
"""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType

from splitopt.errors import CapabilityError
from splitopt.training.wire.transport.links import PACKET, PAYLOAD, segments_at_once

PREFIX = "splitopt-"
PLACES = Path("/run/netns")

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_FREE = "40gbit"
_NUMBERS = count()


class Namespaces:
    """One namespace for each rank of a run, as a context.

    Parameters
    ----------
    ranks
        How many there are.
    rates
        (sender, receiver), as ranks -> byte/s of the payload; pairs that are not there are not
        shaped.

    Raises
    ------
    CapabilityError
        On entering: this machine or this user cannot; the message says why.
    """

    def __init__(self, ranks: int, rates: Mapping[tuple[int, int], float]) -> None:
        self.ranks, self.rates = ranks, dict(rates)
        self.name = f"{PREFIX}{os.getpid()}-{_born(os.getpid())}-{next(_NUMBERS)}-"

    def address(self, rank: int) -> str:
        """Return the address of a rank, which nothing outside can reach."""
        return f"10.213.{(rank + 1) // 250}.{(rank + 1) % 250 + 1}"

    def path(self, rank: int) -> Path:
        """Return the file by which a process enters the namespace of a rank, see `enter`."""
        return PLACES / f"{self.name}{rank}"

    def __enter__(self) -> Namespaces:
        check_permitted()
        remove_left_behind()
        try:
            self._build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove them all; the interfaces go with them."""
        for name in _names(self.name):
            _run("ip", "netns", "del", name, check=False)

    def _build(self) -> None:
        hub = f"{self.name}hub"
        _run("ip", "netns", "add", hub)
        _run("ip", "-n", hub, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", hub, "link", "set", "bridge", "up")
        for rank in range(self.ranks):
            own = f"{self.name}{rank}"
            _run("ip", "netns", "add", own)
            link = ("link", "add", "eth0", "netns", own)
            _run("ip", *link, "type", "veth", "peer", "name", f"port{rank}", "netns", hub)
            _run("ip", "-n", hub, "link", "set", f"port{rank}", "master", "bridge", "up")
            _run("ip", "-n", own, "addr", "add", f"{self.address(rank)}/16", "dev", "eth0")
            _run("ip", "-n", own, "link", "set", "lo", "up")
            self._shape(rank, own)
            _run("ip", "-n", own, "link", "set", "eth0", "up")

    def _shape(self, rank: int, own: str) -> None:
        """Hold what a rank sends to each of the others to its rate."""
        rates = {
            receiver: rate
            for (sender, receiver), rate in self.rates.items()
            if sender == rank and rate < math.inf
        }
        if not rates:
            return
        # The kernel may hand over several segments at once, but never longer than a burst lasts.
        segments = segments_at_once(min(rates.values()))
        _run("ip", "-n", own, "link", "set", "eth0", "gso_max_segs", str(segments))
        shape = ("tc", "-n", own)
        _run(*shape, "qdisc", "add", "dev", "eth0", "root", "handle", "1:", "htb", "default", "1")
        _run(*shape, "class", "add", *_class(1, _FREE, "1mb"))
        sort = (*shape, "filter", "add", "dev", "eth0", "parent", "1:", "protocol", "ip")
        # TCP without options or payload beyond 63 bytes: an acknowledgement and nothing else.
        is_tcp = ("match", "ip", "protocol", "6", "0xff")
        is_short = ("match", "u16", "0x0000", "0xffc0", "at", "2")
        _run(*sort, "prio", "1", "u32", *is_tcp, *is_short, "flowid", "1:1")
        for number, (receiver, rate) in enumerate(sorted(rates.items()), start=2):
            bits = f"{max(8, round(8 * rate * PACKET / PAYLOAD))}bit"
            burst = str(PACKET * segments_at_once(rate))
            _run(*shape, "class", "add", *_class(number, bits, burst))
            to = ("match", "ip", "dst", f"{self.address(receiver)}/32")
            _run(*sort, "prio", "2", "u32", *to, "flowid", f"1:{number:x}")


def enter(path: str | Path) -> None:
    """Put this thread, and what it starts from now on, into a namespace."""
    handle = os.open(path, os.O_RDONLY)
    try:
        _set_network(handle)
    finally:
        os.close(handle)


@contextmanager
def inside(path: str | Path) -> Iterator[None]:
    """Have this thread in a namespace meanwhile; sockets that it opens stay in there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(path)
        try:
            yield
        finally:
            _set_network(home)
    finally:
        os.close(home)


def check_permitted() -> None:
    """Raise `CapabilityError` in one sentence where namespaces cannot be made."""
    if sys.platform != "linux":
        raise CapabilityError(
            "namespaces: they are a thing of Linux; leave them out, and the processes pace their "
            "links by themselves"
        )
    missing = [tool for tool in ("ip", "tc") if shutil.which(tool) is None]
    if missing:
        raise CapabilityError(
            f"namespaces: need the program {' and '.join(missing)}; install iproute2"
        )
    probe = f"{PREFIX}{os.getpid()}-{_born(os.getpid())}-probe"
    try:
        _run("ip", "netns", "add", probe)
        _run("ip", "-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "two")
        with inside(PLACES / probe):
            pass
        _run("tc", "-n", probe, "qdisc", "add", "dev", "one", "root", "handle", "1:", "htb")
    except (CapabilityError, OSError) as error:
        raise CapabilityError(
            f"namespaces: this user may not make them here ({_reason(error)}); run as root on a "
            "machine of your own, or leave them out"
        ) from None
    finally:
        _run("ip", "netns", "del", probe, check=False)


def remove_left_behind() -> list[str]:
    """Remove the namespaces of processes that are gone, and give their names."""
    removed = []
    for name in _names(PREFIX):
        process, born, *_ = [*name.removeprefix(PREFIX).split("-"), ""]
        if process.isdecimal() and _born(int(process)) != born:
            _run("ip", "netns", "del", name, check=False)
            removed.append(name)
    return removed


def _names(prefix: str) -> list[str]:
    """Names of the namespaces that begin so."""
    if not PLACES.is_dir():
        return []
    return sorted(path.name for path in PLACES.iterdir() if path.name.startswith(prefix))


def _born(process: int) -> str:
    """Return when a process was started, in ticks since the machine was; empty if there is none."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]  # the 22nd field, the 2nd being a name in brackets


def _class(number: int, rate: str, burst: str) -> tuple[str, ...]:
    place = ("dev", "eth0", "parent", "1:", "classid", f"1:{number:x}", "htb")
    sizes = ("burst", burst, "cburst", burst, "quantum", str(PACKET))
    return (*place, "rate", rate, "ceil", rate, *sizes)


def _run(*words: str, check: bool = True) -> None:
    """Run a program of iproute2."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        if check:
            raise CapabilityError(f"{' '.join(words)}: {error}") from None
        return
    if check and done.returncode:
        raise CapabilityError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")


def _set_network(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, _NEW_NETWORK):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
