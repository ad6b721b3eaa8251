"""``compose``: a plan's parties as services of Docker Compose, or of Podman's, on one machine.

On several machines each starts its own services of the same file, with networks that reach across.
"""

from __future__ import annotations

from typing import Any

from splitopt.documents.yaml_text import write_yaml
from splitopt.export.deployment.image import (
    dockerfile,
    dockerignore,
    joined_check,
    listening_check,
)
from splitopt.export.deployment.pages import compose_page
from splitopt.export.deployment.services import (
    DATA,
    PORT,
    RESULTS,
    Service,
    host_of,
    secret_paths,
    services_of,
)
from splitopt.export.plan_job import PLAN_FILE, PlanJob, plan_bytes

CERTIFICATES = "./certificates"
"""Where the secrets are, beside the file; `splitopt certificates` makes them."""


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    InputError, CapabilityError
        As `splitopt.export.deployment.services.services_of`.
    """
    services = services_of(job)
    return {
        "compose.yaml": write_yaml(compose_of(job, services)).encode(),
        "Dockerfile": dockerfile(),
        "Dockerfile.dockerignore": dockerignore(),
        PLAN_FILE: plan_bytes(job.plan),
        "README.md": compose_page(job, services).encode(),
    }


def compose_of(job: PlanJob, services: tuple[Service, ...]) -> dict[str, Any]:
    """Return the file as plain data, by the Compose Specification."""
    named = {name: None for service in services for name in secret_paths(service.rank)}
    return {
        "name": "splitopt",
        "services": {service.name: _service(job, service) for service in services},
        # Nobody outside reaches it, and what is in it reaches nobody outside.
        "networks": {"run": {"internal": True}},
        "volumes": {f"results-{one.rank}": {} for one in services if one.has_results},
        "secrets": {name: {"file": f"{CERTIFICATES}/{name}"} for name in named},
    }


def _service(job: PlanJob, service: Service) -> dict[str, Any]:
    own: dict[str, Any] = {
        "image": _literal(job.deployment.image),
        "build": {"context": "."},
        "command": [_literal(item) for item in service.command],
        "labels": {"splitopt.party": _literal(service.party), "splitopt.role": service.role},
        "networks": ["run"],
        "secrets": list(secret_paths(service.rank)),
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "deploy": {
            "resources": {
                "reservations": {
                    "cpus": f"{service.cores:.2f}",
                    "memory": str(service.requested_bytes),
                },
                "limits": {"cpus": "1.00", "memory": str(service.most_bytes)},
            }
        },
        "healthcheck": {
            "test": ["CMD", *_check(service)],
            "interval": "10s",
            "timeout": "5s",
            "retries": 6,
            "start_period": "120s",
        },
        "environment": {"OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": "/tmp/numba"},
    }
    volumes = [f"results-{service.rank}:{RESULTS}"] if service.has_results else []
    if service.data is not None:
        place = f"./data/{service.name}" if service.data == "own" else "./data"
        volumes.append(f"{place}:{DATA}:ro")
    if volumes:
        own["volumes"] = volumes
    if service.rank:
        own["depends_on"] = {host_of(0): {"condition": "service_healthy"}}
    if service.role in ("device", "owner", "edge server"):
        own["restart"] = "on-failure:5"  # it takes part again from the next round on
    return own


def _check(service: Service) -> list[str]:
    return listening_check(PORT) if service.rank == 0 else joined_check()


def _literal(text: str) -> str:
    """Return a text in which Compose replaces no variable."""
    return text.replace("$", "$$")
