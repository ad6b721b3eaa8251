"""`validate`: a plan run with real processes and real bytes, beside what was predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.extras import need_torch
from splitopt.plans import Plan, PlanLike, as_plan
from splitopt.training.job import JobFields, TrainingJob
from splitopt.training.keywords import shared_out, takes_fields
from splitopt.training.schedule import PauseFields, Schedule
from splitopt.training.turns import count_of
from splitopt.training.two_servers import TESTS
from splitopt.training.validation.comparing import compare, over_rounds
from splitopt.training.validation.measured import BytesRow, Measured
from splitopt.training.validation.planned_bytes import planned_bytes
from splitopt.training.wire.setting import WireFields, WireOptions

if TYPE_CHECKING:
    from splitopt.training.program import Program
    from splitopt.training.rounds.loop import Callback
    from splitopt.training.wire.launch import WireRun

_MESSAGES = {
    "smashed": ("smashed", "activations"),
    "gradient": ("gradient", "gradients"),
    "model": ("model",),
    "masked": ("masked",),
    "secure": ("public_keys", "key_shares", "unmasking"),
    "label": ("labels",),
    "tied": ("tied",),
    "setup": ("setup",),
}
"""What travels -> the kinds of messages that carry it; all others are control."""
CONTROL = "control"


class ValidateFields(JobFields, PauseFields, WireFields, total=False):
    """The keywords of `validate`: those of `run_wire` but the number of rounds."""


@takes_fields(ValidateFields, TrainingJob, Schedule, WireOptions)
def validate(
    plan: PlanLike,
    model: str | None = None,
    data: Any = None,
    *,
    rounds: int = 1,
    steps: int | None = None,
    callback: Callback | None = None,
    source: str = "plan",
    **given: Unpack[ValidateFields],
) -> Measured:
    """Run some rounds of a plan with a process for each party, and compare them with the plan.

    Parameters
    ----------
    plan
        A plan with a decision, the path of its file or its plain data.
    model, data, callback, source
        As for `splitopt.training.wire.launch.run_wire`.
    rounds
        How many to run.
    steps
        Run at most so many mini-batches of each device in a round, see
        `splitopt.training.validation.shortening.first_steps`; whole rounds if None.
    **given
        As for `splitopt.training.wire.launch.run_wire`; by default only the last round is tested.

    Returns
    -------
    Measured
        Both timelines in the plan's seconds, their comparison, and bytes by kind.

    Raises
    ------
    InputError, InfeasibleError, TrainingError, CapabilityError
        As `splitopt.train`; InfeasibleError also if this host is slower than the plan at this time
        scale, with the factor that it lacks, or if the prediction does not show single batches.
    """
    kinds = (TrainingJob, Schedule, WireOptions)
    job, pauses, wanted = shared_out("validate", ValidateFields, given, *kinds)
    of_plan = TrainingJob(as_plan(plan, source), model, data, source=source, **job)
    schedule = Schedule(rounds, **{"evaluate_every": max(rounds, 1), **pauses})
    return validate_job(of_plan, schedule, WireOptions(**wanted), steps=steps, callback=callback)


def validate_job(
    job: TrainingJob,
    schedule: Schedule,
    wanted: WireOptions,
    *,
    steps: int | None = None,
    callback: Callback | None = None,
) -> Measured:
    """Run a job with a process for each party, and compare it with its plan; see `validate`."""
    need_torch("validation")
    from splitopt.training.program import program_of
    from splitopt.training.validation.shortening import first_steps
    from splitopt.training.wire.launch import run_job

    if job.options is not None and job.options.padding == "batch":
        raise InputError.at(
            "padding",
            "is 'batch', and a plan is of samples that are as long as the longest of the data; "
            "validate it with 'data', and measure what is saved with splitopt train --wire",
        )
    check_parties(program_of(job.plan, job.source), job)
    if steps is not None:
        job = replace(job, plan=first_steps(job.plan, steps, job.source))
    check_detail(program_of(job.plan, job.source), job.source)
    run = run_job(job, schedule, wanted, callback)
    if not run.timelines:  # by Ctrl-C in the first round
        raise KeyboardInterrupt
    return measured_of(run, promised_round_s(job.plan))


def check_parties(program: Program, job: TrainingJob) -> None:
    """Raise `InputError` for a plan whose rounds no parties play, before anything is started."""
    from splitopt.training.wire.roles import roles_of

    source = job.source
    program.expect_parties(source)
    if program.aggregation_interval is not None:
        raise InputError(
            f"{source}: is a plan of {program.problem}, in whose rounds all devices wait for each "
            "other before and after the server's pass, which no run over connections does; hold "
            "it against 'splitopt simulate', or validate a plan of cut_and_resources"
        )
    roles_of(program)


def promised_round_s(plan: Plan) -> float | None:
    """Return what a plan promises for a round in s, None if it promises nothing."""
    promised = (plan.prediction or {}).get("round_s")
    return float(promised) if isinstance(promised, int | float) else None


def check_detail(program: Program, source: str) -> None:
    """Reject a plan with so many batches that its prediction shows many of them as one.

    Raises
    ------
    InfeasibleError
        Steps cannot be compared.
    """
    if program.local_steps is not None:
        return
    timeline = program.replay.timeline
    last = np.zeros(len(timeline.owners), dtype=np.int64)
    np.maximum.at(last, timeline.owner, timeline.batch + 1)
    shown = dict(zip(timeline.owners, last.tolist(), strict=True))
    for client in program.clients:
        size = client.batch_size or client.samples
        batches = program.local_epochs * -(-client.samples // size)
        if shown.get(client.name, 0) != batches:
            raise InfeasibleError(
                f"{source}: a round of {client.name} has {batches:,} batches, and the prediction "
                "shows many of them as one, so that steps cannot be compared; validate its "
                "first steps (steps, --steps)"
            )


def measured_of(run: WireRun, round_s: float | None = None) -> Measured:
    """Set what a run measured beside what simulation predicts and the plan promises for a round."""
    program: Program = run.program
    rounds = len(run.timelines)
    predicted, measured = over_rounds(run.predicted, run.timelines)
    dropped = (("Dropped", "; ".join(run.dropped)),) if run.dropped else ()
    return Measured(
        name=program.scenario.name,
        problem=program.problem,
        predicted=predicted,
        measured=measured,
        validation=compare(predicted, measured),
        time_scale=run.time_scale,
        rounds=rounds,
        traffic=_traffic(run),
        facts=(
            ("Scheme", program.scheme),
            *_codecs(run),
            *_padding(run),
            *_waited(program),
            *_promised(program),
            *_drawn(run),
            *_masked(run),
            ("Seconds on the wall", f"{measured.makespan_s * run.time_scale:.3g}"),
            *dropped,
        ),
        stopped=run.stopped,
        promised_s=None if round_s is None else rounds * round_s,
    )


def _promised(program: Program) -> tuple[tuple[str, str], ...]:
    """Name the model that the plan was made by, where it is not what was simulated."""
    replay = program.replay_of(0)
    if not replay.forecasts:
        return ()
    own = replay.forecasts[0]
    if abs(own.seconds - replay.simulated_s) <= 1e-9 * replay.simulated_s:
        return ()
    text = f"{own.seconds:.5g} s a round, {replay.simulated_s:.5g} s simulated"
    return ((f"The plan's {own.model}", text),)


def _waited(program: Program) -> tuple[tuple[str, str], ...]:
    """Name the devices of a quorum's plan for whom the round does not wait; they have no process.

    Shares of all devices are their own, so that the others need as long with them as without.
    """
    from splitopt.training.preparing.robust import not_waited_for

    left, members = not_waited_for(program), len(program.clients)
    if not left:
        return ()
    more = f" and {len(left) - 5} more" if len(left) > 5 else ""
    return (
        ("Waited for", f"{members} of {members + len(left)} devices"),
        ("Not waited for, and without a process", ", ".join(left[:5]) + more),
    )


def _drawn(run: WireRun) -> tuple[tuple[str, str], ...]:
    """Report where clients or their order were drawn, that the plan promises another round."""
    options, members = run.scheme.options, len(run.program.clients)
    found = []
    if (fraction := options.client_fraction) is not None:
        count = count_of(members, fraction)
        text = f"{count} of {members}, drawn anew in every round; the plan promises a round of all"
        found.append(("Clients in a round", text))
    if run.scheme.is_shuffled:
        text = "drawn anew in every round; the plan promises a round in its own (--order given)"
        found.append(("Order of service", text))
    return tuple(found)


def _masked(run: WireRun) -> tuple[tuple[str, str], ...]:
    """Report that parts go up masked, which the round that the plan promises has not."""
    if run.program.masked is None:
        return ()
    factor = f"{run.program.upload_factor:.3g}"
    text = f"models take {factor} times their bytes on the way up, which the plan does not promise"
    return (("Secure aggregation", text),)


def _codecs(run: WireRun) -> tuple[tuple[str, str], ...]:
    """Name the codecs, in whose bytes activations and gradients are expected."""
    if not run.program.is_encoded:
        return ()
    options = run.scheme.options
    down = options.gradient_codec or options.codec
    return (("Codecs", f"{options.codec} up, {down} down"),)


def _padding(run: WireRun) -> tuple[tuple[str, str], ...]:
    """Report what a prediction assumes where batches are shorter than planned."""
    if run.scheme.options.padding == "data":
        return ()
    return (("Predicted for", "samples as long as the longest of the data; batches are shorter"),)


def _planned(run: WireRun) -> dict[str, float]:
    """Return the planned bytes of the rounds of a run, each of those who were drawn for it."""
    from splitopt.training.preparing.masked import planned_sum

    scheme, found = run.scheme if run.program.is_encoded else None, dict[str, float]()
    for timeline in run.timelines:
        drawn = [client.name for client in run.scheme.takes_part(timeline.origin["round"])]
        planned = planned_bytes(run.program, scheme, drawn)
        if run.program.masked is not None:
            own = planned_sum(run.program, len(drawn))
            planned |= {"model_up": 0.0, "masked": own.masked, "secure": sum(own) - own.masked}
        for kind, size in planned.items():
            found[kind] = found.get(kind, 0.0) + size
    return found


def _traffic(run: WireRun) -> tuple[BytesRow, ...]:
    """Return bytes by what they are; a kind that nobody sends or plans is left out."""
    planned, sent = _planned(run), run.sent_bytes
    expected = {
        "smashed": planned["smashed"],
        "gradient": planned["gradient"],
        "model": planned["model_down"] + planned["model_up"],
        "tied": planned.get("tied_down", 0.0) + planned.get("tied_up", 0.0),
        "masked": planned.get("masked", 0.0),
        "secure": planned.get("secure", 0.0),
    }
    rows, counted = [], set()
    for kind, messages in _MESSAGES.items():
        found = [sent[message] for message in messages if message in sent]
        counted |= set(messages)
        if found and (sum(found) or kind in expected):
            wanted = expected.get(kind)
            rows.append(BytesRow(kind, wanted, float(sum(found))))
    control = sum(size for kind, size in sent.items() if kind not in counted)
    if control:
        rows.append(BytesRow(CONTROL, None, float(control)))
    return (*rows, *_received(run, planned))


def _received(run: WireRun, planned: Mapping[str, float]) -> list[BytesRow]:
    """Return what each of two servers received and is planned to receive; none without two."""
    expected = {"server": {"smashed": planned["smashed"]}, "fed": {"model": planned["model_up"]}}
    if "masked" in planned:
        expected["fed"] = {"masked": planned["masked"]}
    own = ("smashed", "labels", "model", "masked", TESTS)
    return [
        BytesRow(f"{party}_received_{kind}", expected[party].get(kind), float(size))
        for party, kinds in run.received_bytes.items()
        for kind, size in kinds.items()
        if kind in own and size
    ]
