"""The rounds of a training: train, test, keep time, write it down, and know when to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol

from torch import Tensor

from splitopt.errors import SplitoptError
from splitopt.timeline import Timeline
from splitopt.training.by_client import ClientRow
from splitopt.training.history import History, RoundRow
from splitopt.training.model_parts.averaging import copy_state, load_state
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.preparing.private import plan_noise, spent
from splitopt.training.preparing.setup import set_groups
from splitopt.training.program import Program
from splitopt.training.rounds.clock import RoundTime, VirtualClock
from splitopt.training.rounds.defences import noise_of
from splitopt.training.rounds.evaluate import check_finite
from splitopt.training.rounds.replanning import Replanning, replan_identity
from splitopt.training.rounds.testing import ElsewhereTests, RoundTests, SmashedTests
from splitopt.training.rounds.turn_tests import CallersError, TurnCallback, TurnTests
from splitopt.training.saving.keeper import Keeper
from splitopt.training.schedule import Schedule
from splitopt.training.schemes import Round, Scheme, TrainingError
from splitopt.training.schemes.naming import is_own
from splitopt.training.tasks import Task
from splitopt.training.two_servers import received
from splitopt.user_code import reason

Stopped = Literal["rounds", "target", "patience", "callback", "interrupted"]
DoRound = Callable[[int], Round]
Callback = Callable[[RoundRow, int], object]


class Elsewhere(Protocol):
    """Who trains rounds whose plan follows, where that is not this process alone."""

    def follow(self, program: Program) -> None:
        """Begin a round with its cuts, shares and pace."""

    def measured(self) -> Timeline:
        """Return what the tasks of the last round took, in planned seconds."""


def run_rounds(
    prepared: Prepared,
    schedule: Schedule,
    *,
    do_round: DoRound | None = None,
    callback: Callback | None = None,
    smashed: SmashedTests | None = None,
    elsewhere: ElsewhereTests | None = None,
    turn_callback: TurnCallback | None = None,
    following: Elsewhere | None = None,
) -> tuple[History, Stopped]:
    """Train round by round until something says stop.

    Parameters
    ----------
    prepared
        What is trained; its scheme's model holds the result.
    schedule
        How long.
    do_round
        Trains one round (0, 1, ...) and leaves scheme and model as the scheme's own method would;
        by default that method.
    callback
        Called after every round with its row and the number of rounds that were planned; the run
        ends where it returns True.
    smashed
        Gives the smashed test data, where a fed server is a party of its own; see `RoundTests`.
    elsewhere
        Has the common model tested by the party that has the test data; see `RoundTests`.
    turn_callback
        Called after every test after a turn with its row and the number of the round, from 1.
    following
        Is told of every round's program before it, where rounds have plans or rates of their own,
        and says what the tasks took; by default they take what is simulated.

    Returns
    -------
    The rounds, those of a resumed run included, and why they ended. After an interruption (Ctrl-C)
    the model is that of the last whole round.

    Raises
    ------
    InputError
        The checkpoint cannot be read, written, or is of another run.
    TrainingError
        A loss or a weight is not a finite number; the message names round and client, and
        ``history`` has the rounds before.
    """
    rounds = prepared.program.rounds if schedule.rounds is None else schedule.rounds
    planned = plan_noise(prepared.scheme, rounds)
    identity = {**prepared.identity, **planned}
    identity |= replan_identity(schedule, prepared.identity["seed"])
    prepared = replace(prepared, identity=identity, drawn=_drawn(prepared))
    tests = RoundTests(prepared, schedule, smashed, elsewhere)
    turns = TurnTests(prepared, schedule, turn_callback)
    keeper = Keeper(prepared, schedule.checkpoint, schedule.checkpoint_every, schedule.resume)
    try:
        act = do_round or _guarded(prepared.scheme)
        one = _OneRound(prepared, schedule, (tests, turns), act, following)
        return _run_rounds(one, schedule, keeper, prepared, callback)
    finally:
        prepared.scheme.after_turn = None
        keeper.close()


def _run_rounds(
    one: _OneRound,
    schedule: Schedule,
    keeper: Keeper,
    prepared: Prepared,
    callback: Callback | None,
) -> tuple[History, Stopped]:
    history = keeper.begin()
    rounds, number = one.rounds, -1
    before: dict[str, Tensor] = {}
    try:
        stopped = _stop(history, schedule, rounds, prepared.task)
        while stopped is None:
            before = copy_state(prepared.scheme.model)
            number = len(history)  # after the copy: only with it is there something to undo
            row = one.row(history, before)
            history = history.with_row(row)
            stopped = _stop(history, schedule, rounds, prepared.task)
            keeper.keep(history, last=stopped is not None)
            if callback is not None and callback(row, rounds) is True:
                keeper.end()
                return history, "callback"
    except KeyboardInterrupt:
        if len(history) == number:
            load_state(prepared.scheme.model, before)
            keeper.end()
        elif number >= 0:  # the round is whole, whether or not it was kept
            keeper.keep(history, last=True)
        return history, "interrupted"
    except BaseException:  # also what a callback raises, which is the caller's
        keeper.end()
        raise
    return history, stopped


class _OneRound:
    """Trains a round, tests it if it is one to test, and keeps its time."""

    def __init__(
        self,
        prepared: Prepared,
        schedule: Schedule,
        testing: tuple[RoundTests, TurnTests],
        act: DoRound,
        following: Elsewhere | None = None,
    ) -> None:
        self._scheme, self._program, self._act = prepared.scheme, prepared.program, act
        self._tests, self._turns = testing
        self._every = schedule.evaluate_every
        self.rounds = self._program.rounds if schedule.rounds is None else schedule.rounds
        scheme = self._scheme
        own = None if is_own(type(scheme)) else scheme
        self._clock = VirtualClock(self._program, own, scheme)
        self._follows = Replanning(prepared, schedule) if schedule.has_own_rounds else None
        self._elsewhere = following

    def row(self, history: History, before: Mapping[str, Tensor]) -> RoundRow:
        """Return the row of the round that follows a history.

        Raises
        ------
        TrainingError
            It failed; the model is what it was before, and the error has the history.
        """
        try:
            return self._trained(len(history), history)
        except CallersError as error:
            load_state(self._scheme.model, before)
            raise error.raised from None
        except TrainingError as error:
            load_state(self._scheme.model, before)
            failed = TrainingError(f"round {len(history) + 1}: {error}")
            failed.history = history
            raise failed from error.__cause__

    def _trained(self, number: int, history: History) -> RoundRow:
        scheme, follows = self._scheme, self._follows
        is_tested = number + 1 == self.rounds or (number + 1) % self._every == 0
        self._turns.begin(number, is_tested)
        set_groups(scheme, self._program, number)
        if follows is not None:
            follows.begin(history)
            if self._elsewhere is not None:
                self._elsewhere.follow(follows.program(number))
        scheme.begin_round(number)
        tally = self._act(number)
        check_finite(scheme)
        clock = self._clock.round if follows is None else follows.round
        row = _row(tally, number, history, clock)
        if follows is not None:
            found = None if self._elsewhere is None else self._elsewhere.measured()
            row = replace(row, **follows.told(history, found, row.dropped))
        row = replace(row, epsilon=spent(scheme), pixel_dp=noise_of(scheme))
        row = replace(row, turns=self._turns.taken())
        if is_tested:
            row = self._tests.of(row)
        if scheme.options.fed_server:
            tested = self._tests.received_bytes if row.test_loss is not None else 0
            row = replace(row, received_bytes=received(tally.traffic, tested))
        return row


def _drawn(prepared: Prepared) -> dict[str, Any]:
    """Return how many clients take part in a round and the expected round, where some are drawn."""
    scheme = prepared.scheme
    if scheme.options.client_fraction is None:
        return {}
    count, clients = len(scheme.takes_part(0)), len(scheme.clients)
    expected = VirtualClock(prepared.program, scheme=scheme).expected_s()
    return {"clients": count, "of": clients, "expected_round_s": expected}


def _guarded(scheme: Scheme) -> DoRound:
    """Return the scheme's round, with what the model raises turned into a `TrainingError`."""

    def act(number: int) -> Round:
        try:
            return scheme.round(number)
        except SplitoptError:
            raise
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"the model cannot be trained on ({reason(error)})") from error

    return act if is_own(type(scheme)) else _guarded_as_brought(scheme)


