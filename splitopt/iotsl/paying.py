"""Whether a run has paid: its own epochs, generators and samples put to the planner's question."""

from __future__ import annotations

from splitopt.generators import GeneratorWork
from splitopt.iotsl.fleet import with_samples
from splitopt.iotsl.job import IotslJob
from splitopt.plans import Plan
from splitopt.scenario import Scenario
from splitopt.scenario.generator_training import GeneratorTraining
from splitopt.training.history import History


def common_target(tuned: History, plain: History) -> float | None:
    """Return the best accuracy that both trainings have reached, None if one was never tested."""
    best = [history.best for history in (tuned, plain)]
    found = [row.accuracy for row in best if row is not None and row.accuracy]
    return min(found) if len(found) == len(best) else None


def rounds_to(history: History, target: float) -> int:
    """Return after how many rounds an accuracy is reached; the history has reached it."""
    return next(row.round for row in history if (row.accuracy or 0.0) >= target)


def paying_plan(
    job: IotslJob,
    asked: Scenario,
    samples: list[int],
    work: GeneratorWork,
    histories: tuple[History, History],
) -> Plan | None:
    """Plan the exchange with what the run has measured, which says whether the whole pays.

    Parameters
    ----------
    job
        What was asked for.
    asked
        The scenario of the exchange, see `splitopt.iotsl.fleet.as_found`.
    samples
        Of each device, its own.
    work
        Of the generators.
    histories
        With generators and without.

    Returns
    -------
    The plan; None where there is no accuracy that both have reached, or a speed is missing.
    """
    from splitopt.planning.planner import plan

    tuned, plain = histories
    target = common_target(tuned, plain)
    machines = (*asked.fleet(), *asked.servers)
    if target is None or any(machine.compute is None for machine in machines):
        return None
    section, options = asked.generators, job.generators
    assert section is not None  # it asks for the exchange
    training = GeneratorTraining(
        steps=options.steps,
        critic_steps=options.critic_steps,
        batch_size=options.batch,
        critic_work=work.critic_step_flop,
        generator_work=work.generator_step_flop,
        sampling_work=work.sample_flop,
        epochs={"without": rounds_to(plain, target), "with": rounds_to(tuned, target)},
        counted_in="rounds",
        target=target,
        pretraining_epochs=job.pretrain_epochs,
        **({} if job.impute else {"imputed_samples": 0}),
    )
    fleet = with_samples(asked, samples).devices
    own = asked._with(devices=fleet, generators=section._with(training=training))
    return plan(own, problem="generator_pairing", seed=job.seed)
