"""Train the stages of a plan as a pipeline, one process for each, started by torchrun.

    torchrun --standalone --nproc-per-node STAGES train_pipeline.py --data DATA

It needs PyTorch and the files beside it: ``parts.py`` has the stages, ``pipeline.json`` says who
runs which. Every step takes one batch of the client's data, cut into microbatches; gradients are
those of the mean over the microbatches. Inputs and labels stay with the first and the last stage.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
parts = importlib.import_module("parts")  # parts.py, which stands beside this file
SCHEDULES = {"1f1b": Schedule1F1B, "gpipe": ScheduleGPipe}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def main() -> None:
    """Run one stage, that of this process."""
    spec = json.loads((HERE / "pipeline.json").read_text(encoding="utf-8"))
    args = read_arguments(spec)
    client = spec["clients"][args.client]
    stages = client["stages"]
    if "RANK" not in os.environ or int(os.environ["WORLD_SIZE"]) != len(stages):
        sys.exit(
            f"{args.client} has {len(stages)} stages, a process for each: torchrun --standalone "
            f"--nproc-per-node {len(stages)} {sys.argv[0]} ..."
        )
    batch, pieces = microbatches(args, client)
    number = client["stage_of_rank"][int(os.environ["RANK"])]
    device = choose_device(args.device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    # The rank in the group is the number of the stage, as the schedules want it.
    dist.init_process_group(backend, rank=number, world_size=len(stages))
    part = own_part(args, number).to(device)
    entry, result = shapes_at(stages, number)
    stage = PipelineStage(
        Sent(part),
        number,
        len(stages),
        device,
        input_args=like(entry, batch // pieces, leaf=number > 0),
        output_args=like(result, batch // pieces, leaf=True),
    )
    schedule = SCHEDULES[args.schedule](stage, n_microbatches=pieces, loss_fn=args.loss)
    train(args, part, stage, schedule, batch, device)
    if args.save is not None:
        args.save.mkdir(parents=True, exist_ok=True)
        path = args.save / f"{stages[number]['part']}.safetensors"
        parts.write_weights(path, part.state_dict())
    dist.destroy_process_group()


def train(
    args: argparse.Namespace,
    part: nn.Module,
    stage: PipelineStage,
    schedule: Any,
    batch: int,
    device: torch.device,
) -> None:
    """Walk through the data: the first stage has the inputs, the last one the targets."""
    values = load_data(args.data, stage.is_first, stage.is_last)
    count = agreed_count(len(values), stage, device)
    if count < batch:
        sys.exit(f"there are {count} samples, fewer than the {batch} of a batch: --batch-size")
    parameters = [p for p in part.parameters() if p.requires_grad]
    optimizer = make_optimizer(args, parameters) if parameters else None
    generator = torch.Generator().manual_seed(args.seed)
    for epoch in range(args.epochs):
        order = torch.randperm(count, generator=generator)  # the same in all processes
        for step in range(count // batch):
            rows = order[step * batch : (step + 1) * batch]
            if optimizer is not None:
                optimizer.zero_grad()
            if stage.is_first:
                schedule.step(values[rows].to(device))
            elif stage.is_last:
                losses: list[Tensor] = []
                schedule.step(target=values[rows].to(device), losses=losses)
                loss = float(torch.stack(losses).detach().mean())
                print(f"epoch {epoch + 1} step {step + 1} loss {loss:.9g}", flush=True)
                if not math.isfinite(loss):
                    sys.exit("the loss is not finite; lower the learning rate (--lr)")
            else:
                schedule.step()
            if optimizer is not None:
                optimizer.step()


class Sent(nn.Module):
    """A part whose result lies in memory as it is sent."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Tensor) -> Tensor:
        """Run the part."""
        result: Tensor = self.part(*inputs)
        return result.contiguous()


def own_part(args: argparse.Namespace, number: int) -> nn.Module:
    """Build the model as in every other process, and keep one part of it."""
    torch.manual_seed(args.seed)
    weights = parts.HERE / "weights.safetensors" if args.weights is None else args.weights
    if args.weights is None and not weights.exists():
        weights = None
    build = found(args.model, "--model")
    chain = parts.load_chain(build(), args.client, weights)
    torch.manual_seed(args.seed + 1 + number)  # what the layers draw from, such as dropout
    part: nn.Module = chain[number][1]
    return part.train()