def _guarded_as_brought(scheme: Scheme) -> DoRound:
    """Return the round of a scheme that is not splitopt's own, whose mistakes name it."""

    def act(number: int) -> Round:
        try:
            tally: object = scheme.round(number)
        except SplitoptError:
            raise
        except CallersError:
            raise
        except Exception as error:
            raise TrainingError(f"the scheme {scheme.name} fails ({reason(error)})") from error
        if not isinstance(tally, Round):
            what = type(tally).__name__
            raise TrainingError(f"round of the scheme {scheme.name} gives {what} and no Round")
        return tally

    return act


def _row(
    tally: Round, number: int, history: History, clock: Callable[[int], RoundTime | None]
) -> RoundRow:
    time, before = clock(number), history.clock_s
    return RoundRow(
        round=number + 1,
        loss=tally.loss,
        samples=tally.samples,
        round_s=None if time is None else time.seconds,
        clock_s=None if time is None or before is None else before + time.seconds,
        phases_s={} if time is None else dict(time.phases),
        traffic_bytes=tally.traffic.to_dict(),
        dropped=tally.dropped,
        clients={name: ClientRow(own.loss, own.samples) for name, own in tally.clients.items()},
        groups=tally.groups,
    )


def _stop(history: History, schedule: Schedule, rounds: int, task: Task) -> Stopped | None:
    """Return why a training is over, None if it is not.

    Its rounds alone decide, so that a resumed run stops where it would have without the break.
    """
    target, patience = schedule.target_accuracy, schedule.patience
    if target is not None and history.first_reaching(target) is not None:
        return "target"
    if schedule.target is not None:
        name, value = schedule.target
        tested = [row.metrics[name] for row in history.evaluated if name in row.metrics]
        if any(own == value or task.has_better(name, own, value) for own in tested):
            return "target"
    best = history.best
    if patience is not None and best is not None:
        since = [row for row in history.evaluated if row.round > best.round]
        if len(since) >= patience:
            return "patience"
    return "rounds" if len(history) >= rounds else None
