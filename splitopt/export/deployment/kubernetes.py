"""``kubernetes``: a plan's parties as jobs of a cluster, with services, probes and policies."""

from __future__ import annotations

from typing import Any

from splitopt.documents.yaml_text import write_yaml
from splitopt.export.deployment.image import (
    USER,
    dockerfile,
    dockerignore,
    joined_check,
    listening_check,
)
from splitopt.export.deployment.pages import kubernetes_page, secrets_script
from splitopt.export.deployment.services import (
    DATA,
    PORT,
    RESULTS,
    SECRETS,
    Service,
    services_of,
)
from splitopt.export.plan_job import PLAN_FILE, PlanJob, plan_bytes
from splitopt.plans import plan_digest

NAMESPACE = "splitopt"
_LABEL = "app.kubernetes.io"


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    InputError, CapabilityError
        As `splitopt.export.deployment.services.services_of`.
    """
    services = services_of(job)
    objects = objects_of(job, services)
    return {
        "kubernetes.yaml": "---\n".join(map(write_yaml, objects)).encode(),
        "make-secrets.sh": secrets_script(services).encode(),
        "Dockerfile": dockerfile(),
        "Dockerfile.dockerignore": dockerignore(),
        PLAN_FILE: plan_bytes(job.plan),
        "README.md": kubernetes_page(job, services).encode(),
    }


def objects_of(job: PlanJob, services: tuple[Service, ...]) -> list[dict[str, Any]]:
    """Return the objects of the cluster as plain data, in the order in which they are made.

    Secrets are none of them: `secrets_script` makes those of files that stay where they are.
    """
    found: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        },
        *_policies(),
    ]
    for service in services:
        if service.has_results:
            found.append(_claim(f"results-{service.name}", "ReadWriteOnce", "1Gi"))
        if service.port:  # nodes are found at the address from which they come to rank 0
            found.append(_service(service))
        if service.data == "own":
            found.append(_claim(f"data-{service.name}", "ReadWriteOnce", "1Gi"))
    if services[0].data == "shared":
        found.append(_claim("data", "ReadOnlyMany", "1Gi"))
    found += [_job(job, service) for service in services]
    return found


def _metadata(name: str, **labels: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {f"{_LABEL}/part-of": "splitopt", **labels},
    }


def _policies() -> list[dict[str, Any]]:
    """Return that parties reach one another and the names of hosts, and nobody else anything."""
    party = {"podSelector": {"matchLabels": {f"{_LABEL}/part-of": "splitopt"}}}
    names = {
        "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
        "ports": [{"protocol": kind, "port": 53} for kind in ("UDP", "TCP")],
    }
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": _metadata("parties"),
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [party]}],
                "egress": [{"to": [party]}, names],
            },
        }
    ]


def _claim(name: str, mode: str, size: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(name),
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": size}}},
    }


def _service(service: Service) -> dict[str, Any]:
    """Return the name under which a pod is found; addresses are those of pods themselves."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(service.name),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,  # parties look for it until it listens
            "selector": {"splitopt/rank": str(service.rank)},
            "ports": [{"name": "wire", "port": service.port, "targetPort": service.port}],
        },
    }


def _job(job: PlanJob, service: Service) -> dict[str, Any]:
    again = service.role in ("device", "owner", "edge server")
    labels = {"splitopt/rank": str(service.rank)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **_metadata(service.name, **labels),
            "annotations": {
                "splitopt/party": service.party,
                "splitopt/role": service.role,
                "splitopt/plan": plan_digest(job.plan),
            },
        },
        "spec": {
            "backoffLimit": 5 if again else 0,  # a device takes part again from the next round on
            "template": {
                "metadata": {"labels": {f"{_LABEL}/part-of": "splitopt", **labels}},
                "spec": {
                    "restartPolicy": "OnFailure" if again else "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": USER,
                        "fsGroup": USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [_container(job, service)],
                    "volumes": [volume for volume, _ in _volumes(service)],
                },
            },
        },
    }


def _container(job: PlanJob, service: Service) -> dict[str, Any]:
    listening = service.rank == 0
    check = {"exec": {"command": listening_check(PORT) if listening else joined_check()}}
    found: dict[str, Any] = {
        "name": "splitopt",
        "image": job.deployment.image,
        "command": [_literal(item) for item in service.command],
        "env": [
            {"name": "OMP_NUM_THREADS", "value": "1"},
            {"name": "NUMBA_CACHE_DIR", "value": "/tmp/numba"},
        ],
        "resources": {
            "requests": {
                "cpu": f"{round(1000 * service.cores)}m",
                "memory": str(service.requested_bytes),
            },
            "limits": {"cpu": "1", "memory": str(service.most_bytes)},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": {**check, "periodSeconds": 10},
        "volumeMounts": [mount for _, mount in _volumes(service)],
    }
    if service.port:
        found["ports"] = [{"name": "wire", "containerPort": service.port}]
    if listening:  # it listens until the run ends
        found["startupProbe"] = {**check, "periodSeconds": 10, "failureThreshold": 60}
        found["livenessProbe"] = {**check, "periodSeconds": 30}
    return found


def _volumes(service: Service) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return volumes with where they are mounted."""
    secret = {"name": "secrets", "secret": {"secretName": service.name, "defaultMode": 0o440}}
    found: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (secret, {"name": "secrets", "mountPath": SECRETS, "readOnly": True}),
        ({"name": "tmp", "emptyDir": {}}, {"name": "tmp", "mountPath": "/tmp"}),
    ]
    if service.has_results:
        found.append(_claimed("results", f"results-{service.name}", RESULTS))
    if service.data is not None:
        claim = f"data-{service.name}" if service.data == "own" else "data"
        found.append(_claimed("data", claim, DATA, read_only=True))
    return found


def _claimed(
    name: str, claim: str, path: str, *, read_only: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    mount = {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}, mount


def _literal(text: str) -> str:
    """Return a text in which Kubernetes replaces no variable, ``$(NAME)``."""
    return text.replace("$(", "$$(")
