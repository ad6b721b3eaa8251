"""Train the stages of a plan with replicas, one process for each machine, started by torchrun.

    torchrun --standalone --nproc-per-node MACHINES train_replicas.py --data DATA

It needs PyTorch and the files beside it: ``parts.py`` has the stages, ``replicas.json`` says which
machines each has, which micro-batches each of them does, and in which order. A step takes the
micro-batches of the plan; then the machines of a stage add up their gradients (an all-reduce) and
each makes the step that the whole model would make. Tensors travel by gloo, through main memory.
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
from torch.utils.checkpoint import checkpoint

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
parts = importlib.import_module("parts")  # parts.py, which stands beside this file
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
FORWARD, BACKWARD = "forward", "backward"


class Machine:
    """A machine of a stage: its part of the model, and whom it sends to and receives from."""

    def __init__(self, spec: dict[str, Any], rank: int, args: argparse.Namespace) -> None:
        self.stages, self.rank, self.args = spec["stages"], rank, args
        self.stage, self.own = next(
            (m, ranks.index(rank)) for m, ranks in enumerate(ranks_of(spec)) if rank in ranks
        )
        self.ranks, self.count, self.size = (
            ranks_of(spec),
            spec["micro_batches"],
            spec["batch_size"],
        )
        # every process makes the group of every stage, in the same order
        groups = [dist.new_group(ranks) for ranks in self.ranks]
        self.group = groups[self.stage]
        self.is_first, self.is_last = self.stage == 0, self.stage == len(self.stages) - 1
        self.device = choose_device(args.device)
        self.part = own_part(args, self.stage, self.own).to(self.device)
        self.entry, self.result = shapes_at(self.stages[self.stage])
        self.inputs: dict[int, Tensor] = {}
        self.results: dict[int, Tensor] = {}
        self.sent: list[tuple[Any, Tensor]] = []

    def step(self, values: Tensor, samples: Tensor) -> float:
        """Do the passes of a step, and add up the gradients; return the own part of the loss.

        Parameters
        ----------
        values
            Inputs at the first stage, targets at the last one.
        samples
            The rows of the step, those of its micro-batches one behind the other.
        """
        loss = 0.0
        for kind, number in self.stages[self.stage]["passes"][self.own]:
            rows = samples[number * self.size : (number + 1) * self.size]
            if kind == FORWARD:
                loss += self._forward(number, values, rows)
            else:
                self._backward(number)
        for request, _ in self.sent:  # what is sent stays in memory until it has gone
            request.wait()
        self.sent.clear()
        self._all_reduce()
        return loss

    def _forward(self, number: int, values: Tensor, rows: Tensor) -> float:
        if self.is_first:
            entry = values[rows].to(self.device)
        else:
            entry = self._receive(number, self.stage - 1, self.entry, 2 * number)
            entry = entry.requires_grad_()
            self.inputs[number] = entry
        if self.stages[self.stage]["recompute"]:
            result = checkpoint(self.part, entry, use_reentrant=False)
        else:
            result = self.part(entry)
        if not self.is_last:
            self.results[number] = result
            self._send(result, number, self.stage + 1, 2 * number)
            return 0.0
        targets = values[rows].to(self.device)
        # the mean over all samples of the step, of which every micro-batch has as many
        self.results[number] = self.args.loss(result, targets) / self.count
        return float(self.results[number].detach())

    def _backward(self, number: int) -> None:
        result = self.results.pop(number)
        gradient: Tensor | None = None
        if not self.is_last:
            gradient = self._receive(number, self.stage + 1, self.result, 2 * number + 1)
        # what is computed again must not count twice in running statistics
        again = self.stages[self.stage]["recompute"]
        kept = [buffer.clone() for buffer in self.part.buffers()] if again else []
        torch.autograd.backward(result, gradient)
        for buffer, before in zip(self.part.buffers(), kept, strict=False):
            buffer.copy_(before)
        if not self.is_first:
            own = self.inputs.pop(number).grad
            assert own is not None
            self._send(own, number, self.stage - 1, 2 * number + 1)

    def _other(self, number: int, stage: int) -> int:
        """Return the process that does a micro-batch in another stage."""
        found: int = self.ranks[stage][self.stages[stage]["dealt"][number]]
        return found

    def _send(self, tensor: Tensor, number: int, stage: int, tag: int) -> None:
        kept = tensor.detach().contiguous().cpu()
        self.sent.append((dist.isend(kept, self._other(number, stage), tag=tag), kept))

    def _receive(self, number: int, stage: int, what: dict[str, Any], tag: int) -> Tensor:
        tensor = like(what, self.size)
        dist.recv(tensor, self._other(number, stage), tag=tag)
        return tensor.to(self.device)

    def _all_reduce(self) -> None:
        """Add up the gradients of the machines of the stage; statistics become their means."""
        if len(self.ranks[self.stage]) == 1:
            return
        for weight in self.part.parameters():
            if weight.requires_grad:
                own = torch.zeros_like(weight) if weight.grad is None else weight.grad
                summed = own.cpu()
                dist.all_reduce(summed, group=self.group)
                weight.grad = summed.to(self.device)
        done = self.stages[self.stage]["dealt"].count(self.own)
        for buffer in self.part.buffers():
            if buffer.is_floating_point():
                mean = buffer.detach().cpu() * (done / self.count)
                dist.all_reduce(mean, group=self.group)
                buffer.copy_(mean.to(self.device))


def main() -> None:
    """Run one machine, that of this process."""
    spec = json.loads((HERE / "replicas.json").read_text(encoding="utf-8"))
    args = read_arguments(spec)
    machines = sum(len(stage["machines"]) for stage in spec["stages"])
    if "RANK" not in os.environ or int(os.environ["WORLD_SIZE"]) != machines:
        sys.exit(
            f"the plan has {machines} machines, a process for each: torchrun --standalone "
            f"--nproc-per-node {machines} {sys.argv[0]} ..."
        )
    dist.init_process_group("gloo")
    machine = Machine(spec, dist.get_rank(), args)
    train(args, machine, spec)
    if args.save is not None and machine.own == 0:
        args.save.mkdir(parents=True, exist_ok=True)
        path = args.save / f"{machine.stages[machine.stage]['part']}.safetensors"
        parts.write_weights(path, machine.part.state_dict())
    dist.barrier()
    dist.destroy_process_group()


def train(args: argparse.Namespace, machine: Machine, spec: dict[str, Any]) -> None:
    """Walk through the data: the first stage has the inputs, the last one the targets."""
    values = load_data(args.data, machine)
    step = machine.size * machine.count
    count = agreed_count(len(values), machine)
    if count < step:
        sys.exit(f"there are {count} samples, fewer than the {step} of a step")
    optimizer = make_optimizer(args, machine, spec)
    generator = torch.Generator().manual_seed(args.seed)
    for epoch in range(args.epochs):
        order = torch.randperm(count, generator=generator)  # the same in all processes
        for number in range(count // step):
            machine.part.zero_grad(set_to_none=True)
            loss = torch.tensor([machine.step(values, order[number * step : (number + 1) * step])])
            if optimizer is not None:
                optimizer.step()
            if machine.is_last:
                dist.all_reduce(loss, group=machine.group)
                if machine.own == 0:
                    print(f"epoch {epoch + 1} step {number + 1} loss {float(loss):.9g}", flush=True)
                if not math.isfinite(float(loss)):
                    sys.exit("the loss is not finite; lower the learning rate (--lr)")


def ranks_of(spec: dict[str, Any]) -> list[list[int]]:
    """Return the processes of every stage, one behind the other."""
    found, first = [], 0
    for stage in spec["stages"]:
        count = len(stage["machines"])
        found.append(list(range(first, first + count)))
        first += count
    return found


def own_part(args: argparse.Namespace, stage: int, own: int) -> nn.Module:
    """Build the model as in every other process, and keep one part of it."""
    torch.manual_seed(args.seed)
    weights = parts.HERE / "weights.safetensors" if args.weights is None else args.weights
    if args.weights is None and not weights.exists():
        weights = None
    chain = parts.load_chain(found(args.model, "--model")(), "host", weights)
    torch.manual_seed(args.seed + 1 + 1000 * stage + own)  # what layers draw from, as dropout does
    part: nn.Module = chain[stage][1]
    return part.train()


def shapes_at(stage: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return shape and type of what a stage takes and what it gives."""
    known = parts.manifest()
    start, end = stage["after"], stage["until"]
    entry = known["model"]["inputs"][0] if start is None else known["crossings"][start]
    return entry, known["model"]["output"] if end is None else known["crossings"][end]


