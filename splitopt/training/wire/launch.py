"""Runs over connections: all processes of one machine, or one rank of several machines."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

try:
    import torch
except ImportError:
    from splitopt.extras import need_torch

    need_torch("running over connections")
    raise

from splitopt.documents.checks import is_number
from splitopt.errors import InputError, SplitoptError
from splitopt.plans import PlanLike, as_plan
from splitopt.plugins import AbsentError
from splitopt.storage.temporary import temporary_folder
from splitopt.training.job import JobFields, TrainingJob
from splitopt.training.keywords import shared_out, takes_fields
from splitopt.training.preparing.prepare import Prepared, prepare
from splitopt.training.rounds.loop import Callback, run_rounds
from splitopt.training.rounds.replanning import Replanning
from splitopt.training.rounds.testing import check_schedule
from splitopt.training.saving.keeper import check_new
from splitopt.training.schedule import Schedule, ScheduleFields
from splitopt.training.wire.compute import one_thread, warm_up
from splitopt.training.wire.crew import Crew, join, say_absent
from splitopt.training.wire.fed_files import (
    check_files,
    check_files_new,
    files_of,
    has_fed,
)
from splitopt.training.wire.job import check_job, save_files, save_job
from splitopt.training.wire.own_parts import own_names
from splitopt.training.wire.processes import Processes
from splitopt.training.wire.ranks import Rank
from splitopt.training.wire.roles import Roles, check_private, roles_of
from splitopt.training.wire.run import WireRun as WireRun
from splitopt.training.wire.setting import Setting, WireFields, WireOptions
from splitopt.training.wire.speed import check_speed, proposed_time_scale
from splitopt.training.wire.star.several.places import check_several, others_of
from splitopt.training.wire.tests_elsewhere import TestsThere, answering
from splitopt.training.wire.told import Told
from splitopt.training.wire.transport.links import paced_by_kernel
from splitopt.training.wire.transport.listener import Listener, listen
from splitopt.training.wire.transport.namespaces import Namespaces, inside
from splitopt.training.wire.transport.tls import LEADER
from splitopt.training.wire.transport.tokens import Token

if TYPE_CHECKING:
    from torch import nn

_LOG = logging.getLogger(__name__)


class RunFields(JobFields, ScheduleFields, WireFields, total=False):
    """The keywords of `run_wire`: fields of a `TrainingJob`, a `Schedule` and `WireOptions`."""


@takes_fields(RunFields, TrainingJob, Schedule, WireOptions)
def run_wire(
    plan: PlanLike,
    model: nn.Module | str | None = None,
    data: Any = None,
    *,
    callback: Callback | None = None,
    source: str = "plan",
    **given: Unpack[RunFields],
) -> WireRun:
    """Train a plan with a process for each of its parties, all on this machine.

    Parameters
    ----------
    plan, data, callback, source
        As for `splitopt.train`.
    model
        As for `splitopt.train`, but not an object: each process builds its own.
    **given
        As for `splitopt.train`, but neither ``scheme`` nor ``device``, and ``stages`` are names of
        submodules; and ``time_scale``, ``any_speed``, ``deadline``, ``namespaces``, ``join_s``,
        ``at_scale`` and ``fed_model`` as for `splitopt.training.wire.setting.WireOptions`.

    Returns
    -------
    WireRun
        The weights are those of `splitopt.train` bit by bit, with PyTorch on one thread.

    Raises
    ------
    InputError, InfeasibleError, TrainingError
        As `splitopt.train`; and InfeasibleError if this host is too slow, with the factor.
    JoinError, ProcessError
        A process did not come up.
    CapabilityError
        Namespaces are not allowed here, or the plan's links have not one rate each.
    """
    kinds = (TrainingJob, Schedule, WireOptions)
    job, schedule, wanted = shared_out("run_wire", RunFields, given, *kinds)
    of_plan = TrainingJob(as_plan(plan, source), model, data, source=source, **job)
    return run_job(of_plan, Schedule(**schedule), WireOptions(**wanted), callback)


def run_job(
    job: TrainingJob, schedule: Schedule, wanted: WireOptions, callback: Callback | None = None
) -> WireRun:
    """Train a job with a process for each party, all on this machine; see `run_wire`."""
    check_job(job, schedule)
    limit = wanted.limit
    with one_thread(), temporary_folder() as place:
        prepared = prepare(job, 0)
        roles = _roles(prepared)
        check_private(prepared, roles)
        check_several(prepared.program, prepared.scheme.options)
        check_schedule(prepared, schedule)
        check_replan(prepared, schedule, wanted)
        check_files(prepared, schedule, wanted)
        _check_folder(schedule)
        path = save_job(job, place, prepared)
        if has_fed(prepared):
            files = files_of(schedule, wanted, beside=True)
            check_files_new(files)
            save_files(files, place)
        scale = _scale_for(prepared, wanted)
        setting = Setting(Token.new(), scale, limit)
        names, join_s = roles.parties(prepared.program), wanted.join_s
        with (
            _places(prepared, scale) if wanted.namespaces else nullcontext() as places,
            _listen(setting, places) as listener,
            Processes(path, names, listener.port, setting.token, join_s, places) as processes,
        ):
            run = _lead(prepared, schedule, setting, listener, join_s, callback, processes)
            if run.stopped == "interrupted":  # in the middle of a round, whose end nobody awaits
                processes.kill()
            return run


def run_rank(
    job: TrainingJob,
    rank: Rank,
    setting: Setting,
    schedule: Schedule | None = None,
    wanted: WireOptions | None = None,
    callback: Callback | None = None,
) -> WireRun | None:
    """Run one rank of a run whose processes were started one by one, on one machine or several.

    Parameters
    ----------
    job
        What is trained; the same for all ranks.
    rank
        Which one this is, and where rank 0 listens.
    setting
        The shared token, the certificate, the deadline, and where to listen (by default on the
        loopback interface, which other machines cannot reach). Its time scale does not count.
    schedule, wanted, callback
        How long to train, at which pace, and what is called after every round; of these only for
        how long to wait for each other counts for ranks other than 0. The deadline is that of
        `setting`.

    Returns
    -------
    What the run came to for rank 0, None for the others.

    Raises
    ------
    InputError
        Also if the number of ranks is not what the plan needs, rank 0 was started otherwise, or
        other machines take part and there is neither a certificate nor ``no_tls``.
    """
    schedule, wanted = schedule or Schedule(), wanted or WireOptions()
    check_job(job, schedule)
    with one_thread():
        try:
            prepared = prepare(job, rank.rank)
        except AbsentError as error:
            if rank.rank:
                tell_absent(rank, setting, wanted.join_s, str(error))
            raise
        roles = _roles(prepared)
        check_private(prepared, roles)
        check_several(prepared.program, prepared.scheme.options)
        parties = roles.parties(prepared.program)
        rank.check(parties)
        is_fed = has_fed(prepared) and rank.rank == len(parties)
        if setting.port and not is_fed and not _is_server(prepared, rank):
            raise InputError.at(
                "--listen-port",
                "is for the fed server, the last rank, and for servers other than that of rank 0",
            )
        if is_fed or not rank.rank:
            check_files(prepared, schedule, wanted)
        if is_fed:
            files = files_of(schedule, wanted)
            check_files_new(files)
            setting = replace(setting, files=files)
        rank.check_protected(setting, parties)
        if rank.rank:
            port = rank.find_port(wanted.join_s)
            follow(prepared, rank.rank, rank.host, port, setting, join_s=wanted.join_s)
            return None
        rank.check_listening(setting.host)
        check_schedule(prepared, schedule)
        check_replan(prepared, schedule, wanted)
        _check_folder(schedule)
        scale = _scale_for(prepared, wanted)
        port = 0 if rank.has_store else rank.port
        with listen(
            setting.host, port, setting.token, tls=setting.tls, no_tls=setting.no_tls
        ) as listener:
            rank.publish(listener.port, wanted.join_s)
            own = replace(setting, time_scale=scale)
            return _lead(prepared, schedule, own, listener, wanted.join_s, callback)


def check_replan(prepared: Prepared, schedule: Schedule, wanted: WireOptions) -> None:
    """Raise `InputError` for a plan that cannot follow, before anybody is waited for."""
    if not schedule.has_own_rounds:
        return
    Replanning(prepared, schedule)
    if schedule.time_noise:
        raise InputError.at(
            "time_noise",
            "is for the virtual clock of one process: over connections tasks take what they take",
        )
    if wanted.namespaces:
        raise InputError.at(
            "namespaces",
            "hold a link to one rate, and with replan or actual_rates these change from round to "
            "round; leave them out, and the processes pace their links by themselves",
        )


def _is_server(prepared: Prepared, rank: Rank) -> bool:
    """Report whether a rank is a server of the plan other than that of rank 0."""
    program = prepared.program
    return 0 < rank.rank - len(program.clients) <= len(others_of(program))


def tell_absent(rank: Rank, setting: Setting, join_s: float, message: str) -> None:
    """Report to rank 0 what this rank lacks; where rank 0 is not there, nobody hears of it."""
    with suppress(SplitoptError):
        port = rank.find_port(join_s)
        say_absent(rank.host, port, setting.token, rank.rank, message, join_s, setting.tls)


def _check_folder(schedule: Schedule) -> None:
    """Raise an error if a run would replace a checkpoint, before any process is started for it."""
    if schedule.checkpoint is not None and not schedule.resume:
        check_new(schedule.checkpoint)


def follow(
    prepared: Prepared, rank: int, host: str, port: int, setting: Setting, *, join_s: float
) -> None:
    """Run a rank other than 0 until the end of the run."""
    torch.set_num_threads(1)
    roles = _roles(prepared)
    warm_up()
    told = None if prepared.own is None else prepared.own.told()
    with join(
        host, port, setting.token, rank, prepared.agreement, join_s, setting.tls, told
    ) as channel:
        answering(prepared, rank, channel)
        roles.run(prepared, rank, channel, setting)


def _scale_for(prepared: Prepared, wanted: WireOptions) -> float:
    """Return the time scale to run at, and report it, if this host can keep it.

    Raises
    ------
    InputError
        It is not above 0.
    InfeasibleError
        This host is too slow for it.
    """
    scale = wanted.time_scale
    if scale is not None and not (is_number(scale) and 0 < scale < float("inf")):
        raise InputError.at("time_scale", f"is {scale!r}, it must be above 0")
    if scale is None or not wanted.any_speed:
        from splitopt.training.wire.host import measure_host

        timeline = prepared.program.replay.timeline
        host = measure_host(prepared.program, prepared.scheme, timeline)
        if scale is None:
            scale = proposed_time_scale(timeline, host)
        else:
            check_speed(timeline, host, scale)
    if wanted.at_scale is not None:
        wanted.at_scale(scale, prepared.program.replay.simulated_s)
    return scale


def _lead(
    prepared: Prepared,
    schedule: Schedule,
    setting: Setting,
    listener: Listener,
    join_s: float,
    callback: Callback | None,
    processes: Processes | None = None,
) -> WireRun:
    """Run rank 0."""
    roles = _roles(prepared)
    warm_up()
    told = Told(prepared) if prepared.own is not None else None
    with Crew(listener, roles.parties(prepared.program), prepared.agreement, told) as crew:
        crew.wait(join_s, None if processes is None else processes.check)
        if told is not None:
            prepared = told.prepared()
        leader = roles.leader(prepared, crew, setting)
        names = None
        if has_fed(prepared):
            names = own_names(prepared.scheme)
            prepared = replace(prepared, identity={**prepared.identity, "party": LEADER})
        try:
            history, stopped = run_rounds(
                prepared,
                schedule,
                do_round=leader.round,
                callback=callback,
                smashed=leader.smashed_tests,
                following=leader,
                elsewhere=None if prepared.test_at is None else TestsThere(prepared, leader),
            )
            fed_model = leader.end() if stopped != "interrupted" else None
        finally:
            for text in [] if processes is None else processes.exit_reports():
                _LOG.warning("%s", text)
    return WireRun(
        history,
        prepared.scheme.model,
        prepared.scheme,
        stopped,
        prepared.program,
        setting.time_scale,
        tuple(leader.timelines),
        dict(leader.sent_bytes),
        tuple(str(item) for item in leader.dropped),
        dict(leader.received_bytes) if names else {},
        names,
        fed_model,
        tuple(leader.predicted),
    )


def _roles(prepared: Prepared) -> Roles:
    return roles_of(prepared.program, has_fed(prepared))


@contextmanager
def _places(prepared: Prepared, time_scale: float) -> Iterator[Namespaces]:
    """Make the namespaces of a run, and leave the pace of its links to them."""
    roles, program = _roles(prepared), prepared.program
    rates = roles.link_rates(program, time_scale)
    with Namespaces(1 + len(roles.parties(program)), rates) as places, paced_by_kernel():
        yield places


def _listen(setting: Setting, places: Namespaces | None) -> Listener:
    """Listen as rank 0, on the loopback interface or in its namespace."""
    if places is None:
        return listen(None, 0, setting.token)
    with inside(places.path(0)):
        # Nothing outside of the namespaces reaches this address, so that it needs no TLS.
        return listen(places.address(0), 0, setting.token, no_tls=True)
