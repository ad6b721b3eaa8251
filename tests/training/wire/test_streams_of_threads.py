"""Random numbers of a client, while other threads of the process look at models."""

from __future__ import annotations

import threading
import time

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.profiles.tracing.running.quiet import undisturbed  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402

pytestmark = pytest.mark.train

PAUSE_S = 0.001  # long enough for the other thread to go on


def drawn(seed, count):
    """Draw some numbers from a stream, letting other threads go on in between."""
    stream, found = Stream(seed), []
    for _ in range(count):
        with stream.active():
            found.append(torch.rand(2))
            time.sleep(PAUSE_S)
            found.append(torch.rand(2))
    return torch.stack(found)


def looking(until):
    """Return a thread that examines a model again and again."""
    model = nn.Linear(2, 2)

    def look():
        while not until.is_set():
            with undisturbed(model):
                torch.manual_seed(7)
                time.sleep(PAUSE_S)
                model(torch.rand(1, 2))

    return threading.Thread(target=look)


@pytest.mark.parametrize("others", [0, 1])
def test_a_stream_draws_what_its_seed_draws(others):
    """Whoever else makes the global random state its own meanwhile waits, and so do we."""
    own = torch.Generator().manual_seed(3)
    wanted = torch.stack([torch.rand(2, generator=own) for _ in range(40)])
    over, found = threading.Event(), {}
    threads = [looking(over)] + [
        threading.Thread(target=lambda n=n: found.update({n: drawn(n, 20)})) for n in range(others)
    ]
    state = torch.get_rng_state()
    for thread in threads:
        thread.start()
    try:
        assert torch.equal(drawn(3, 20), wanted)
    finally:
        over.set()
        for thread in threads:
            thread.join(120.0)
    assert torch.equal(torch.get_rng_state(), state)
