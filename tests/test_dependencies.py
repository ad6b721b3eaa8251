"""What the package imports is what it declares, so that nothing works by luck."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEHIND_AN_EXTRA = {
    "cryptography", "distributed", "executorch", "flower_socket", "flwr", "nvflare",
    "nvflare_client", "nvflare_server", "onnxruntime", "opacus", "openvino", "ortools", "pandas",
    "PIL", "plan_device", "plan_server", "plan_task", "pyarrow", "pymoo", "ray", "safetensors",
    "torch", "xlsxwriter",
}  # fmt: skip


def imported_packages():
    """Names of the top-level packages that any module of splitopt imports, anywhere in it."""
    found = set()
    for path in (ROOT / "splitopt").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"splitopt"}


def test_every_import_is_declared():
    """Each imported package belongs to a declared dependency, or sits behind an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=\[]", line)[0].lower() for line in project["dependencies"]}
    declared |= {"pydantic-core"}  # pydantic pins it and documents it as its own engine
    owners = metadata.packages_distributions()
    for package in imported_packages() - BEHIND_AN_EXTRA:
        names = {name.lower().replace("_", "-") for name in owners.get(package, [package])}
        assert names & declared, f"{package} is imported but not declared"
