"""`import_plan`: a plan read back from a folder that an export wrote, checked by its hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from splitopt.documents.json_text import parse_json, read_json
from splitopt.documents.reading import decoded, read_bytes
from splitopt.errors import InputError, shown
from splitopt.export.folder import MANIFESTS
from splitopt.export.plan_job import PLAN_FILE
from splitopt.plans import Plan, plan_digest

HOLD_PLANS = (
    *("torch-pipelining", "flower", "nvflare", "ray"),
    *("pipeedge", "mp-sl", "plato", "compose", "kubernetes"),
)
"""Formats whose folders hold the whole plan."""


def import_plan(source: str | Path) -> Plan:
    """Return the plan that an export of it holds.

    Parameters
    ----------
    source
        The folder, or its manifest ``parts.json`` or ``export.json``. Nothing in it is executed.

    Raises
    ------
    InputError
        It is no export, its format holds no plan, or the plan is not the one that was exported: the
        file, a part of it, or the whole does not have the hash that plan and manifest say.
    """
    manifest_path = _manifest_of(Path(source))
    manifest = read_json(manifest_path)
    files, named = _said(manifest, manifest_path)
    if PLAN_FILE not in files:
        raise InputError(
            f"{manifest_path.parent}: holds no whole plan; exports to {', '.join(HOLD_PLANS)} do"
        )
    path = manifest_path.parent / PLAN_FILE
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != files[PLAN_FILE]:
        raise InputError(
            f"{path}: is not the plan that was exported, its SHA-256 is another than in "
            f"{manifest_path.name}; export again, or take the plan's own file"
        )
    plan = Plan.from_dict(parse_json(decoded(content, str(path)), str(path)), str(path))
    if plan_digest(plan) != named:
        raise InputError.at(
            f"{manifest_path}: plan.hash",
            f"is {shown(named)}, which is another plan's; export again",
        )
    return plan


def _manifest_of(source: Path) -> Path:
    """Return the path of the manifest of an export."""
    if source.name in MANIFESTS and source.is_file():
        return source
    for name in MANIFESTS:
        if (source / name).is_file():
            return source / name
    if not source.exists():
        raise InputError(f"{source}: there is no such folder or file")
    raise InputError(
        f"{source}: is no export, which has {' or '.join(MANIFESTS)}; name the folder that "
        "'splitopt export' wrote"
    )


def _said(manifest: Any, path: Path) -> tuple[dict[str, Any], Any]:
    """Return the digests of files and the hash of the plan that a manifest says."""
    match manifest:
        case {"files": dict() as files, "plan": {"hash": str() as named}}:
            return files, named
    raise InputError(
        f"{path}: is no manifest of an export, which has 'files' and 'plan.hash'; export again"
    )
