"""Mapping over independent work gives the same results on every engine."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from pathlib import Path

import pytest

from splitopt.engine import Engine
from splitopt.errors import InputError, WorkerError


def late_square(number):
    """Compute the square, more slowly for small numbers, so that order is not kept by chance."""
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


def test_a_cluster_that_does_not_answer_is_refused(monkeypatch):
    """A dask scheduler that is not there is one sentence with its address."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("splitopt.engine._CONNECT_S", 0.2)  # nobody will answer any later
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


def die_once(marker):
    """Kill the worker at the first call for this file, and answer at the next."""
    path = Path(marker)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def die_always(number):
    """Kill every worker that tries the last item."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.slow
def test_the_work_of_a_worker_that_dies_is_done_by_another(tmp_path):
    """Nothing is lost and nothing comes twice."""
    markers = [str(tmp_path / name) for name in "abc"]
    Path(markers[0]).touch()
    found = list(Engine("loky", 2).as_completed(die_once, markers))
    assert sorted(found) == [(0, "a"), (1, "b"), (2, "c")]


@pytest.mark.slow
def test_work_that_kills_every_worker_ends_with_one_sentence():
    """After some tries without a result in between it is an error."""
    with pytest.raises(WorkerError, match="'loky' died 3 times on the same work"):
        Engine("loky", 2).map(die_always, [1, 2, 3])


@pytest.mark.slow
def test_two_dask_workers_give_the_same():
    """Real worker processes of a cluster, one connection for several maps."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        engine = Engine("dask", 2, cluster.scheduler_address)
        with engine.session() as session:
            assert dict(session.as_completed(int, ["4"])) == {0: 4}
            assert dict(session.as_completed(int, ["1", "2", "3"])) == {0: 1, 1: 2, 2: 3}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # processes of ray
def test_ray_gives_the_same():
    """A running ray gives the same results."""
    ray = pytest.importorskip("ray", reason="the engine 'ray' is not installed (extra 'cluster')")
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        assert Engine("ray", 2, "auto").map(int, ["1", "2", "3"]) == [1, 2, 3]
    finally:
        ray.shutdown()
