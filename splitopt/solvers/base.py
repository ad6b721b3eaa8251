"""What a solver is, and the run state that the driver hands it.

A solver is a frozen dataclass of hyper-parameters. It never scores itself: it proposes decisions
and proves bounds to a `Search`, which evaluates, checks, keeps the best and says when to stop.
"""

from __future__ import annotations

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np

from splitopt.problems.base import Problem
from splitopt.results import Decision, StopReason, TracePoint, relative_gap

LOG = logging.getLogger("splitopt.solving")
"""Tells every improvement at the level INFO, which is silent unless somebody listens."""

P = TypeVar("P", bound=Problem[Any])
Kind = Literal["exact", "heuristic", "rule", "decentralised"]


class Solver(ABC, Generic[P]):
    """One algorithm for one problem; subclasses are frozen dataclasses of hyper-parameters."""

    name: ClassVar[str]
    problem: ClassVar[str]
    objectives: ClassVar[frozenset[str]]
    kind: ClassVar[Kind]
    requires: ClassVar[tuple[str, ...]] = ()
    """Importable modules that must be installed."""
    apart: ClassVar[tuple[str, ...]] = ()
    """Modules that must be installed and that only a process of its own imports."""
    partial: ClassVar[bool] = False
    """Whether it may have no answer where there is one; its message then says what it lacks."""
    by_group: ClassVar[bool] = False
    """Whether it takes problems whose decisions are about groups of alike things."""
    takes_start: ClassVar[bool | None] = None
    """Whether a decision to start from is of use; None for yes if it is exact or a heuristic."""
    start_use: ClassVar[str] = "the first plan to beat"
    """What becomes of a decision to start from, in words."""
    takes_prices: ClassVar[bool] = False
    """Whether it uses prices to start from: ``search.prices``."""
    prices_use: ClassVar[str] = "where the relaxation starts"
    """What becomes of prices to start from, in words, if it takes them."""
    robust: ClassVar[bool] = False
    """Whether it takes problems whose objective is a worst case over slow devices or a quorum."""
    removed: ClassVar[Mapping[str, str]] = {}
    """Options that were there once -> what to do instead."""

    @abstractmethod
    def run(self, problem: P, search: Search) -> StopReason:
        """Work on `problem` until done or until ``search.stop()`` gives a reason; return why."""

    @classmethod
    def can_start(cls) -> bool:
        """Report whether a decision to start from is of use.

        A rule, or a published protocol, gives what it prescribes, whatever is known beside it.
        """
        if cls.takes_start is None:
            return cls.kind in ("exact", "heuristic")
        return cls.takes_start

    def begin(self, search: Search) -> None:
        """Offer the decision to start from, as it is and with the rest of it made best.

        So it is what a run gives that is stopped, or that finds no better, and no run is worse for
        it. Override this where it must not be the answer merely because it comes first.
        """
        if search.start is not None:
            for decision in (search.problem.revived(search.start), search.start):
                search.propose(decision)
            if search.best is None:
                broken = ", ".join(f"{name} by {by:.3g}" for name, by in search.rejected.items())
                search.message = f"the start is not feasible here ({broken}): it is no plan to beat"
            search.rejected.clear()  # what the caller's decision violates is no news of this run

    def load(self, problem: P) -> None:
        """Load and compile what a run on this problem needs; called before the clock starts."""

    def load_warm(self, problem: P) -> None:
        """Load and compile what only a run with a start or prices needs, before the clock."""

    def refusal(self, problem: P) -> str | None:  # noqa: ARG002 - for subclasses to use
        """Return why this solver cannot take this very problem (size, missing data), or None."""
        return None

    def licence(self) -> str | None:
        """Return why there is no licence to run this solver, or None when there is one."""
        return None

    def options(self) -> dict[str, Any]:
        """Return the hyper-parameters as plain data."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class Progress:
    """What a callback sees after every improvement."""

    time_s: float
    objective: float
    bound: float
    iterations: int

    @property
    def gap(self) -> float:
        """Relative gap so far, see `splitopt.results.relative_gap`."""
        return relative_gap(self.objective, self.bound)


Callback = Callable[[Progress], object]


@dataclass
class Search:
    """The state of one run: clock, random numbers, incumbent, bound and trace.

    The driver makes one per call of ``solve``; a solver may use the public fields and methods.
    ``message`` is for what a user should know about the answer beside its numbers.
    """

    problem: Problem[Any]
    time_limit_s: float | None
    rel_gap: float
    seed: int
    callback: Callback | None = None
    start: Decision | None = None
    """A decision of the problem to start from, which may violate its constraints."""
    prices: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None
    """Shape (R,): prices to start from, one for each of ``problem.priced``."""
    best: Decision | None = None
    objective: float = math.inf
    bound: float = -math.inf
    iterations: int = 0
    message: str | None = None
    rejected: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    trace: list[TracePoint] = field(default_factory=list)
    build_s: float = 0.0
    _start: float = field(default_factory=time.perf_counter)
    _asked_to_stop: bool = False
    callback_error: Exception | None = None
    """What the callback raised. The driver raises it when the solver has ended, however it ended:
    libraries in C swallow what is raised inside them."""

    @cached_property
    def rng(self) -> np.random.Generator:
        """The random numbers of the run, by its seed; made when they are first asked for."""
        return np.random.default_rng(self.seed)

    @property
    def asked_to_stop(self) -> bool:
        """Whether the callback asked to stop."""
        return self._asked_to_stop

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._start

    @property
    def remaining_s(self) -> float:
        """Seconds left, infinite without a time limit, never negative."""
        if self.time_limit_s is None:
            return math.inf
        return max(0.0, self.time_limit_s - self.elapsed_s)

    @property
    def gap(self) -> float:
        """Relative gap between the best objective and the bound so far."""
        return relative_gap(self.objective, self.bound)

    def propose(self, decision: Decision) -> float:
        """Offer a decision; return its objective, infinite if it is not feasible.

        The problem itself evaluates and checks it. A decision that violates something is not
        kept; what it violated is remembered for the message of a run that finds nothing.
        """
        decision = self.problem.lift(decision)
        violated = self.problem.violations(decision)
        if violated:
            if self.best is None:
                self.rejected = violated
            return math.inf
        value = self.problem.evaluate(decision)
        if value < self.objective:
            self.best, self.objective = decision, value
            self._record()
        return value

    def prove(self, bound: float) -> None:
        """Report a valid lower bound; weaker ones than the best so far are ignored."""
        if bound > self.bound and not math.isnan(bound):
            self.bound = bound
            self._record()

    def stop(self) -> StopReason | None:
        """Return the reason to stop now, if any: the gap is closed, time is up, or asked to."""
        if self.gap <= self.rel_gap:
            return "gap"
        if self._asked_to_stop:
            return "interrupted"
        if self.remaining_s <= 0:
            return "time"
        return None

    def is_over(self) -> bool:
        """Report whether there is a reason to stop now."""
        return self.stop() is not None

    @contextmanager
    def building(self) -> Iterator[None]:
        """Count the time inside as building a model rather than solving it."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.build_s += time.perf_counter() - begin

    def _record(self) -> None:
        now = self.elapsed_s
        self.trace.append(TracePoint(now, self.objective, self.bound))
        LOG.info(
            "%s: objective %.10g, bound %.10g, gap %.3g after %.2f s",
            *(self.problem.name, self.objective, self.bound, self.gap, now),
        )
        if self.callback is None or self.callback_error is not None:
            return
        progress = Progress(now, self.objective, self.bound, self.iterations)
        try:
            self._asked_to_stop |= self.callback(progress) is True
        except Exception as error:
            self.callback_error, self._asked_to_stop = error, True
            raise
