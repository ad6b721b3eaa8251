"""Room for those who have connected and not yet proved who they are.

There is no list of friends: on one machine honest ranks and strangers have the same address. What
tells them apart is time, since an honest rank is done within milliseconds and a stranger who wants
to keep the room waits. So whoever comes is let in. When the room is full, whoever has been in it
for longest goes, among those of the address that has most of it: a stranger with one address
drives out only itself and those who share its address.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Generic, TypeVar

Guest = TypeVar("Guest")

MOST = 128
"""So many at a time; each is a thread that waits."""


class Slots(Generic[Guest]):
    """Who is in the room.

    Parameters
    ----------
    most
        So many at a time.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._guests: dict[int, tuple[str, Guest]] = {}  # in the order in which they came
        self._next = 0
        self._lock = threading.Lock()

    def enter(self, address: str, guest: Guest) -> tuple[int, Guest | None]:
        """Admit somebody; return its number, and who has to go for it, if anybody has."""
        with self._lock:
            gone = self._make_room() if len(self._guests) >= self.most else None
            self._next += 1
            self._guests[self._next] = (address, guest)
            return self._next, gone

    def leave(self, number: int) -> bool:
        """Dismiss somebody; report whether it was still in."""
        with self._lock:
            return self._guests.pop(number, None) is not None

    def clear(self) -> tuple[Guest, ...]:
        """Remove everybody, and return them."""
        with self._lock:
            gone = tuple(guest for _, guest in self._guests.values())
            self._guests.clear()
        return gone

    def _make_room(self) -> Guest:
        """Remove the oldest one of the address that has most."""
        held = Counter(address for address, _ in self._guests.values())
        crowd = max(held.values())
        number = next(n for n, (address, _) in self._guests.items() if held[address] == crowd)
        return self._guests.pop(number)[1]