def shapes_at(stages: list[dict[str, Any]], number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return shape and type of what a stage takes and what it gives."""
    known = parts.manifest()
    start, end = stages[number]["after"], stages[number]["until"]
    entry = known["model"]["inputs"][0] if start is None else known["crossings"][start]
    return entry, known["model"]["output"] if end is None else known["crossings"][end]


def like(what: dict[str, Any], samples: int, leaf: bool) -> Tensor:
    """Return a tensor without values in the shape for a number of samples, such as [B, 8, 8, 8]."""
    shape = [
        side if isinstance(side, int) else samples * int(side.removesuffix("B") or 1)
        for side in what["shape"]
    ]
    dtype = getattr(torch, what["dtype"])
    return torch.empty(shape, dtype=dtype, device="meta", requires_grad=leaf)


def microbatches(args: argparse.Namespace, client: dict[str, Any]) -> tuple[int, int]:
    """Return the samples of a batch and the number of microbatches, which must divide them."""
    batch = args.batch_size or client["batch_size"]
    pieces = args.microbatches or client["microbatches"]
    if args.batch_size is not None and args.microbatches is None:
        pieces = math.gcd(batch, pieces)
    if batch % pieces:
        sys.exit(f"a batch of {batch} samples is not {pieces} microbatches of one size")
    if args.schedule == "1f1b" and pieces < len(client["stages"]):
        sys.exit(
            f"1f1b needs a microbatch for each of the {len(client['stages'])} stages and has "
            f"{pieces}: --microbatches, or --schedule gpipe"
        )
    return batch, pieces


def load_data(source: str, first: bool, last: bool) -> Tensor:
    """Return the inputs to the first stage, the targets to the last, nothing to the others."""
    if not (first or last):
        return torch.empty(0)
    if source == "random":
        return random_data(first)
    if source.endswith(".safetensors"):
        name = "inputs" if first else "targets"
        tensor: Tensor = parts.read_weights(source, [name])[name]
        return tensor
    inputs, targets = found(source, "--data")()
    return torch.as_tensor(inputs if first else targets)


def random_data(first: bool, samples: int = 256) -> Tensor:
    """Draw inputs or targets, to see that the pipeline runs."""
    known = parts.manifest()["model"]
    generator = torch.Generator().manual_seed(1)
    classes = known["output"]["shape"][-1]
    what = like(known["inputs"][0], samples, leaf=False)
    if not first:
        shape = like(known["output"], samples, leaf=False).shape[:-1]
        return torch.randint(classes, shape, generator=generator)
    if what.dtype.is_floating_point:
        return torch.randn(what.shape, dtype=what.dtype, generator=generator)
    return torch.randint(classes, what.shape, dtype=what.dtype, generator=generator)


def agreed_count(own: int, stage: PipelineStage, device: torch.device) -> int:
    """Broadcast to all processes how many samples the first one has; the last must have as many."""
    count = torch.tensor([own], device=device)
    dist.broadcast(count, 0)
    if stage.is_last and own != int(count):
        sys.exit(f"there are {int(count)} inputs and {own} targets")
    return int(count)


def make_optimizer(args: argparse.Namespace, parameters: list[nn.Parameter]) -> Any:
    """Make the optimizer of the stage's own parameters."""
    more = {"momentum": args.momentum} if args.optimizer == "sgd" else {}
    return OPTIMIZERS[args.optimizer](parameters, lr=args.lr, **more)


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean over samples, and over tokens where there are some."""
    return nn.functional.cross_entropy(output.flatten(0, -2), target.flatten())


def choose_device(wanted: str) -> torch.device:
    """Choose for this process a GPU of its own where every process of the machine can have one."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if wanted == "auto":
        enough = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        wanted = "cuda" if torch.cuda.is_available() and enough else "cpu"
    if wanted == "cuda":
        if local >= torch.cuda.device_count():
            sys.exit(f"process {local} of this machine has no GPU of its own: --device cpu")
        torch.cuda.set_device(local)
        return torch.device("cuda", local)
    return torch.device(wanted)


def found(target: str | None, option: str) -> Callable[..., Any]:
    """Return what MODULE:NAME or FILE.py:NAME names."""
    place, _, name = (target or "").rpartition(":")
    if not place:
        sys.exit(f"{option} must be MODULE:NAME or FILE.py:NAME, and is {target!r}")
    if place.endswith(".py"):
        file = Path(place).resolve()
        sys.path.insert(0, str(file.parent))
        place = file.stem
        there = getattr(sys.modules.get(place), "__file__", None)
        if there is not None and Path(there).resolve() != file:
            del sys.modules[place]  # a file of this name in another folder
    try:
        value: Callable[..., Any] = getattr(importlib.import_module(place), name)
    except (ImportError, AttributeError) as error:
        sys.exit(f"{option} {target}: {error}")
    return value


def read_arguments(spec: dict[str, Any]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    clients = spec["clients"]
    parser.add_argument(
        "--data",
        required=True,
        help="FILE.safetensors with 'inputs' and 'targets', MODULE:FUNCTION that returns both, or "
        "'random' to see that it runs",
    )
    parser.add_argument("--client", choices=list(clients), default=next(iter(clients)))
    parser.add_argument("--model", default=spec["model"], help="MODULE:FACTORY")
    parser.add_argument("--weights", type=Path, help="a safetensors file, or a folder of --save")
    parser.add_argument("--loss", default="cross_entropy", help="cross_entropy, mse or MODULE:NAME")
    parser.add_argument("--schedule", choices=list(SCHEDULES), default=None)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--microbatches", type=int)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default="sgd")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--save", type=Path, help="a folder for the trained weights of the parts")
    args = parser.parse_args()
    for name in ("batch_size", "microbatches", "epochs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    args.schedule = args.schedule or clients[args.client]["schedule"]
    losses = {"cross_entropy": cross_entropy, "mse": nn.functional.mse_loss}
    args.loss = losses.get(args.loss) or found(args.loss, "--loss")
    return args


if __name__ == "__main__":
    main()
