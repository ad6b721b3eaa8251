"""``flower``: the plan as an app that Flower runs, in simulation and in deployment.

Rounds are those of a Flower strategy. Within a round smashed data and gradients are messages of the
grid in simulation, and in deployment go over sockets that these messages name. Cuts, batches,
samples, weights and orders are the plan's, so that what is learned is what `splitopt train` learns
of the same data.
"""

from __future__ import annotations

from splitopt.export.flower_page import flower_page
from splitopt.export.job import Job
from splitopt.export.rounds import round_files, spec_of


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        The plan is for another scheme, or asks for what the app does not do.
    InputError
        The model was given as an object, so that nothing says how to build it.
    """
    spec = spec_of(job, "app")
    return round_files(job, spec, ("flower_client", "flower_server", "flower_socket")) | {
        "pyproject.toml": _project(job).encode(),
        "README.md": flower_page(job, spec).encode(),
    }


def _project(job: Job) -> str:
    """Write the description of the app; PyTorch is left to the environment it runs in."""
    rounds = job.program.rounds
    return f"""[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "splitopt-plan"
version = "1.0.0"
description = "Training by a plan of splitopt"
dependencies = ["flwr[simulation]>=1.42,<2"]

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "splitopt"

[tool.flwr.app.components]
serverapp = "flower_server:app"
clientapp = "flower_client:app"

[tool.flwr.app.config]
rounds = {rounds}
lr = 0.1
server-lr = 0.0
data = ""
weights = ""
save = ""
host = ""
port = 9200
listen = ""
"""
