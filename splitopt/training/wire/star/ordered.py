"""What serves one after the other in an order that is known before: a server part, a shared link.

Whoever fails leaves all of its places, so that nobody waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Place(NamedTuple):
    """Something that a member does: for a mini-batch, or None before or after all of them."""

    member: int
    batch: int | None = None


class Ordered:
    """Places in a queue, which threads take in its order and in no other.

    Parameters
    ----------
    places
        All that will be taken, in their order.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = list(places)
        self._changed = threading.Condition()

    def wait(self, place: Place) -> None:
        """Wait until all places in front of one are over."""
        with self._changed:
            self._changed.wait_for(lambda: self._places[0] == place)

    @contextmanager
    def taking(self, place: Place) -> Iterator[None]:
        """Wait for a place, and let the next one go on after the block."""
        self.wait(place)
        try:
            yield
        finally:
            with self._changed:
                self._places.remove(place)
                self._changed.notify_all()

    def leave(self, member: int) -> None:
        """Release all places of a member."""
        with self._changed:
            self._places = [place for place in self._places if place.member != member]
            self._changed.notify_all()

    def wait_for_all(self) -> None:
        """Wait until no place is left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._places)
