"""The rounds of a training: train, test, keep time, write it down, and know when to stop."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from torch import Tensor

from splitopt.errors import InputError, SplitoptError
from splitopt.profiles.tracing.quiet import reason
from splitopt.training import checkpoint
from splitopt.training.averaging import copy_state, load_state
from splitopt.training.checkpoint import Checkpoint
from splitopt.training.clock import VirtualClock
from splitopt.training.evaluate import check_finite, evaluate
from splitopt.training.history import History, RoundRow
from splitopt.training.prepare import Prepared
from splitopt.training.schemes import Round, Scheme, TrainingError
from splitopt.training.setup import set_groups

Stopped = Literal["rounds", "target", "patience", "interrupted"]
DoRound = Callable[[int], Round]
Callback = Callable[[RoundRow, int], object]

_MOMENT = re.compile(r"copy\.\d+\.moments\.")
_ON_CUDA = re.compile(r"client\.\d+\.stream\.cuda_state")
_WALK = re.compile(r"client\.\d+\.batches\.order")
"""What the entries of a scheme's state are, by the beginning of their names."""


@dataclass(frozen=True)
class Schedule:
    """How long to train, and what to do between rounds.

    Parameters
    ----------
    rounds
        How many at most, those of a resumed run included.
    evaluate_every
        Test after every so many rounds, and after the last one.
    target_accuracy
        Stop when a test reaches it, 0 to 1.
    patience
        Stop after so many tests in a row without a higher accuracy than before.
    checkpoint
        A folder to keep the state in.
    checkpoint_every
        After every so many rounds, and after the last one.
    resume
        Go on from the checkpoint in that folder.

    Raises
    ------
    InputError
        A number out of its range, `resume` without a folder, or a folder that holds a checkpoint
        already and is not to be resumed.
    """

    rounds: int
    evaluate_every: int = 1
    target_accuracy: float | None = None
    patience: int | None = None
    checkpoint: str | Path | None = None
    checkpoint_every: int = 1
    resume: bool = False

    def __post_init__(self) -> None:
        for name in ("rounds", "evaluate_every", "patience", "checkpoint_every"):
            value = getattr(self, name)
            if value is None and name == "patience":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError.at(name, f"is {value!r}, it must be a whole number >= 1")
        target = self.target_accuracy
        if target is not None and not 0 < target <= 1:
            raise InputError.at(
                "target_accuracy", f"is {target!r}, it must be above 0 and at most 1"
            )
        if self.checkpoint is None:
            if self.resume:
                raise InputError.at("resume", "needs the folder of a checkpoint; name it")
            if self.checkpoint_every != 1:
                raise InputError.at("checkpoint_every", "needs the folder of a checkpoint; name it")
        elif not self.resume and checkpoint.exists(self.checkpoint):
            raise InputError(
                f"{self.checkpoint}: holds a checkpoint already; resume it, or take another folder"
            )


def run_rounds(
    prepared: Prepared,
    schedule: Schedule,
    *,
    do_round: DoRound | None = None,
    callback: Callback | None = None,
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
        Called after every round with its row and the number of rounds that were planned.

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
    scheme, program = prepared.scheme, prepared.program
    keeper = _Keeper(prepared, schedule)
    history = keeper.begin()
    clock = VirtualClock(program)
    act = do_round or _guarded(scheme)
    stopped = _stop(history, schedule)
    while stopped is None:
        number = len(history)
        before = copy_state(scheme.model)
        try:
            set_groups(scheme, program, number)
            tally = act(number)
            check_finite(scheme)
            row = _row(tally, number, history, clock)
            if number + 1 == schedule.rounds or (number + 1) % schedule.evaluate_every == 0:
                row = _tested(row, prepared)
            history = history.with_row(row)
            stopped = _stop(history, schedule)
            keeper.keep(history, last=stopped is not None)
            if callback is not None:
                callback(row, schedule.rounds)
        except KeyboardInterrupt:
            if len(history) == number:
                load_state(scheme.model, before)
            keeper.end()
            return history, "interrupted"
        except TrainingError as error:
            load_state(scheme.model, before)
            keeper.end()
            failed = TrainingError(f"round {number + 1}: {error}")
            failed.history = history
            raise failed from error.__cause__
    return history, stopped


def _guarded(scheme: Scheme) -> DoRound:
    """Give the scheme's round, with what the model raises turned into a `TrainingError`."""

    def act(number: int) -> Round:
        try:
            return scheme.round(number)
        except SplitoptError:
            raise
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"the model cannot be trained on ({reason(error)})") from error

    return act