def like(what: dict[str, Any], samples: int) -> Tensor:
    """Return a tensor in the shape for a number of samples, such as [B, 8, 8, 8]."""
    shape = [
        side if isinstance(side, int) else samples * int(side.removesuffix("B") or 1)
        for side in what["shape"]
    ]
    return torch.empty(shape, dtype=getattr(torch, what["dtype"]))


def load_data(source: str, machine: Machine) -> Tensor:
    """Return the inputs to the first stage, the targets to the last, nothing to the others."""
    if not (machine.is_first or machine.is_last):
        return torch.empty(0)
    if source == "random":
        return random_data(machine)
    if source.endswith(".safetensors"):
        name = "inputs" if machine.is_first else "targets"
        tensor: Tensor = parts.read_weights(source, [name])[name]
        return tensor
    inputs, targets = found(source, "--data")()
    return torch.as_tensor(inputs if machine.is_first else targets)


def random_data(machine: Machine) -> Tensor:
    """Draw inputs or targets of one step, to see that it runs."""
    known, samples = parts.manifest()["model"], machine.size * machine.count
    generator = torch.Generator().manual_seed(1)
    classes = known["output"]["shape"][-1]
    if not machine.is_first:
        shape = like(known["output"], samples).shape[:-1]
        return torch.randint(classes, shape, generator=generator)
    what = like(known["inputs"][0], samples)
    if what.dtype.is_floating_point:
        return torch.randn(what.shape, dtype=what.dtype, generator=generator)
    return torch.randint(classes, what.shape, dtype=what.dtype, generator=generator)


