"""Many hostile connections to a port, one after the other; run as a script of its own.

Arguments: port, how many, seconds between two. It ends early when nobody listens any more, and
prints how many connections it has made.
"""

import contextlib
import os
import random
import socket
import sys
import time
from collections import deque

GREETING = b"splitopt-wire/2\n"
AT_ONCE = 400  # so many are held open


def say(sock, number):
    """Do one of several rude things."""
    match number % 8:
        case 0:  # nothing at all: half open
            return
        case 1:
            sock.sendall(random.Random(number).randbytes(300))
        case 2:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        case 3:  # a wrong proof
            sock.sendall(GREETING + os.urandom(32))
            sock.settimeout(1.0)
            sock.recv(100)
            sock.sendall(os.urandom(32))
        case 4:  # slow: a byte now, and nothing more but by `nag`
            sock.sendall(GREETING[:1])
        case 5:  # a frame of 2^63 bytes where the proof is due
            sock.sendall(GREETING + os.urandom(32) + b"SPLF" + b"\xff" * 4 + b"\0" * 7 + b"\x80")
        case 6:  # half open behind the greeting
            sock.sendall(GREETING + os.urandom(32))
        case 7:  # TLS, or what begins like it
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(64))


def nag(held):
    """Send one more byte on some connections that are held open."""
    for sock in list(held)[::50]:
        with contextlib.suppress(OSError):
            sock.settimeout(0.05)
            sock.sendall(b"s")


def main(port, count, pause_s):
    held, made = deque(), 0
    while made < count:
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        except ConnectionRefusedError:
            break
        except OSError:  # such as a full queue of those who wait to be accepted
            continue
        with contextlib.suppress(OSError):
            say(sock, made)
        made += 1
        held.append(sock)
        if len(held) > AT_ONCE:
            held.popleft().close()
        if made % 20 == 0:
            nag(held)
        time.sleep(pause_s)
    print(made, flush=True)
    sys.stdin.read()  # until it is told to go, all that it holds stays open


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
