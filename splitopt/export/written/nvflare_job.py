"""The plan as a job of NVIDIA FLARE: run in its simulator, or written for a deployment.

``python nvflare_job.py --data FOLDER`` trains in the simulator, with a process for each client;
``--write FOLDER`` writes the job, which ``nvflare job submit`` takes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nvflare.job_config.api import FedJob
from nvflare.recipe import SimEnv
from nvflare_client import Device
from nvflare_server import Server
from plan_task import HERE, check_rounds, spec

FILES = ("rounds.json", "parts.json", "parts.py", "model.py", "weights.safetensors")


def job_of(given: argparse.Namespace) -> FedJob:
    """Return the job."""
    job = FedJob(name="splitopt", min_clients=len(spec()["clients"]))
    save = str(Path(given.save).absolute()) if given.save else ""
    weights = str(Path(given.weights).absolute()) if given.weights else ""
    job.to_server(Server(given.rounds, given.server_lr or given.lr, weights, save))
    job.to_clients(Device(str(Path(given.data).absolute()), given.lr))
    for name in FILES:
        if (HERE / name).is_file():
            job.add_file_to_server(str(HERE / name))
            job.add_file_to_clients(str(HERE / name))
    return job


def main() -> None:
    """Run or write the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with NAME.npz for each client")
    parser.add_argument(
        "--rounds", type=int, default=spec()["rounds"], help="the plan's by default"
    )
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
    parser.add_argument("--server-lr", type=float, help="that of the server, --lr by default")
    parser.add_argument("--weights", help="safetensors file to begin with")
    parser.add_argument("--save", help="safetensors file for the trained weights")
    parser.add_argument("--workspace", default="workspace", help="folder of the simulator")
    parser.add_argument("--write", help="write the job into this folder, and do not run it")
    given = parser.parse_args()
    try:
        check_rounds(given.rounds)
    except ValueError as error:
        parser.error(str(error))
    job = job_of(given)
    if given.write:
        job.export_job(given.write)
        return
    workspace = str(Path(given.workspace).absolute())
    # A process for each client: within a round it holds the weights of its part.
    SimEnv(num_clients=len(spec()["clients"]), workspace_root=workspace).deploy(job)


if __name__ == "__main__":
    main()
