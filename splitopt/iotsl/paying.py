"""What a run has taken, step by step, and whether it has paid: its numbers, the planner's sums."""

from __future__ import annotations

from typing import Any

from splitopt.generators import GeneratorWork
from splitopt.iotsl.fleet import with_samples
from splitopt.iotsl.job import IotslJob
from splitopt.planning.iotsl import FINE_TUNE, IoTSL
from splitopt.planning.iotsl_promise import promised
from splitopt.plans import Plan
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
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


def costs_of(
    job: IotslJob,
    asked: Scenario,
    samples: list[int],
    work: GeneratorWork,
    pairing: Plan | None,
    history: History,
) -> list[dict[str, Any]]:
    """Compute what each step of a run has taken.

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
    pairing
        Who has received what; None for no exchange.
    history
        Of the split training, whose bytes and seconds are those of its scheme.

    Returns
    -------
    For each step its name with bytes, FLOP of devices and server, joule of the devices (None where
    their powers are not known) and seconds; none at all where a speed is missing.
    """
    if not len(history) or not _has_speeds(asked):
        return []
    rounds = len(history)
    training = _training(job, work, {"without": rounds, "with": rounds}, 1.0)
    own = _asking(asked, samples, training)
    problem = GeneratorPairing.from_scenario(own)
    decision = problem.complete(() for _ in samples)  # nobody receives anything
    if pairing is not None and pairing.decision is not None:
        decision = GeneratorPairingDecision.from_dict(pairing.decision, len(samples))
    found = promised(IoTSL(own, own.load_model(), problem, decision, training))
    rows = [
        {"step": step.name, **step.cost.model_dump(exclude={"edge_flop", "edge_j"})}
        for step in found.ways[0].steps
    ]
    for row in rows:
        if row["step"] == FINE_TUNE:
            row["bytes"] = float(sum(history.traffic_bytes().values()))
            row["seconds"] = row["seconds"] if history.clock_s is None else history.clock_s
    return rows


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
    The plan; None where there is no accuracy that both have reached, a speed is missing, or the
    turns of devices did not come one after the other, as the question has them.
    """
    from splitopt.planning.planner import plan

    tuned, plain = histories
    target = common_target(tuned, plain)
    if target is None or job.scheme != "vanilla" or not _has_speeds(asked):
        return None
    epochs = {"without": rounds_to(plain, target), "with": rounds_to(tuned, target)}
    own = _asking(asked, samples, _training(job, work, epochs, target))
    return plan(own, problem="generator_pairing", seed=job.seed)


def _has_speeds(scenario: Scenario) -> bool:
    return all(one.compute is not None for one in (*scenario.devices, *scenario.servers))


def _training(
    job: IotslJob, work: GeneratorWork, epochs: dict[str, int], target: float
) -> GeneratorTraining:
    """Return the section of a scenario that says what the run's generators took."""
    options = job.generators
    return GeneratorTraining(
        steps=options.steps,
        critic_steps=options.critic_steps,
        batch_size=options.batch,
        critic_work=work.critic_step_flop,
        generator_work=work.generator_step_flop,
        sampling_work=work.sample_flop,
        epochs=epochs,
        counted_in="rounds",
        target=target,
        pretraining_epochs=job.pretrain_epochs,
        **({} if job.impute else {"imputed_samples": 0}),
    )


def _asking(asked: Scenario, samples: list[int], training: GeneratorTraining) -> Scenario:
    """Return the scenario of the exchange that asks for the whole as well."""
    section = asked.generators
    assert section is not None  # it asks for the exchange
    devices = with_samples(asked, samples).devices
    return asked._with(devices=devices, generators=section._with(training=training))
