"""The page of a Flower app: how it is run, what is kept of the plan, and what is not."""

from __future__ import annotations

from typing import Any

from splitopt.export.job import Job
from splitopt.export.rounds_page import KEPT, rounds_page
from splitopt.units import counted


def flower_page(job: Job, spec: dict[str, Any]) -> str:
    """Write the README of the folder."""
    count = len(spec["clients"])
    title, what = "as a Flower app", f"{counted(count, 'client')} of Flower"
    return rounds_page(job, spec, title, what, [_run(count), KEPT + _KEPT])


def _run(count: int) -> str:
    return f"""Install Flower in an environment of its own, with PyTorch first:

```sh
pip install torch numpy
pip install 'flwr[simulation]>=1.42,<2'
```

Data are a folder with `NAME.npz` for each client (`x` and `y`), as for `splitopt train --partition
own`. Say how many clients there are in `$FLWR_HOME/config.toml` (`~/.flwr/config.toml`):

```toml
[superlink]
default = "local"

[superlink.local]
address = ":local:"
options.num-supernodes = {count}
options.backend.client-resources.num-cpus = 1
```

and run it. Paths are absolute, since Flower runs a copy of this folder:

```sh
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1  # the environment has all that is needed
flwr run . --stream --run-config 'data="/path/to/data" save="/path/to/model.safetensors" rounds=5'
```

| in the configuration of a run | is |
|---|---|
| `data` | the folder of the data |
| `rounds` | how many rounds; those of the plan by default |
| `lr`, `server-lr` | the learning rates of devices and server; 0 is that of the devices |
| `weights` | a safetensors file to begin with; else those that `splitopt train` draws by seed 0 |
| `save` | where the trained weights are written, as a safetensors file |
| `host`, `port`, `listen` | where clients find the server's socket, and where it listens |"""


_KEPT = """

Not kept are shares of links and servers, and time: the simulation engine is as fast as it is, and
an exchange takes some tenths of a second whatever it carries.

## On machines of their own

With SuperNodes, which take seconds for a message, give the run a host and a port at which clients
reach the server. A client then gets one message a round and sends its batches over a socket:

```sh
flower-superlink --insecure --host 127.0.0.1 --port 8000
flower-supernode --insecure --superlink 127.0.0.1:8000 --port 9101 --node-config 'client="NAME"'
flwr run . own --stream --run-config 'host="127.0.0.1" port=9200 data="/path/to/data" rounds=5'
```

with a SuperNode for each client, and `[superlink.own]` with `address = "127.0.0.1:8000"` and
`insecure = true` in `config.toml`. The socket turns away who does not know the token of the round,
and refuses what was changed; it does not hide what it carries."""
