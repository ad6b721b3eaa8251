"""`train`: a plan, a model and data to trained weights and their history.

PyTorch is imported when `train` is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.extras import need_torch
from splitopt.plans import PlanLike, as_plan
from splitopt.training.history import History
from splitopt.training.job import TrainingJob
from splitopt.training.schedule import Schedule

if TYPE_CHECKING:
    from torch import nn

    from splitopt.profiles.tracing.finding import Stages
    from splitopt.training.data.partition import Samples
    from splitopt.training.loop import Callback, Stopped
    from splitopt.training.matching import By
    from splitopt.training.options import Options
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
        ``"rounds"``: all were made; ``"target"``: the accuracy was reached; ``"patience"``: it rose
        no more; ``"interrupted"``: by Ctrl-C.
    """

    history: History
    model: nn.Module
    scheme: Scheme
    stopped: Stopped

    def save_model(self, path: str | Path) -> None:
        """Write the weights as a safetensors file, atomically, under the model's own names."""
        from splitopt.storage.writing import write_atomic
        from splitopt.training.averaging import state_bytes

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
            "best": None if best is None else {"round": best.round, "accuracy": best.accuracy},
            "traffic_bytes": self.history.traffic_bytes(),
            "history": self.history.to_dict(),
        }


def train(
    plan: PlanLike,
    model: nn.Module | str | None = None,
    data: Any = "digits",
    *,
    partition: str = "iid",
    samples: Samples = "plan",
    scheme: str | None = None,
    options: Options | None = None,
    rounds: int | None = None,
    seed: int = 0,
    match: By = "structure",
    stages: Stages | None = None,
    device: str = "cpu",
    evaluate_every: int = 1,
    target_accuracy: float | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1,
    resume: bool = False,
    callback: Callback | None = None,
    source: str = "plan",
) -> Run:
    """Train a model as a plan says; training is real, time comes from the plan.

    Parameters
    ----------
    plan
        A plan with a decision, the path of its file or its plain data. It says who takes part with
        how many samples and which batches, where everybody cuts, the local work of a round, and the
        clusters.
    model
        A module, the name of a shipped network, or ``MODULE:FACTORY``; by default the shipped
        network that the plan's profile is named after. It is copied, not changed.
    data
        As for `splitopt.training.data.load_data`.
    partition
        How data is shared out, see `splitopt.training.data.partition.partition`.
    samples
        ``"plan"``: each client has as many as planned; ``"data"``: all data in these proportions.
    scheme
        Train the same clients by another scheme, to compare with.
    options
        Optimizers, and what papers leave open.
    rounds
        How many at most; those of the plan by default.
    seed
        Of weights, partition, batches, dropout and orders. The same seed gives the same bits.
    match
        ``"structure"``: the model must be the one of the plan's table to the byte; ``"names"``:
        cuts are taken by the names of layers.
    stages
        The stages that the model was profiled with, where they were declared: names of submodules,
        layers or functions.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"auto"``.
    evaluate_every
        Test the common model after every so many rounds, and after the last.
    target_accuracy, patience
        Stop when a test reaches this accuracy, or after so many tests without a new best one.
    checkpoint, checkpoint_every, resume
        A folder in which the state is kept after every so many rounds; and whether to go on from
        the one that is there, with the same results as without the interruption.
    callback
        Called after every round with its row and the number of rounds that were planned.
    source
        How messages call the plan.

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
    need_torch("training")
    plan = as_plan(plan, source)
    job = TrainingJob(
        plan,
        model,
        data,
        partition=partition,
        samples=samples,
        scheme=scheme,
        options=options,
        seed=seed,
        match=match,
        stages=stages,
        device=device,
        source=source,
    )
    schedule = Schedule(
        rounds,
        evaluate_every,
        target_accuracy,
        patience,
        checkpoint,
        checkpoint_every,
        resume,
    )
    return train_job(job, schedule, callback)


def train_job(job: TrainingJob, schedule: Schedule, callback: Callback | None = None) -> Run:
    """Train a job in this process; see `train`."""
    need_torch("training")
    from splitopt.training.loop import run_rounds
    from splitopt.training.prepare import prepare

    prepared = prepare(job)
    history, stopped = run_rounds(prepared, schedule, callback=callback)
    return Run(history, prepared.scheme.model, prepared.scheme, stopped)
