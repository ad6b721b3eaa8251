"""``python -m benchmarks.batched``: clients trained side by side, and one by one beside it."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown
from splitopt.bench.running.machine import describe_machine
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
SAMPLES, BATCH = 80, 16
HEAD = ["network", "clients", "one by one, s", "side by side, s", "ratio", "largest difference"]


def perceptron(shape: Sequence[int], hidden: int) -> Any:
    """Build two linear layers behind the pixels of an image."""
    from torch import nn

    pixels = shape[0] * shape[1] * shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def networks() -> dict[str, tuple[tuple[int, int, int], Callable[..., Any], int]]:
    """Name the networks: the shape of a sample, what builds it, the layers before the cut."""
    from splitopt.models.cnn import cnn

    small, large = (1, 8, 8), (1, 28, 28)
    return {
        "two linear layers, 32 wide, on 8 x 8": (small, lambda s: perceptron(s, 32), 2),
        "two linear layers, 64 wide, on 28 x 28": (large, lambda s: perceptron(s, 64), 2),
        "`cnn` on 8 x 8": (small, cnn, 2),
        "`cnn` on 28 x 28": (large, cnn, 2),
    }


def scheme(name: str, clients: int, batched: bool, device: str) -> Any:
    """SplitFedV1 of clients with random images, cut behind the first layers."""
    import torch
    from torch import nn

    from splitopt.training.data.batches import Batches
    from splitopt.training.options import Options
    from splitopt.training.randomness import Stream
    from splitopt.training.schemes import Client, SplitFedV1

    shape, build, cut = networks()[name]
    torch.manual_seed(0)
    model = build(shape).to(device)
    draws = torch.Generator().manual_seed(1)

    def client(index: int) -> Client:
        inputs = torch.randn(SAMPLES, *shape, generator=draws).to(device)
        targets = torch.randint(0, 10, (SAMPLES,), generator=draws).to(device)
        batches = Batches(inputs, targets, BATCH, seed=index)
        return Client(f"d{index}", batches, Stream(index, device), (cut,))

    def split(whole: nn.Module, cuts: tuple[int, ...]) -> list[nn.Module]:
        assert isinstance(whole, nn.Sequential)
        return [whole[: cuts[0]], whole[cuts[0] :]]

    options = Options(momentum=0.9, batched=batched)
    return SplitFedV1(model, [client(index) for index in range(clients)], options, split)


def row(name: str, clients: int, rounds: int, device: str) -> list[str]:
    """Train both ways, a round of each in turn after one to warm up, and compare."""
    both = [scheme(name, clients, batched, device) for batched in (False, True)]
    taken: list[list[float]] = [[], []]
    for number in range(rounds + 1):
        for one, times in zip(both, taken, strict=True):
            start = time.perf_counter()
            one.round(number)  # reads every loss, so that nothing is left to be done on a device
            times.append(time.perf_counter() - start)
    alone, together = (statistics.median(times[1:]) for times in taken)
    states = [one.model.state_dict() for one in both]
    far = max(float((states[0][key] - states[1][key]).abs().max()) for key in states[0])
    ratio = f"{alone / together:.1f}"
    return [name, str(clients), f"{alone:.3f}", f"{together:.3f}", ratio, f"{far:.0e}"]


def rows(clients: Sequence[int], rounds: int, device: str) -> Iterator[list[str]]:
    """All networks with all numbers of clients."""
    for name in networks():
        for count in clients:
            yield row(name, count, rounds, device)


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batched", description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[5, 20, 100])
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each kind")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)
    machine = describe_machine()
    where = torch.cuda.get_device_name() if options.device == "cuda" else machine["processor"]
    note = (
        f"{where}, one thread, PyTorch {torch.__version__}; SplitFedV1 with {SAMPLES} samples a "
        f"client in batches of {BATCH} and momentum, median seconds of {options.rounds} rounds, "
        "and the largest difference of a weight after all of them in float32 "
        "(`python -m benchmarks.batched`):"
    )
    found = []
    for line in rows(options.clients, options.rounds, options.device):
        found.append(line)
        print("  ".join(line), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomic(options.output / f"speed-{options.device}.md", markdown([HEAD, *found], note))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
