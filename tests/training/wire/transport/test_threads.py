"""A process that ends waits for what its threads are still computing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = [pytest.mark.train, pytest.mark.slow]  # each is a process that loads PyTorch

WORK = """
import threading, time
import torch
from splitopt.training.wire.transport.threads import start_thread

begun = threading.Event()

def work():
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        x = torch.randn(100, 100, requires_grad=True)
        y = x
        for _ in range(20):
            y = y @ x
        y.sum().backward()
        begun.set()

"""


def ended(start):
    """Return how a process ends whose main thread is done while another one computes."""
    program = WORK + start + "\nbegun.wait()\n"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=300)


def test_threads_that_compute_abort_nothing():
    """The process ends as its main thread does, once the other thread has come to its end."""
    found = ended("start_thread(work)")
    assert (found.returncode, found.stderr) == (0, b"")


def test_a_plain_daemon_would_abort_it():
    """What the helper is there for: without it the process is aborted."""
    if sys.version_info >= (3, 14):
        pytest.skip("the interpreter lets such threads hang instead")
    assert ended("threading.Thread(target=work, daemon=True).start()").returncode != 0


def test_a_thread_that_only_waits_delays_little():
    """A process does not wait for ever."""
    found = ended("start_thread(threading.Event().wait)\nbegun.set()")
    assert (found.returncode, found.stderr) == (0, b"")
