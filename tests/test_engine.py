"""Mapping over independent work gives the same results on every engine."""

from __future__ import annotations

import importlib.util
import time

import pytest

from splitopt.engine import Engine
from splitopt.errors import InputError


def late_square(number):
    """Take longer for small numbers, so that order is not kept by chance."""
    time.sleep(0.02 * (4 - number))
    return number**2


@pytest.mark.parametrize("name", ["loky", "threads", "sequential"])
@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(name, workers):
    """`map` keeps the order, `as_completed` numbers what it gives."""
    engine = Engine(name, workers)
    assert engine.map(late_square, [1, 2, 3, 4]) == [1, 4, 9, 16]
    assert dict(engine.as_completed(late_square, [3, 2])) == {0: 9, 1: 4}
    assert engine.map(late_square, []) == []


@pytest.mark.parametrize("name", ["threads", "sequential"])
def test_an_exception_is_raised(name):
    """What the function raises comes out of the map."""
    with pytest.raises(ZeroDivisionError):
        Engine(name, 2).map(lambda number: 1 // number, [1, 0])


@pytest.mark.parametrize(
    ("text", "workers", "words"),
    [
        ("abacus", 1, "engine: is 'abacus', known are loky, threads, sequential, dask, ray"),
        ("threads=here", 1, "it takes no address"),
        ("threads", 0, "must be a whole number >= 1"),
        ("threads", True, "must be a whole number >= 1"),
    ],
)
def test_what_cannot_be_used_is_refused(text, workers, words):
    """One sentence says what is wrong with the engine."""
    with pytest.raises(InputError, match=words):
        Engine.parse(text, workers)


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_an_engine_that_is_not_there_is_refused(name, package):
    """Without its package, or without an address, an engine is refused before any work."""
    words = "which is not installed"
    if importlib.util.find_spec(package) is not None:
        words = "needs the address of a running cluster"
    with pytest.raises(InputError, match=words):
        Engine(name)


def test_a_cluster_that_does_not_answer_is_refused():
    """A dask scheduler that is not there is one sentence with its address."""
    pytest.importorskip("distributed")
    engine = Engine.parse("dask=tcp://127.0.0.1:9", 2)
    with pytest.raises(InputError, match="cannot be reached"):
        engine.map(late_square, [1])


def test_a_dask_cluster_works():
    """A running dask cluster gives the same results."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        engine = Engine("dask", 1, cluster.scheduler_address)
        assert engine.map(late_square, [1, 2, 3]) == [1, 4, 9]
