"""The command line: ``splitopt VERB --help`` shows every verb with an example."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with 0 (feasible), 1 (no answer) or 2 (unusable input)."""
    from splitopt.cli.entry import run

    raise SystemExit(run())
