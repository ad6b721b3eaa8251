"""Which tests of a run are left out: cases beyond a number, and those for which no time is left."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import pytest


def add_options(parser: pytest.Parser) -> None:
    """Add the options that leave tests out."""
    group = parser.getgroup("splitopt")
    group.addoption(
        "--cases",
        type=int,
        metavar="N",
        help="of each slow test without the mark every_case run N of its cases, evenly spread",
    )
    group.addoption(
        "--within",
        type=float,
        metavar="SECONDS",
        help="skip the tests that have not begun by then, so that a run on a slow host ends",
    )


def spread(cases: Sequence[str], most: int) -> list[str]:
    """Return so many of the cases, evenly spread over all of them, the first among them."""
    if len(cases) <= most:
        return list(cases)
    return [cases[n * len(cases) // most] for n in range(most)]


def left_out(items: Iterable[pytest.Item], most: int) -> set[str]:
    """Return the identifiers of the cases that are not run when each test has so many at most."""
    cases: dict[str, list[str]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("every_case"):
            cases[item.nodeid.partition("[")[0]].append(item.nodeid)
    return {one for found in cases.values() for one in set(found).difference(spread(found, most))}


class Limits:
    """Leaves tests out of a run as its options say.

    Parameters
    ----------
    cases
        Of each slow test at most; all of them if None.
    within_s
        After so many seconds no test begins; no limit if None.
    """

    def __init__(self, cases: int | None, within_s: float | None) -> None:
        self.cases, self.within_s = cases, within_s
        self._begin_s = time.monotonic()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Deselect the cases beyond those that are wanted."""
        if self.cases is None:
            return
        out = left_out(items, self.cases)
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in out])
        items[:] = [item for item in items if item.nodeid not in out]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Skip a test for which no time is left."""
        if self.within_s is not None and time.monotonic() - self._begin_s > self.within_s:
            pytest.skip(f"not reached within {self.within_s:g} s")
