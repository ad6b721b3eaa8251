"""Files that Compose and Kubernetes share: the image, and health without a connection."""

from __future__ import annotations

from splitopt.export.deployment.services import PLAN_PATH, PORT, RESULTS
from splitopt.extras import installed_version

USER = 10001
"""The user that processes run as, which has no rights on the host."""


def dockerfile() -> bytes:
    """Return the Dockerfile of the image that all parties run; the plan is in it, no secret is."""
    version = installed_version("splitopt")
    return f"""# The image that all parties of the plan run. No secret goes into it.
#
# SPLITOPT is what pip installs: a version, a wheel beside this file, or an address. TORCH_INDEX is
# where PyTorch comes from; the one here has it for CPUs alone, without the gigabytes for GPUs.
FROM python:3.11-slim
ARG SPLITOPT="splitopt[train,tls]=={version}"
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" "$SPLITOPT" \\
 && useradd --uid {USER} --create-home runner \\
 && mkdir -p {RESULTS} && chown {USER} {RESULTS}
COPY plan.json {PLAN_PATH}
ENV OMP_NUM_THREADS=1
USER {USER}
WORKDIR {RESULTS}
""".encode()


def dockerignore() -> bytes:
    """Return what a build must not see: everything but the plan."""
    return b"*\n!plan.json\n!*.whl\n"


def listening_check(port: int) -> list[str]:
    """Return the command that succeeds where something listens on a port of this machine.

    It reads the kernel's table and connects to nobody: who connects and proves no token is counted
    as a stranger.
    """
    return ["grep", "-q", f":{port:04X} 00000000:0000 0A ", "/proc/net/tcp"]


def joined_check() -> list[str]:
    """Return the command that succeeds where a connection to rank 0 is up."""
    return ["grep", "-q", f":{PORT:04X} 01 ", "/proc/net/tcp"]