def _row(tally: Round, number: int, history: History, clock: VirtualClock) -> RoundRow:
    time, before = clock.round(number), history.clock_s
    return RoundRow(
        round=number + 1,
        loss=tally.loss,
        samples=tally.samples,
        round_s=None if time is None else time.seconds,
        clock_s=None if time is None or before is None else before + time.seconds,
        phases_s={} if time is None else dict(time.phases),
        traffic_bytes=asdict(tally.traffic),
        dropped=tally.dropped,
    )


def _tested(row: RoundRow, prepared: Prepared) -> RoundRow:
    """Add the test of the common model to a row."""
    scheme, data = prepared.scheme, prepared.data
    score = evaluate(scheme.model, data.test_inputs, data.test_targets, scheme.criterion)
    if not math.isfinite(score.loss):
        raise TrainingError(f"the test loss is {score.loss}; lower the learning rate")
    return replace(row, test_loss=score.loss, accuracy=score.accuracy)


def _stop(history: History, schedule: Schedule) -> Stopped | None:
    """Say whether a training is over, from its rounds alone: a resumed run stops where it would."""
    target, patience = schedule.target_accuracy, schedule.patience
    if target is not None and history.first_reaching(target) is not None:
        return "target"
    best = history.best
    if patience is not None and best is not None:
        since = [row for row in history.evaluated if row.round > best.round]
        if len(since) >= patience:
            return "patience"
    return "rounds" if len(history) >= schedule.rounds else None


class _Keeper:
    """Keeps the state of the last whole round, and writes it to the folder as the schedule says."""

    def __init__(self, prepared: Prepared, schedule: Schedule) -> None:
        self.prepared, self.schedule = prepared, schedule
        self._kept: tuple[dict[str, Tensor], History] | None = None

    def begin(self) -> History:
        """Give the history to go on with, having loaded or written the first checkpoint."""
        folder = self.schedule.checkpoint
        if folder is None:
            return History(origin=self.prepared.origin)
        if self.schedule.resume:
            found = checkpoint.load(folder, self.prepared.identity)
            restore(self.prepared.scheme, found, str(folder))
            return found.history
        history = History(origin=self.prepared.origin)
        checkpoint.save(folder, self.prepared.scheme.state_dict(), self.prepared.identity, history)
        return history

    def keep(self, history: History, last: bool) -> None:
        """Remember a round that is done, and write it if it is one of those to write."""
        if self.schedule.checkpoint is None:
            return
        self._kept = (self.prepared.scheme.state_dict(), history)
        if last or len(history) % self.schedule.checkpoint_every == 0:
            self.end()

    def end(self) -> None:
        """Write what is remembered and not written yet."""
        if self._kept is not None and self.schedule.checkpoint is not None:
            state, history = self._kept
            checkpoint.save(self.schedule.checkpoint, state, self.prepared.identity, history)
            self._kept = None


def restore(scheme: Scheme, found: Checkpoint, source: str) -> None:
    """Give a scheme the state of a checkpoint.

    Raises
    ------
    InputError
        A tensor is missing, unknown or of another shape.
    """
    wanted = scheme.state_dict()
    fixed = {name for name in wanted if not (_MOMENT.match(name) or _ON_CUDA.fullmatch(name))}
    parameters = {
        f"copy.{index}.moments.{name}": value
        for index, own in enumerate(scheme.copies())
        for name, value in own.model.named_parameters()
    }
    for name in sorted(fixed | set(found.state)):
        value = found.state.get(name)
        if _ON_CUDA.fullmatch(name) or (_WALK.fullmatch(name) and value is not None):
            continue  # may be missing, and as long as the walk that it is of
        if _MOMENT.match(name):
            like = parameters.get(name.rpartition(":")[0])
            fits = like is not None and value is not None and value.shape in ((), like.shape)
        else:
            fits = (
                name in fixed
                and value is not None
                and (value.shape, value.dtype) == (wanted[name].shape, wanted[name].dtype)
            )
        if not fits:
            raise InputError(f"{source}: the checkpoint does not fit this model ({name})")
    scheme.load_state_dict(found.state)