def agreed_count(own: int, machine: Machine) -> int:
    """Broadcast to all processes how many samples the first one has; the last must have as many."""
    count = torch.tensor([own])
    dist.broadcast(count, 0)
    if machine.is_last and own != int(count):
        sys.exit(f"there are {int(count)} inputs and {own} targets")
    return int(count)


def make_optimizer(args: argparse.Namespace, machine: Machine, spec: dict[str, Any]) -> Any:
    """Make the optimizer of the part; its machines divide its states where the plan says so."""
    weights = [p for p in machine.part.parameters() if p.requires_grad]
    if not weights:
        return None
    more = {"momentum": args.momentum} if args.optimizer == "sgd" else {}
    kind = OPTIMIZERS[args.optimizer]
    if spec["shard_optimizer"] and len(machine.ranks[machine.stage]) > 1:
        from torch.distributed.optim import ZeroRedundancyOptimizer

        return ZeroRedundancyOptimizer(
            weights, optimizer_class=kind, process_group=machine.group, lr=args.lr, **more
        )
    return kind(weights, lr=args.lr, **more)


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
    parser.add_argument(
        "--data",
        required=True,
        help="FILE.safetensors with 'inputs' and 'targets', MODULE:FUNCTION that returns both, or "
        "'random' to see that it runs",
    )
    parser.add_argument("--model", default=spec["model"], help="MODULE:FACTORY")
    parser.add_argument("--weights", type=Path, help="a safetensors file, or a folder of --save")
    parser.add_argument("--loss", default="cross_entropy", help="cross_entropy, mse or MODULE:NAME")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default=spec["optimizer"])
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=spec["momentum"])
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--save", type=Path, help="a folder for the trained weights of the parts")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error("--epochs must be at least 1")
    losses = {"cross_entropy": cross_entropy, "mse": nn.functional.mse_loss}
    args.loss = losses.get(args.loss) or found(args.loss, "--loss")
    return args


if __name__ == "__main__":
    main()
