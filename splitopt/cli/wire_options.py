"""The flags of a training with a process for each party, and what they turn into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli.training_options import OptimizerFlags, OwnProcessFlags
from splitopt.errors import InputError
from splitopt.plugins import AbsentError
from splitopt.training.kinds import SCHEME
from splitopt.training.wire.setting import AtScale, WireOptions

if TYPE_CHECKING:
    from splitopt.training.job import TrainingJob
    from splitopt.training.rounds.loop import Callback
    from splitopt.training.runner import Run
    from splitopt.training.schedule import Schedule
    from splitopt.training.wire.launch import WireRun
    from splitopt.training.wire.ranks import Rank
    from splitopt.training.wire.setting import Setting
    from splitopt.training.wire.transport.tls import Tls

SEVERAL = ("listen", "token_file", "tls_cert", "tls_key", "tls_ca", "no_tls")
"""What counts for processes that are started one by one."""
_TOGETHER = "is missing; --tls-cert, --tls-key and --tls-ca go together"


@dataclass(frozen=True)
class PaceFlags:
    """At which pace the processes run: fields of `WireOptions`."""

    time_scale: Annotated[
        float | None,
        typer.Option(
            "--time-scale",
            metavar="X",
            help="Seconds for each planned one; by default a round takes a few seconds.",
        ),
    ] = WireOptions.time_scale
    any_speed: Annotated[
        bool, typer.Option("--any-speed", help="Train even if this host is slower than the plan.")
    ] = WireOptions.any_speed
    namespaces: Annotated[
        bool,
        typer.Option(
            "--namespaces",
            help="Give each process a network of its own, with links that tc shapes; for root.",
        ),
    ] = WireOptions.namespaces
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            metavar="3x|10 s",
            help="Drop a device that takes so many times as long as planned, or so much longer.",
        ),
    ] = None

    def options(self, at_scale: AtScale | None, **others: Any) -> WireOptions:
        """Return how the processes are to be run."""
        return WireOptions(
            self.time_scale,
            self.any_speed,
            self.deadline,
            self.namespaces,
            at_scale=at_scale,
            **others,
        )


@dataclass(frozen=True)
class RankFlags:
    """Which process this is where they are started one by one, and how they find each other."""

    rank: Annotated[
        int | None,
        typer.Option("--rank", metavar="K", help="Be one process of several, 0 leads; else RANK."),
    ] = None
    world_size: Annotated[
        int | None,
        typer.Option("--world-size", metavar="N", help="How many processes there are."),
    ] = None
    master: Annotated[
        str | None, typer.Option("--master", metavar="HOST:PORT", help="Where rank 0 listens.")
    ] = None
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST",
            help="Address to listen on, such as 0.0.0.0; by default nobody else can connect.",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="The secret that all processes share; or SPLITOPT_TOKEN.",
        ),
    ] = None
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            "--tls-cert",
            metavar="FILE",
            help="This rank's certificate in PEM form, for TLS; 'splitopt certificates' makes a "
            "set.",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        typer.Option("--tls-key", metavar="FILE", help="The key of this rank's certificate."),
    ] = None
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            "--tls-ca",
            metavar="FILE",
            help="The certificate of the authority that has signed those of all ranks.",
        ),
    ] = None
    no_tls: Annotated[
        bool,
        typer.Option(
            "--no-tls", help="Connect to other machines without TLS, on a network that you trust."
        ),
    ] = False
    join_within: Annotated[
        float | None,
        typer.Option(
            "--join-within", metavar="S", help="For how long ranks wait for each other, 120 s."
        ),
    ] = None

    def ranked(self) -> Rank | None:
        """Read which rank this process is; None where it starts all others."""
        from splitopt.training.wire.ranks import read_rank

        return read_rank(self.rank, self.world_size, self.master)

    def refuse_several(self, names: Sequence[str] = SEVERAL) -> None:
        """Reject what counts for processes that are started one by one alone."""
        for name in names:
            if getattr(self, name) not in (None, False):
                raise InputError.at(
                    f"--{name.replace('_', '-')}",
                    "is for processes started one by one; give --rank, or leave it out",
                )

    def setting(self, **others: Any) -> Setting:
        """Return what a process that is started by itself takes."""
        from splitopt.training.wire.ranks import shared_token
        from splitopt.training.wire.setting import Setting

        return Setting(
            shared_token(self.token_file),
            host=self.listen,
            tls=self._tls(),
            no_tls=self.no_tls,
            **others,
        )

    def joining_s(self) -> float:
        """Return for how many seconds ranks wait for each other."""
        if self.join_within is None:
            return WireOptions.join_s
        if not 0 < self.join_within < float("inf"):
            raise InputError.at("--join-within", f"is {self.join_within:g}, it must be above 0")
        return self.join_within

    def _tls(self) -> Tls | None:
        """Read this rank's certificate, if it is given one."""
        from splitopt.training.wire.transport.tls import Tls

        certificate, key, authority = self.tls_cert, self.tls_key, self.tls_ca
        if certificate is None and key is None and authority is None:
            return None
        if self.no_tls:
            raise InputError.at("--no-tls", "does not go together with certificates; leave one out")
        if certificate is None:
            raise InputError.at("--tls-cert", _TOGETHER)
        if key is None:
            raise InputError.at("--tls-key", _TOGETHER)
        if authority is None:
            raise InputError.at("--tls-ca", _TOGETHER)
        return Tls.load(certificate, key, authority)


