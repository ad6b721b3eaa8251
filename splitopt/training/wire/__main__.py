"""A process of a run on one machine, as `splitopt.training.wire.processes` starts it."""

from __future__ import annotations

import signal
import sys

from splitopt.errors import SplitoptError
from splitopt.training.wire.processes import die_with


def main() -> int:
    """Take part as the rank that the arguments say, and give the exit code."""
    job, rank, port, join_s, parent = sys.argv[1:]
    die_with(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that leads

    from splitopt.training.wire.job import Job
    from splitopt.training.wire.launch import follow
    from splitopt.training.wire.listener import LOOPBACK
    from splitopt.training.wire.ranks import shared_token
    from splitopt.training.wire.roles import Setting

    try:
        prepared = Job.load(job).prepare()
        setting = Setting(shared_token())
        follow(prepared, int(rank), LOOPBACK, int(port), setting, join_s=float(join_s))
    except SplitoptError as error:
        print(f"splitopt: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
