"""A process of a run on one machine, as `splitopt.training.wire.processes` starts it."""

from __future__ import annotations

import signal
import sys
from contextlib import nullcontext

from splitopt.errors import SplitoptError
from splitopt.training.wire.processes import die_with
from splitopt.training.wire.transport.namespaces import enter


def main() -> int:
    """Run as the rank that the arguments name, and return the exit code."""
    job, rank, port, join_s, parent, *place = sys.argv[1:]
    die_with(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that leads
    leader, own, namespace = place or (None, None, None)
    if namespace is not None:
        enter(namespace)  # before there are other threads, which would stay outside

    from splitopt.training.preparing.prepare import prepare
    from splitopt.training.wire.job import load_files, load_job
    from splitopt.training.wire.launch import follow
    from splitopt.training.wire.ranks import shared_token
    from splitopt.training.wire.setting import Setting
    from splitopt.training.wire.transport.links import paced_by_kernel
    from splitopt.training.wire.transport.listener import LOOPBACK

    try:
        prepared = prepare(load_job(job), int(rank))
        # In a namespace others have addresses, which nothing outside of it can reach.
        setting = Setting(
            shared_token(), host=own, no_tls=namespace is not None, files=load_files(job)
        )
        at = leader or LOOPBACK
        with nullcontext() if namespace is None else paced_by_kernel():
            follow(prepared, int(rank), at, int(port), setting, join_s=float(join_s))
    except SplitoptError as error:
        print(f"splitopt: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
