"""What plug-ins bring to training: schemes, tasks, optimizers and codecs.

Free of PyTorch: they can be named and listed where nothing can be trained. What is needed of each
kind stands beside what the kind is: `splitopt.training.schemes.naming`,
`splitopt.training.tasks.naming`, `splitopt.training.optimizers` and
`splitopt.training.codecs.registry`.
"""

from __future__ import annotations

from splitopt.plugins import Kind, Listed

_SCHEMES = "splitopt.training.schemes"
_TASKS = "splitopt.training.tasks"
_CODECS = "splitopt.training.codecs"

SCHEME = Kind(
    "scheme",
    "schemes",
    "splitopt.schemes",
    {
        "centralized": f"{_SCHEMES}.federated:Centralized",
        "federated": f"{_SCHEMES}.federated:Federated",
        "vanilla": f"{_SCHEMES}.vanilla:Vanilla",
        "splitfed_v1": f"{_SCHEMES}.splitfed_v1:SplitFedV1",
        "splitfed_v2": f"{_SCHEMES}.splitfed_v2:SplitFedV2",
        "clustered": f"{_SCHEMES}.clustered:Clustered",
        "multihop": f"{_SCHEMES}.multihop:Multihop",
        "u_shaped": f"{_SCHEMES}.multihop:UShaped",
        "split_nn": f"{_SCHEMES}.split_nn:SplitNN",
        "graph": f"{_SCHEMES}.graph_parts:GraphParts",
        "replicas": f"{_SCHEMES}.replicated_stages:ReplicatedStages",
    },
    f"{_SCHEMES}.naming:read",
    f"{_SCHEMES}.naming:defines",
    "write a class that extends splitopt.training.schemes.Scheme",
)
TASK = Kind(
    "task",
    "tasks",
    "splitopt.tasks",
    {
        name: f"{_TASKS}.known:{name.upper()}"
        for name in ("classification", "multilabel", "regression", "segmentation", "language")
    },
    f"{_TASKS}.naming:read",
    f"{_TASKS}.naming:defines",
    "write NAME = splitopt.training.tasks.Task(...), or name a loss, FILE.py:NAME",
)
OPTIMIZER = Kind(
    "optimizer",
    "optimizers",
    "splitopt.optimizers",
    {"sgd": "torch.optim:SGD", "adam": "torch.optim:Adam", "adamw": "torch.optim:AdamW"},
    "splitopt.training.optimizers:read",
    "splitopt.training.optimizers:defines",
    "write a function of a list of parameters and lr that returns a torch.optim.Optimizer",
)
CODEC = Kind(
    "codec",
    "codecs",
    "splitopt.codecs",
    {
        "fp16": f"{_CODECS}.floats:Fp16",
        "bf16": f"{_CODECS}.floats:Bf16",
        "int8": f"{_CODECS}.affine:Int8",
        "int4": f"{_CODECS}.affine:Int4",
        "topk": f"{_CODECS}.topk:TopK",
    },
    f"{_CODECS}.registry:read",
    f"{_CODECS}.registry:defines",
    "write a class that extends splitopt.training.codecs.base.Codec",
    more=("none",),
)
KINDS = (SCHEME, TASK, OPTIMIZER, CODEC)
"""All kinds, in the order of their lists."""


def listed_plugins(kinds: tuple[Kind, ...] = KINDS) -> list[Listed]:
    """Return a row for every plug-in of some kinds, broken ones with the reason.

    Raises
    ------
    CapabilityError
        PyTorch is not installed, without which none loads.
    """
    from splitopt.extras import need_torch

    need_torch("listing plug-ins")
    return [row for kind in kinds for row in kind.listed()]
