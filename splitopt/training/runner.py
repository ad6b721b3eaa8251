"""`train`: a plan, a model and data to trained weights and their history.

PyTorch is imported when `train` is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from splitopt.errors import InputError
from splitopt.extras import need_torch
from splitopt.plans import PlanLike, as_plan
from splitopt.training.history import History
from splitopt.training.job import OwnProcessFields, TrainingJob
from splitopt.training.keywords import shared_out, takes_fields
from splitopt.training.schedule import Schedule, ScheduleFields

if TYPE_CHECKING:
    from torch import nn

    from splitopt.training.rounds.loop import Callback, Stopped
    from splitopt.training.rounds.turn_tests import TurnCallback
    from splitopt.training.schemes import Scheme


@dataclass(frozen=True, eq=False)
class Run:
    """What a training came to.

    Parameters
    ----------
    history
        A row per round.
    model
        The common model after the last round, a copy of the one that was given.
    scheme
        Clients, copies and optimizers, as they were left.
    stopped
        ``"rounds"``: all were made; ``"target"``: what was wanted was reached; ``"patience"``:
        tests got no better; ``"callback"``: the caller's function returned True;
        ``"interrupted"``: by Ctrl-C.
    """

    history: History
    model: nn.Module
    scheme: Scheme
    stopped: Stopped

    def save_model(self, path: str | Path) -> None:
        """Write the weights as a safetensors file, atomically, under the model's own names."""
        from splitopt.storage.writing import write_atomic
        from splitopt.training.model_parts.averaging import state_bytes

        write_atomic(path, state_bytes(self.model.state_dict()))

    def to_dict(self) -> dict[str, Any]:
        """Return the history and why it ended as JSON-ready data."""
        last, best = self.history.rows[-1:], self.history.best
        return {
            "stopped": self.stopped,
            "rounds": len(self.history),
            "clock_s": self.history.clock_s,
            "loss": last[0].loss if last else None,
            "accuracy": last[0].accuracy if last else None,
            "metrics": dict(last[0].metrics) if last else {},
            "best": None if best is None else {"round": best.round, "accuracy": best.accuracy},
            "traffic_bytes": self.history.traffic_bytes(),
            "history": self.history.to_dict(),
        }


class TrainFields(OwnProcessFields, ScheduleFields, total=False):
    """The keywords of `train`: fields of a `TrainingJob` and of a `Schedule`."""


@takes_fields(TrainFields, TrainingJob, Schedule)
def train(
    plan: PlanLike,
    model: nn.Module | str | None = None,
    data: Any = None,
    *,
    callback: Callback | None = None,
    turn_callback: TurnCallback | None = None,
    source: str = "plan",
    **given: Unpack[TrainFields],
) -> Run:
    """Train a model as a plan says; training is real, time comes from the plan.

    Parameters
    ----------
    plan
        A plan with a decision, the path of its file or its plain data.
    model, data
        As for `splitopt.training.job.TrainingJob`.
    callback
        Called after every round with its row and the number of rounds that were planned; the run
        ends where it returns True.
    turn_callback
        With ``test_after="turn"``: called after every turn with its
        `splitopt.training.by_turn.TurnRow` and the number of the round, from 1.
    source
        How messages call the plan.
    **given
        ``partition``, ``samples``, ``scheme``, ``options``, ``seed``, ``task``, ``match``,
        ``stages``, ``device``, ``adapters`` and ``initial_weights`` as for
        `splitopt.training.job.TrainingJob`; ``rounds``, ``evaluate_every``,
        ``target_accuracy``, ``target``, ``patience``, ``checkpoint``, ``checkpoint_every``,
        ``resume``, ``per_client``, ``per_class``, ``test_after`` and ``replan`` as for
        `splitopt.training.schedule.Schedule`.

    Returns
    -------
    Run
        History and model. Ctrl-C ends it with the last whole round.

    Raises
    ------
    InputError
        An argument, the plan, the data or the model cannot be used, or they do not fit together.
    InfeasibleError
        The plan has no decision.
    CapabilityError
        PyTorch or the device is not there.
    TrainingError
        A loss is not a finite number; round and client are named.
    """
    job, schedule = shared_out("train", TrainFields, given, TrainingJob, Schedule)
    of_plan = TrainingJob(as_plan(plan, source), model, data, source=source, **job)
    return train_job(of_plan, Schedule(**schedule), callback, turn_callback)


def train_job(
    job: TrainingJob,
    schedule: Schedule,
    callback: Callback | None = None,
    turn_callback: TurnCallback | None = None,
) -> Run:
    """Train a job in this process; see `train`."""
    need_torch("training")
    from splitopt.profiles.tracing.running.outputs import as_given
    from splitopt.training.preparing.prepare import prepare
    from splitopt.training.rounds.loop import run_rounds

    if job.options is not None and job.options.secure_aggregation:
        raise InputError.at(
            "secure_aggregation",
            "is for training over connections: in one process nobody sends a model; add --wire",
        )
    prepared = prepare(job)
    history, stopped = run_rounds(
        prepared, schedule, callback=callback, turn_callback=turn_callback
    )
    return Run(history, as_given(prepared.scheme.model), prepared.scheme, stopped)
