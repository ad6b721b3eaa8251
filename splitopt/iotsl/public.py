"""What users call to run IoTSL, without importing torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from splitopt.extras import need_torch
from splitopt.iotsl.job import IotslJob
from splitopt.training.schedule import Schedule
from splitopt.training.wire.setting import WireOptions

if TYPE_CHECKING:
    from splitopt.iotsl.result import IotslRun
    from splitopt.iotsl.steps import Progress


def run_iotsl(
    job: IotslJob,
    folder: str | Path,
    schedule: Schedule | None = None,
    *,
    resume: bool = False,
    plain: bool = False,
    wire: WireOptions | None = None,
    progress: Progress | None = None,
) -> IotslRun:
    """Run IoTSL on a fleet.

    Parameters
    ----------
    job
        What is asked for.
    folder
        Where everything is kept: shares, generators, plans, weights, results.
    schedule
        Of the split training; the rounds of the scenario by default.
    resume
        Go on with the run in the folder, behind the last step that it has made.
    plain
        Train the same fleet without generators as well, to compare.
    wire
        Give each device a process of its own, in the exchange and in the split training; None for
        all in this process.
    progress
        Called with the step, what it works on, how much of that is done, and how much there is.

    Raises
    ------
    InputError
        A field that cannot be used, data that do not fit, or a folder that holds another run.
    InfeasibleError
        A class that a device lacks cannot be had from any other, or there is no plan.
    TrainingError
        A loss is not a finite number, or a device of a run over connections is gone.
    """
    need_torch("IoTSL")
    from splitopt.iotsl.workflow import run_job

    return run_job(job, folder, schedule or Schedule(), resume, plain, wire, progress)
