"""The command line: ``splitopt VERB --help`` shows every verb with an example."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with 0 (feasible), 1 (no answer) or 2 (unusable input)."""
    import sys

    try:
        import signal

        from splitopt.cli.entry import run

        # A polite request to end is one to finish what was begun, as Ctrl-C is.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        code = run()
        # What is left is Python's own end: Ctrl-C may cut it short, without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:  # so early or so late that no command has seen it
        sys.stderr.write("splitopt: error: interrupted\n")
        code = 130
    raise SystemExit(code)
