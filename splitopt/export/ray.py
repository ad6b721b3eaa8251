"""``ray``: the plan as a program for Ray, which trains fleets of thousands of simulated clients.

Clients are no processes: tasks train them, and return one sum of models for many of them.
"""

from __future__ import annotations

from typing import Any

from splitopt.export.job import Job
from splitopt.export.rounds import round_files, spec_of
from splitopt.export.rounds_page import DATA, KEPT, rounds_page
from splitopt.units import counted


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        The plan is for another scheme, or asks for what the program does not do.
    InputError
        The model was given as an object or a file, so that other processes cannot build it.
    """
    spec = spec_of(job, "program")
    return round_files(job, spec, ("ray_train",)) | {"README.md": _page(job, spec).encode()}


def _page(job: Job, spec: dict[str, Any]) -> str:
    """Write the README of the folder."""
    title, clients = "as a program for Ray", counted(len(spec["clients"]), "client")
    what = f"{clients} that Ray simulates"
    return rounds_page(job, spec, title, what, [_RUN, KEPT + _KEPT])


_RUN = f"""```sh
pip install torch numpy 'ray>=2.40'
python ray_train.py --data /path/to/data --rounds 5 --save model.safetensors
```

{DATA} `python ray_train.py --help` lists the options. `--address` trains on a running cluster, to
which this folder is sent; the data must be under their path on every machine of it."""
_KEPT = """

Not kept are shares of links and servers, and time: tasks take as long as they do. In SplitFedV2 one
part of the server learns from one batch at a time, which more processors do not make faster."""
