"""A process of a run on one machine, as `splitopt.consensus.launch.run_parties` starts it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from splitopt.errors import SplitoptError
from splitopt.training.wire.processes import die_with


def main() -> int:
    """Run as the rank that the arguments name, and return the exit code."""
    options, rank, port, join_s, parent = sys.argv[1:]
    die_with(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that leads
    from splitopt.consensus.launch import run_process
    from splitopt.training.wire.ranks import shared_token

    try:
        run_process(Path(options), int(rank), int(port), float(join_s), shared_token())
    except SplitoptError as error:
        print(f"splitopt: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
