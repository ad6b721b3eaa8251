"""Batches over a socket of their own, where a Flower message for each would take seconds.

A frame is the length of its head (4 bytes), the head in JSON, the tensors' bytes one after the
other, and an HMAC-SHA256 of all that with the frame's number and direction. The key follows from
the token of a round, which comes in a Flower message and is never sent here, and from what both
sides draw: who lacks the token is turned away, and what was changed on the way is refused. What is
sent is not hidden; that is up to the network.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

MOST_BYTES = 1 << 31
DRAWN = 32
HANDSHAKE_S = 30.0
KINDS = {name: np.dtype(name) for name in ("float32", "float64", "int64")}


class Line:
    """One end of a connection; both ends count the frames of each direction."""

    def __init__(self, link: socket.socket, side: bytes, check: Callable[[], None]) -> None:
        self.link, self.side, self.check = link, side, check
        self.other = b"C" if side == b"S" else b"S"
        self.numbers = {b"C": 0, b"S": 0}
        self.key = b""
        link.settimeout(2.0)  # of a wait, after which `check` says whether to go on
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def close(self) -> None:
        """End the connection."""
        self.link.close()

    def send(self, tensors: dict[str, Tensor]) -> None:
        """Send tensors by their names."""
        arrays = {name: value.detach().contiguous().numpy() for name, value in tensors.items()}
        about = [[name, str(one.dtype), list(one.shape)] for name, one in arrays.items()]
        head = json.dumps(about).encode()
        sizes = struct.pack("!I", len(head))
        body = b"".join([sizes, head, *(array.tobytes() for array in arrays.values())])
        self._write(body + self._mac(self.side, body))

    def receive(self) -> dict[str, Tensor]:
        """Return the tensors of the next frame.

        Raises
        ------
        ConnectionError
            The other end has closed, or the frame is not what it sent.
        """
        length = self._read(4)
        head = self._read(_below(struct.unpack("!I", length)[0], 1 << 16))
        try:
            about = [
                (str(name), KINDS[kind], list(shape)) for name, kind, shape in json.loads(head)
            ]
            sizes = [kind.itemsize * int(np.prod(shape)) for _, kind, shape in about]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise ConnectionError("a batch was changed on its way") from error
        rest = self._read(_below(sum(sizes), MOST_BYTES))
        if not hmac.compare_digest(self._read(32), self._mac(self.other, length + head + rest)):
            raise ConnectionError("a batch was changed on its way")
        found, at = {}, 0
        for (name, kind, shape), size in zip(about, sizes, strict=True):
            array = np.frombuffer(rest[at : at + size], dtype=kind).reshape(shape)
            found[name], at = torch.from_numpy(array.copy()), at + size
        return found

    def agree(self, token: bytes, place: int | None) -> int:
        """Prove to each other who knows the token; return the client's place, which it states."""
        own = secrets.token_bytes(DRAWN)
        said = struct.pack("!I", 0 if place is None else place)
        self._write(own + said)
        read = self._read(DRAWN + 4)
        theirs, stated = read[:DRAWN], read[DRAWN:]
        first, second = (own, theirs) if self.side == b"S" else (theirs, own)
        client = said if self.side == b"C" else stated
        self.key = hmac.digest(token, first + second + client, hashlib.sha256)
        self._write(hmac.digest(self.key, self.side, hashlib.sha256))
        if not hmac.compare_digest(self._read(32), hmac.digest(self.key, self.other, "sha256")):
            raise ConnectionError("the other end does not know the token of this round")
        return int(struct.unpack("!I", client)[0])

    def _mac(self, side: bytes, body: bytes) -> bytes:
        number = self.numbers[side]
        self.numbers[side] += 1
        return hmac.digest(self.key, side + struct.pack("!Q", number) + body, hashlib.sha256)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.link.send(view) :]
            except TimeoutError:
                self.check()

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.link.recv(min(size - len(parts), 1 << 20))
            except TimeoutError:
                self.check()
                continue
            if not part:
                raise ConnectionError("the other end has closed the connection")
            parts += part
        return bytes(parts)


def _patience(seconds: float) -> Callable[[], None]:
    """Return a check that gives up after some time."""
    end = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > end:
            raise ConnectionError(f"the other end has not said who it is in {seconds:g} s")

    return check


def _below(size: int, most: int) -> int:
    if size > most:
        raise ConnectionError(f"a frame of {size} bytes, at most {most} are read")
    return int(size)


def connected(host: str, port: int, token: bytes, place: int) -> Line:
    """Return the client's end of a connection to the server of a round."""
    line = Line(socket.create_connection((host, port), timeout=60.0), b"C", lambda: None)
    try:
        line.agree(token, place)
    except BaseException:
        line.close()
        raise
    return line


class Listener:
    """The server's door, open for a whole run."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_server((host, port))
        self.socket.settimeout(1.0)
        self.port = int(self.socket.getsockname()[1])

    def close(self) -> None:
        """Accept nobody any more."""
        self.socket.close()

    def lines(
        self, token: bytes, places: Iterable[int], check: Callable[[], None]
    ) -> dict[int, Line]:
        """Return a line for each of these clients, once all have come.

        `check` is called while nothing happens, and raises to give up.
        """
        wanted, found = set(places), dict[int, Line]()
        while wanted - set(found):
            try:
                link, _ = self.socket.accept()
            except TimeoutError:
                check()
                continue
            line = Line(link, b"S", _patience(HANDSHAKE_S))
            try:
                place = line.agree(token, None)
            except OSError:  # somebody else
                line.close()
                continue
            line.check = check
            if place in wanted and place not in found:
                found[place] = line
            else:
                line.close()
        return found
