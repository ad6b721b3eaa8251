"""The options of training with a process for each party, and what they turn into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.plans import Plan
    from splitopt.training.options import Options
    from splitopt.training.runner import Run
    from splitopt.training.wire.launch import WireRun
    from splitopt.training.wire.transport.tls import Tls

_SEVERAL = ("listen", "token_file", "tls_cert", "tls_key", "tls_ca", "no_tls")
"""What counts for processes that are started one by one."""
_TOGETHER = "is missing; --tls-cert, --tls-key and --tls-ca go together"

Wire = Annotated[
    bool,
    typer.Option("--wire", help="A process for each party, with real bytes at the plan's pace."),
]
TimeScale = Annotated[
    float | None,
    typer.Option(
        "--time-scale",
        metavar="X",
        help="Seconds for each planned one; by default a round takes a few seconds.",
    ),
]
AnySpeed = Annotated[
    bool, typer.Option("--any-speed", help="Train even if this host is slower than the plan.")
]
InNamespaces = Annotated[
    bool,
    typer.Option(
        "--namespaces",
        help="Give each process a network of its own, with links that tc shapes; for root.",
    ),
]
DeadlineText = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="3x|10 s",
        help="Drop a device that takes so many times as long as planned, or so much longer.",
    ),
]
RankNumber = Annotated[
    int | None,
    typer.Option("--rank", metavar="K", help="Be one process of several, 0 leads; else RANK."),
]
WorldSize = Annotated[
    int | None,
    typer.Option("--world-size", metavar="N", help="How many processes there are."),
]
Master = Annotated[
    str | None, typer.Option("--master", metavar="HOST:PORT", help="Where rank 0 listens.")
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="HOST",
        help="Address to listen on, such as 0.0.0.0; by default nobody else can connect.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="The secret that all processes share; or SPLITOPT_TOKEN.",
    ),
]
TlsCertificate = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        metavar="FILE",
        help="This rank's certificate in PEM form, for TLS; 'splitopt certificates' makes a set.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option("--tls-key", metavar="FILE", help="The key of this rank's certificate."),
]
TlsAuthority = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        metavar="FILE",
        help="The certificate of the authority that has signed those of all ranks.",
    ),
]
NoTls = Annotated[
    bool,
    typer.Option(
        "--no-tls", help="Connect to other machines without TLS, on a network that you trust."
    ),
]
JoinWithin = Annotated[
    float | None,
    typer.Option(
        "--join-within", metavar="S", help="For how long ranks wait for each other, 120 s."
    ),
]
TimelineFile = Annotated[
    Path | None,
    typer.Option("--timeline", metavar="FILE", help="Write what was measured: .json or .csv."),
]


@dataclass(frozen=True)
class WireFlags:
    """What the flags of this module said."""

    wire: bool
    time_scale: float | None
    any_speed: bool
    namespaces: bool
    deadline: str | None
    rank: int | None
    world_size: int | None
    master: str | None
    listen: str | None
    token_file: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_ca: Path | None
    no_tls: bool
    join_within: float | None
    timeline: Path | None

    def check(self, *, scheme: str | None, device: str, batched: bool) -> None:
        """Refuse flags that do not go together.

        Raises
        ------
        InputError
            A flag of this module without ``--wire``, or one of one process with it.
        """
        if not self.wire:
            for name, value in vars(self).items():
                if value is not None and value is not False:
                    raise InputError.at(f"--{name.replace('_', '-')}", "needs --wire; add it")
            return
        for name, given in (
            ("--scheme", scheme is not None),
            ("--device", device != "cpu"),
            ("--batched", batched),
        ):
            if given:
                raise InputError.at(name, "is for training in one process; leave out --wire or it")

    def train(
        self,
        plan: Plan,
        model: str | None,
        data: str,
        options: Options,
        *,
        silent: bool,
        **given: Any,
    ) -> WireRun | None:
        """Train with the processes of this machine, or be one of them; None for ranks above 0."""
        from splitopt.training.wire.deadlines import Deadline
        from splitopt.training.wire.job import Job
        from splitopt.training.wire.launch import run_rank, run_wire
        from splitopt.training.wire.ranks import read_rank, shared_token
        from splitopt.training.wire.setting import Setting

        rank = read_rank(self.rank, self.world_size, self.master)
        deadline = (
            Deadline.default(self.any_speed)
            if self.deadline is None
            else Deadline.read(self.deadline)
        )
        given |= {
            "time_scale": self.time_scale,
            "any_speed": self.any_speed,
            "at_scale": None if silent else say_scale,
        }
        if self.join_within is not None:
            if not 0 < self.join_within < float("inf"):
                raise InputError.at("--join-within", f"is {self.join_within:g}, it must be above 0")
            given["join_s"] = self.join_within
        if rank is None:
            for name in _SEVERAL:
                if getattr(self, name) not in (None, False):
                    raise InputError.at(
                        f"--{name.replace('_', '-')}",
                        "is for processes started one by one; give --rank, or leave it out",
                    )
            given["namespaces"] = self.namespaces
            return run_wire(plan, model, data, options=options, deadline=deadline, **given)
        if self.namespaces:
            raise InputError.at(
                "--namespaces", "is for processes of one machine that are started together"
            )
        arguments = {name: given.pop(name) for name in ("partition", "samples", "seed", "stages")}
        arguments["match_by"] = given.pop("match")
        job = Job(plan, model, data, options, arguments, given.pop("source"))
        setting = Setting(
            shared_token(self.token_file),
            deadline=deadline,
            host=self.listen,
            tls=self._tls(),
            no_tls=self.no_tls,
        )
        return run_rank(job, rank, setting, **given)

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

    def save(self, run: Run) -> None:
        """Write what was measured, if it is to be written."""
        from splitopt.training.wire.launch import WireRun

        if self.timeline is not None and isinstance(run, WireRun):
            run.measured.save(self.timeline)


def say_scale(scale: float, round_s: float) -> None:
    """Say how long a round will take."""
    typer.echo(
        f"Time scale {scale:g}: a round of {round_s:.4g} s takes {scale * round_s:.3g} s", err=True
    )


def report_measured(run: Run) -> None:
    """Say what was measured, if anything was."""
    from statistics import median

    from splitopt.report.numbers import seconds
    from splitopt.training.wire.launch import WireRun

    if not isinstance(run, WireRun):
        return
    for text in run.dropped:
        typer.echo(f"Dropped: {text}")
    if run.timelines:
        measured = median(timeline.makespan_s for timeline in run.timelines)
        predicted = median(
            run.program.replay_of(timeline.origin["round"]).simulated_s
            for timeline in run.timelines
        )
        typer.echo(
            f"Median round: measured {seconds(measured)} s, predicted {seconds(predicted)} s "
            f"(time scale {run.time_scale:g})"
        )
