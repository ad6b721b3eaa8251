"""``python -m benchmarks.secure_aggregation``: averages of models, as they are and masked."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.tables import Columns, write_rows
from splitopt.bench.running.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
COLUMNS: Columns = {
    "clients": ("clients", "{}"),
    "lost": ("of them lost", "{}"),
    "plain_s": ("plain, s", "{:.4f}"),
    "secure_s": ("masked, s", "{:.4f}"),
    "ratio": ("ratio, median of pairs", "{:.2f}"),
    "least": ("least", "{:.2f}"),
    "most": ("most", "{:.2f}"),
    "plain_mb": ("plain, MB up", "{:.3f}"),
    "masked_mb": ("masked, MB up", "{:.3f}"),
    "control_kb": ("keys and shares, kB", "{:.1f}"),
}


class Once(NamedTuple):
    """What one average took: seconds, bytes of vectors, and of keys and shares."""

    seconds: float
    vectors: int
    control: int


class Parties:
    """Who averages, and clients in threads, with a real connection between them.

    Parameters
    ----------
    clients
        How many there are.
    model
        Of which each has a copy of its own.
    """

    def __init__(self, clients: int, model: Any) -> None:
        import torch

        from splitopt.training.data.batches import Batches
        from splitopt.training.options import Options
        from splitopt.training.randomness import Stream
        from splitopt.training.schemes import SCHEMES, Client
        from splitopt.training.wire.transport.connecting import connect
        from splitopt.training.wire.transport.listener import listen
        from splitopt.training.wire.transport.tokens import Token

        rows = torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64)
        members = [Client(f"d{k}", Batches(*rows, 2, k), Stream(k)) for k in range(clients)]
        options = Options(secure_aggregation=True)
        self.scheme = SCHEMES["federated"](model, members, options, lambda whole, _: [whole])
        for k, own in enumerate(self.scheme.copies()):
            torch.manual_seed(k)
            for value in own.model.parameters():
                value.data += 0.01 * torch.randn_like(value)
        token = Token.new()
        with listen(None, 0, token) as listener:
            self.ends = []
            for _ in range(clients):
                theirs = connect("127.0.0.1", listener.port, token)
                self.ends.append((listener.accept(10.0), theirs))

    def close(self) -> None:
        """End the connections."""
        for pair in self.ends:
            for end in pair:
                end.close()

    def timed(self, act: Callable[[], tuple[int, int]]) -> Once:
        """Return what an average takes, from the first word to the mean."""
        begin = time.perf_counter()
        vectors, control = act()
        return Once(time.perf_counter() - begin, vectors, control)

    def plain(self) -> tuple[int, int]:
        """Average as it is without secure aggregation."""
        from splitopt.training.model_parts.averaging import average, load_state
        from splitopt.training.wire.client_state import load_model, parameters_of

        copies = self.scheme.copies()

        def follow(k: int) -> None:
            self.ends[k][1].send("model", {}, parameters_of(copies[k]))

        def lead(k: int) -> int:
            message = self.ends[k][0].receive(60.0)
            load_model(message.tensors, copies[k])
            return message.transfer.payload_bytes

        sizes = _each(len(copies), follow, lead)
        weights = [self.scheme.weight(client) for client in self.scheme.clients]
        load_state(self.scheme.model, average([own.changed() for own in copies], weights))
        return sum(sizes), 0

    def secure(self, lost: int) -> tuple[int, int]:
        """Average masked copies, of which the last ones are lost before they are sent."""
        from splitopt.training.wire.star.secure.aggregation import Aggregation, Ways
        from splitopt.training.wire.star.secure.member import SumMember
        from splitopt.training.wire.transport.frames import expect_kind

        copies, clients = self.scheme.copies(), self.scheme.clients
        left = range(len(copies) - lost)
        sums = Aggregation(self.scheme, range(len(copies)), 0)

        def ways(k: int) -> Ways:
            own = self.ends[k][0]
            return Ways(own.send, lambda kind: expect_kind(own.receive(60.0), kind))

        def follow(k: int) -> None:
            member, own = SumMember.of(self.scheme, clients[k]), self.ends[k][1]
            assert member is not None
            member.agree(0, own.send, lambda kind: expect_kind(own.receive(60.0), kind))
            if k in left:
                own.send("masked", {}, member.masked(copies[k]))
                own.send("unmasking", {}, member.answer(own.receive(60.0)))

        def lead(k: int) -> int:
            sums.agree(k, ways(k))
            if k not in left:
                return 0
            message = expect_kind(self.ends[k][0].receive(60.0), "masked")
            sums.add(k, message)
            return message.transfer.payload_bytes

        followers = _started(len(copies), follow)
        sizes = _each(len(copies), None, lead)
        sums.unmask(left, lambda names, work: {n: work(n) for n in names}, ways)
        sums.settle()
        for thread in followers:
            thread.join()
        return sum(sizes), sums.sent.total() + sums.received.total()


def _started(count: int, work: Callable[[int], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(count)]
    for thread in threads:
        thread.start()
    return threads


def _each(
    count: int, follow: Callable[[int], object] | None, lead: Callable[[int], int]
) -> list[int]:
    """Run all clients and the threads that serve them; return what the latter give."""
    found: dict[int, int] = {}

    def serve(k: int) -> None:
        found[k] = lead(k)

    threads = [*_started(count, serve), *(_started(count, follow) if follow else ())]
    for thread in threads:
        thread.join()
    return [found[k] for k in range(count)]


def row(clients: int, lost: int, pairs: int) -> dict[str, Any]:
    """Average both ways in turn, and compare pair by pair."""
    from splitopt.models import build

    parties = Parties(clients, build("lenet5", (1, 28, 28), 10))
    try:
        one, other = [], []
        for number in range(pairs + 1):  # the first pair, which warms up, is left out
            acts = [(one, parties.plain), (other, lambda: parties.secure(lost))]
            for kept, act in acts if number % 2 else acts[::-1]:
                found = parties.timed(act)
                if number:
                    kept.append(found)
    finally:
        parties.close()
    ratios = [b.seconds / a.seconds for a, b in zip(one, other, strict=True)]
    return {
        "clients": clients,
        "lost": lost,
        "plain_s": median(item.seconds for item in one),
        "secure_s": median(item.seconds for item in other),
        "ratio": median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "plain_mb": one[0].vectors / 1e6,
        "masked_mb": other[0].vectors / 1e6,
        "control_kb": other[0].control / 1e3,
    }


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.secure_aggregation", description=__doc__
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[3, 5, 10, 20, 40])
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)
    note = (
        f"{describe_machine()['processor']}, {describe_machine()['cores']} cores, PyTorch "
        f"{torch.__version__}; the average of copies of LeNet-5 (61,706 numbers), from the first "
        "key to the mean in the model, all parties as threads of one process with connections over "
        f"the loopback interface, {options.pairs} pairs of averages in turn "
        "(`python -m benchmarks.secure_aggregation`):"
    )
    found = []
    for clients in options.clients:
        for lost in sorted({0, clients // 5}):
            found.append(row(clients, lost, options.pairs))
            shown = found[-1]
            print("  ".join(f"{key} {value:.4g}" for key, value in shown.items()), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_rows(options.output / "rounds", found, COLUMNS, note)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
