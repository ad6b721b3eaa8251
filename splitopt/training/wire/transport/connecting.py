"""Connecting to a listener: again and again while it is not there or has no room."""

from __future__ import annotations

import socket
import time

from splitopt.errors import InputError, shown
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import BusyError, ChannelTimeoutError, RefusedError
from splitopt.training.wire.transport.frames import USUAL_LIMITS, Limits
from splitopt.training.wire.transport.handshake import (
    HANDSHAKE_S,
    greet,
    shake_hands,
    takes_refusals,
)
from splitopt.training.wire.transport.lines import Line, TlsLine
from splitopt.training.wire.transport.pacing import pad_until
from splitopt.training.wire.transport.tls import Tls
from splitopt.training.wire.transport.tokens import Token

_RETRY_S, _LONGEST_RETRY_S = 0.1, 1.0


def connect(
    host: str,
    port: int,
    token: Token,
    timeout_s: float = 30.0,
    limits: Limits = USUAL_LIMITS,
    *,
    tls: Tls | None = None,
    party: str | None = None,
) -> Channel:
    """Connect to a listener, and wait for it if it is not there yet, or has no room.

    Parameters
    ----------
    host, port
        Where it listens.
    token
        That both sides have.
    timeout_s
        For how long to try.
    limits
        Of what it may send.
    tls
        One's certificate; None to connect without TLS.
    party
        For whom the listener's certificate must be; anybody of the same authority if None.

    Raises
    ------
    ChannelTimeoutError
        There is no listener within the time.
    RefusedError
        It has another token or certificate, or is none of splitopt; or it had no room in all the
        time, or ended the connection again and again.
    InputError
        There is no such host.
    """
    check_port(port)
    deadline_s, pause_s = time.monotonic() + timeout_s, _RETRY_S
    while True:
        left = max(deadline_s - time.monotonic(), 1e-3)
        try:
            sock = socket.create_connection((host, port), timeout=left)
        except socket.gaierror as error:
            raise InputError.at("host", f"{shown(host)} is not known ({error.strerror})") from None
        except OSError as error:
            if time.monotonic() + _RETRY_S >= deadline_s:
                raise ChannelTimeoutError(
                    f"nothing listens on {host}:{port} after {timeout_s:g} s ({error})"
                ) from None
            pad_until(time.monotonic() + _RETRY_S)
            continue
        until_s = min(deadline_s, time.monotonic() + HANDSHAKE_S)
        try:
            return _introduce(
                sock, token, max(until_s, time.monotonic() + _RETRY_S), limits, tls, party
            )
        except BusyError as error:
            if time.monotonic() + pause_s >= deadline_s:
                raise RefusedError(
                    f"{host}:{port} let nobody in for {timeout_s:g} s: {error}"
                ) from None
        except RefusedError as error:
            raise RefusedError(f"{host}:{port} refused the connection: {error}") from None
        pad_until(time.monotonic() + pause_s)
        pause_s = min(2 * pause_s, _LONGEST_RETRY_S)


def _introduce(
    sock: socket.socket,
    token: Token,
    deadline_s: float,
    limits: Limits,
    tls: Tls | None,
    party: str | None,
) -> Channel:
    """Prove to a listener who one is, and have it do so, too; for errors see `connect`."""
    line = Line(sock) if tls is None else TlsLine(sock, tls.connecting, server_side=False)
    try:
        shake_hands(line, deadline_s, takes_refusals)
        if party is not None and line.name not in (None, party):
            raise RefusedError(
                f"its certificate is for {shown(line.name)}, and {shown(party)} was looked for"
            )
        return Channel(line, greet(line, token, deadline_s), limits)
    except BaseException:
        line.close()
        raise


def check_port(port: int) -> None:
    """Raise `InputError` if a number is no port."""
    if not 0 <= port < 2**16:
        raise InputError.at("port", f"is {port}, it must be between 0 and 65535")
