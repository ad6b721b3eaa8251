"""A device of an exchange on one machine, as `splitopt.training.wire.processes` starts it."""

from __future__ import annotations

import signal
import sys

from splitopt.errors import SplitoptError
from splitopt.training.wire.processes import die_with


def main() -> int:
    """Run as the rank that the arguments name, and return the exit code."""
    job, rank, port, join_s, parent = sys.argv[1:]
    die_with(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that leads

    from splitopt.iotsl.wire.follow import follow
    from splitopt.iotsl.wire.job import ExchangeJob
    from splitopt.training.wire.ranks import shared_token

    try:
        follow(ExchangeJob.load(job), int(rank), int(port), shared_token(), float(join_s))
    except SplitoptError as error:
        print(f"splitopt: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
