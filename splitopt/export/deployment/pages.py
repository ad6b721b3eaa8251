"""The page of a folder with services, and the script that makes secrets of a cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from splitopt.export.deployment.image import USER
from splitopt.export.deployment.services import RESULTS, Service, secret_paths

if TYPE_CHECKING:
    from splitopt.export.plan_job import PlanJob

_MIB = 2**20
_SECRET = """\
`certificates/` holds a key for each party and the token of the run. It is no part of this export:
keep it out of what you share and out of version control. On machines of different owners each gets
`ca.pem`, `token` and its own `rank-K.pem` and `rank-K.key`, and nobody else's.
"""
_LIMITS = """\
## What is kept of the plan, and what is not

Cuts, shares of links and server, clusters and orders are kept: the processes themselves keep the
plan's pace, as in `splitopt train --wire`. Requests for cores are the part of a round for which the
plan has a party compute; requests for memory are what its parts take by the plan, beside {base} MiB
for the process. No process uses more than one core. Limits of memory are those that the scenario
states for a machine, beside twice that; where it states none, what the plan has it use.
"""


def compose_page(job: PlanJob, services: tuple[Service, ...]) -> str:
    """Return the README of a folder for Compose."""
    return f"""# {_title(job)}

Written by splitopt for Docker Compose. Each party of the plan is a service.

    splitopt certificates plan.json -o certificates --days 7{_fed(job)}
    sudo chown {USER} certificates/*    # Compose mounts files as they are, for the containers' user
    docker compose build
    docker compose up --abort-on-container-failure
    docker compose cp rank-0:{RESULTS} results

{_SECRET}
{_built()}
{_table(services)}
{_data(services, "`./data/rank-K` beside this page", "`./data` beside this page")}
On several machines, give the services a network that reaches across (an overlay of Docker Swarm, or
a VPN), and start on each machine its own: `docker compose up --no-deps rank-3`.

{_limits()}"""


def kubernetes_page(job: PlanJob, services: tuple[Service, ...]) -> str:
    """Return the README of a folder for Kubernetes."""
    return f"""# {_title(job)}

Written by splitopt for Kubernetes. Each party of the plan is a Job.

    splitopt certificates plan.json -o certificates --days 7{_fed(job)}
    docker build -t {job.deployment.image} . && docker push {job.deployment.image}
    kubectl create namespace splitopt
    sh make-secrets.sh certificates
    kubectl apply -f kubernetes.yaml
    kubectl -n splitopt logs -f job/rank-0

{_SECRET}
`make-secrets.sh` makes a Secret for each party of these files; no manifest holds any of them.

{_built()}
{_table(services)}
{_data(services, "the claim `data-rank-K`", "the claim `data`")}
The policy lets parties reach one another and the cluster's names of hosts (pods with the label
`k8s-app: kube-dns`), and nothing else. The results are on the claim `results-rank-0`. Before a run
is started anew, delete the jobs of the old one: `kubectl -n splitopt delete jobs --all`. To run a
device outside of the cluster, leave its job out, and give rank 0 an address that it reaches.

{_limits()}"""


def secrets_script(services: tuple[Service, ...]) -> str:
    """Return the shell script that makes a Secret for each party, of files of certificates."""
    lines = [
        "#!/bin/sh",
        "# Makes a Secret for each party of what 'splitopt certificates' wrote.",
        "set -eu",
        'from="${1:?usage: make-secrets.sh FOLDER}"',
    ]
    for service in services:
        files = " ".join(f'--from-file="$from/{name}"' for name in secret_paths(service.rank))
        lines.append(f"kubectl -n splitopt create secret generic {service.name} {files}")
    return "\n".join(lines) + "\n"


def _title(job: PlanJob) -> str:
    name = json.dumps(str(job.plan.scenario.get("name")))
    return f"A run of the plan of {name}, {job.program.scheme}"


def _fed(job: PlanJob) -> str:
    return " --fed-server" if job.deployment.fed_server else ""


def _built() -> str:
    return (
        "The image holds splitopt, PyTorch and `plan.json`. Put a wheel of splitopt beside the "
        "Dockerfile and\nbuild with `--build-arg SPLITOPT=...` where no package index has it.\n"
    )


def _table(services: tuple[Service, ...]) -> str:
    rows = [
        "| service | party | role | cores | memory, MiB | at most |",
        "|---|---|---|---|---|---|",
    ]
    for service in services:
        party = json.dumps(service.party).replace("|", "\\|")
        rows.append(
            f"| {service.name} | {party} | {service.role} | {service.cores:.2f} | "
            f"{service.requested_bytes / _MIB:.0f} | {service.most_bytes / _MIB:.0f} |"
        )
    return "\n".join(rows) + "\n"


def _data(services: tuple[Service, ...], own: str, shared: str) -> str:
    kind = services[0].data
    if kind is None:
        return (
            "Data are those that splitopt brings; `--train '--data /data/FILE.npz'` takes yours.\n"
        )
    place = own if kind == "own" else shared
    return f"Data are read from `/data`, which is {place}.\n"


def _limits() -> str:
    from splitopt.export.deployment.services import PROCESS_BYTES

    return _LIMITS.format(base=PROCESS_BYTES // _MIB)
