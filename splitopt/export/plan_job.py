"""What an export of a plan alone has to write: no model is opened for it, and no PyTorch needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from splitopt.errors import InfeasibleError
from splitopt.export.deployment.settings import Deployment
from splitopt.export.folder import PLAN_FORMAT, PLAN_MANIFEST
from splitopt.extras import installed_version
from splitopt.planning.planner import OpenedPlan, open_plan
from splitopt.plans import Plan, plan_digest
from splitopt.training.program import Program, read_program

VERSION = 1
PLAN_FILE = "plan.json"


@dataclass(frozen=True, eq=False)
class PlanJob:
    """An export of a plan that is to be written.

    Parameters
    ----------
    plan
        As it was given.
    opened
        Its scenario, profile, problem and decision; its prediction is computed anew.
    source
        How messages call the plan.
    deployment
        How its parties are started, for formats that start them.
    """

    plan: Plan
    opened: OpenedPlan
    source: str = "plan"
    deployment: Deployment = field(default_factory=Deployment)

    @cached_property
    def program(self) -> Program:
        """What the plan asks of whoever trains it.

        Raises
        ------
        InputError
            It is none that can be trained, or is about more devices than can be listed.
        """
        return read_program(self.opened, self.plan, self.source)


def plan_job(plan: Plan, source: str = "plan", deployment: Deployment | None = None) -> PlanJob:
    """Open a plan for an export.

    Raises
    ------
    InputError
        It cannot be read.
    InfeasibleError
        It has no decision.
    """
    opened = open_plan(plan, source)
    if opened.prediction is None:
        reason = plan.result.get("message") or "no feasible decision was found"
        raise InfeasibleError(f"{source}: there is nothing to export: {reason}")
    return PlanJob(plan, opened, source, deployment or Deployment())


def plan_bytes(plan: Plan) -> bytes:
    """Return a plan as the bytes of its file."""
    return (json.dumps(plan.to_dict(), indent=1, allow_nan=False) + "\n").encode()


def manifest_of(plan: Plan, to: str) -> dict[str, Any]:
    """Return the manifest of an export of a plan alone, without the digests of its files."""
    return {
        "format": PLAN_FORMAT,
        "version": VERSION,
        "made_by": f"splitopt {installed_version('splitopt')}",
        "to": to,
        "plan": {
            "hash": plan_digest(plan),
            "problem": plan.problem,
            "objective": plan.objective,
            "scenario": plan.scenario.get("name"),
            "outcome": plan.result.get("outcome"),
        },
    }


def with_manifest(files: Mapping[str, bytes], plan: Plan, to: str) -> dict[str, bytes]:
    """Return the files of an export with a manifest that names each other file by its SHA-256."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = {**manifest_of(plan, to), "files": digests}
    return {PLAN_MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode(), **files}
