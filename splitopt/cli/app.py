"""The application: one verb per module, registered here."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from splitopt.cli import (
    bench,
    calibrate,
    certificates,
    compare,
    consensus,
    control,
    diff,
    doctor,
    export,
    exporters,
    generate,
    import_plan,
    init,
    iotsl,
    leakage,
    machine,
    merge,
    plan,
    plugins,
    profile,
    profiles,
    report,
    robustness,
    scenarios,
    schema,
    simulate,
    solve,
    solvers,
    tradeoff,
    train,
    validate,
)


class _Verbs(TyperGroup):
    """The verbs; Typer itself would end them at Ctrl-C without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None


app = typer.Typer(
    name="splitopt",
    cls=_Verbs,
    help="Plan split learning: where to cut the model, who gets what, and how far from the best.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init.command)
app.command("plan")(plan.command)
app.command("compare")(compare.command)
app.command("solve")(solve.command)
app.command("consensus")(consensus.command)
app.command("solvers")(solvers.command)
app.command("bench")(bench.command)
app.command("control")(control.command)
app.command("profile")(profile.command)
app.command("profiles")(profiles.command)
app.command("leakage")(leakage.command)
app.command("tradeoff")(tradeoff.command)
app.command("robustness")(robustness.command)
app.add_typer(machine.app, name="machine")
app.command("report")(report.command)
app.command("diff")(diff.command)
app.command("simulate")(simulate.command)
app.command("export")(export.command)
app.command("exporters")(exporters.command)
app.command("import")(import_plan.command)
app.command("plugins")(plugins.command)
app.command("merge")(merge.command)
app.command("train")(train.command)
app.command("calibrate")(calibrate.command)
app.command("generate")(generate.command)
app.command("iotsl")(iotsl.command)
app.command("validate")(validate.command)
app.command("certificates")(certificates.command)
app.command("scenarios")(scenarios.command)
app.command("doctor")(doctor.command)
app.command("schema")(schema.command)


def _version(wanted: bool) -> None:
    if wanted:
        from splitopt import __version__

        typer.echo(f"splitopt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Plan split learning: where to cut the model, who gets what, and how far from the best."""
