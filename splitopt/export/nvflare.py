"""``nvflare``: the plan as a job that NVIDIA FLARE's simulator runs.

A round is a task for each client. Within it smashed data and gradients are requests of the server.
"""

from __future__ import annotations

from typing import Any

from splitopt.export.job import Job
from splitopt.export.rounds import round_files, spec_of
from splitopt.export.rounds_page import DATA, KEPT, rounds_page
from splitopt.units import counted

_MODULES = ("nvflare_client", "nvflare_server", "nvflare_job")


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        The plan is for another scheme, or asks for what the job does not do.
    InputError
        The model was given as an object or a file, so that other processes cannot build it.
    """
    spec = spec_of(job, "job")
    return round_files(job, spec, _MODULES) | {"README.md": _page(job, spec).encode()}


def _page(job: Job, spec: dict[str, Any]) -> str:
    """Write the README of the folder."""
    count = len(spec["clients"])
    title, what = "as a job of NVIDIA FLARE", f"{counted(count, 'client')} of NVIDIA FLARE"
    return rounds_page(job, spec, title, what, [_RUN, KEPT + _KEPT])


_RUN = f"""Install NVIDIA FLARE in an environment of its own, with PyTorch first:

```sh
pip install torch numpy
pip install 'nvflare>=2.9,<3'
```

{DATA} The simulator starts a process for each client; `site-1` is the first client of the plan,
`site-2` the second:

```sh
python nvflare_job.py --data /path/to/data --rounds 5 --save model.safetensors
```

`python nvflare_job.py --help` lists the options: learning rates, weights to begin with, the folder
of the simulator. `--write FOLDER` writes the job instead, for `nvflare job submit`; paths of
`--data`, `--weights` and `--save` are then those of the sites and of the server."""
_KEPT = """

Not kept are shares of links and servers, and time: the simulator is as fast as it is. A client
computes each forward pass twice: once to send, once to step."""