@dataclass(frozen=True)
class WireFlags(PaceFlags, RankFlags):
    """The pace of the processes, and who they are where they are started one by one."""

    wire: Annotated[
        bool,
        typer.Option(
            "--wire", help="A process for each party, with real bytes at the plan's pace."
        ),
    ] = False
    listen_port: Annotated[
        int | None,
        typer.Option(
            "--listen-port",
            metavar="PORT",
            help="Port on which a fed server, or one that is not rank 0, listens; else any.",
        ),
    ] = None
    timeline: Annotated[
        Path | None,
        typer.Option("--timeline", metavar="FILE", help="Write what was measured: .json or .csv."),
    ] = None

    def check(self, job: OwnProcessFlags, optimizer: OptimizerFlags) -> None:
        """Reject flags that do not go together.

        Raises
        ------
        InputError
            A flag of this class without ``--wire``, or one of one process with it.
        """
        if not self.wire:
            for name, value in vars(self).items():
                if value is not None and value is not False:
                    raise InputError.at(f"--{name.replace('_', '-')}", "needs --wire; add it")
            return
        for name, is_given in (
            ("--scheme", job.scheme in SCHEME.own),
            ("--device", job.device != OwnProcessFlags.device),
            ("--batched", optimizer.batched),
        ):
            if is_given:
                raise InputError.at(name, "is for training in one process; leave out --wire or it")

    def train(
        self,
        job: TrainingJob,
        schedule: Schedule,
        callback: Callback | None,
        *,
        silent: bool,
        model: Path | None = None,
    ) -> WireRun | None:
        """Train with the processes of this machine, or as one of them; None for ranks above 0.

        ``model`` is the file for the weights at the end, of which a fed server writes its part.
        """
        from splitopt.training.wire.launch import run_job, run_rank

        rank = self.ranked()
        if model is not None and job.options is not None and job.options.fed_server:
            model = fed_path(model) if rank is None else model if rank.rank else None
        else:
            model = None
        at_scale = None if silent else report_scale
        wanted = self.options(at_scale, join_s=self.joining_s(), fed_model=model)
        _ = wanted.limit  # one that is none is refused before anything else
        if rank is None:
            self.refuse_several((*SEVERAL, "listen_port"))
            return run_job(job, schedule, wanted, callback)
        if self.namespaces:
            raise InputError.at(
                "--namespaces", "is for processes of one machine that are started together"
            )
        return run_rank(job, rank, self._setting(), schedule, wanted, callback)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Report to rank 0 where this rank lacks a plug-in, so that it can say who lacks what."""
        try:
            yield
        except AbsentError as error:
            if self.wire and self.rank:
                from splitopt.training.wire.launch import tell_absent

                rank = self.ranked()
                if rank is not None:
                    tell_absent(rank, self._setting(), self.joining_s(), str(error))
            raise

    def _setting(self) -> Setting:
        """Return what a process that is started by itself takes."""
        return self.setting(deadline=self.options(None).limit, port=self._port())

    def _port(self) -> int:
        """Return the port on which a fed server listens, 0 for any."""
        if self.listen_port is None:
            return 0
        if not 0 < self.listen_port < 2**16:
            raise InputError.at("--listen-port", f"is {self.listen_port}, it must be 1 to 65535")
        return self.listen_port

    def save(self, run: Run) -> None:
        """Write what was measured, if it is to be written."""
        from splitopt.training.wire.launch import WireRun

        if self.timeline is not None and isinstance(run, WireRun):
            run.measured.save(self.timeline)


def fed_path(path: Path) -> Path:
    """Return the file of a fed server beside that of rank 0, where one command starts both."""
    return path.with_name(f"{path.stem}.fed{path.suffix}")


def report_scale(scale: float, round_s: float) -> None:
    """Report how long a round will take."""
    typer.echo(
        f"Time scale {scale:g}: a round of {round_s:.4g} s takes {scale * round_s:.3g} s", err=True
    )


def report_measured(run: Run) -> None:
    """Report what was measured, if anything was."""
    from statistics import median

    from splitopt.report.numbers import seconds
    from splitopt.training.wire.launch import WireRun

    if not isinstance(run, WireRun):
        return
    for text in run.dropped:
        typer.echo(f"Dropped: {text}")
    if run.fed_model is not None:
        typer.echo(f"The fed server has written the client part to {run.fed_model}")
    if run.timelines:
        measured = median(timeline.makespan_s for timeline in run.timelines)
        predicted = median(timeline.makespan_s for timeline in run.predicted)
        typer.echo(
            f"Median round: measured {seconds(measured)} s, predicted {seconds(predicted)} s "
            f"(time scale {run.time_scale:g})"
        )
