"""The same answer on any engine and worker count, after an interruption, and from a checkpoint."""

from __future__ import annotations

import json

import pytest

from splitopt import InputError, solve
from splitopt.solvers.cut_under_uncertainty.answering import ledger
from tests.solvers.cut_under_uncertainty.cases import fleet


def answer(result):
    """Return the part of a result that must not depend on where the work was done."""
    document = result.to_dict()
    details = {key: value for key, value in document["details"].items() if key != "resumed"}
    names = ("outcome", "objective", "bound", "decision", "message", "iterations")
    return json.dumps([details, *(document[name] for name in names)])


@pytest.fixture(scope="module")
def reference():
    """Return the answer of one worker."""
    return answer(solve(fleet(0), "saa", seed=5))


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "workers"), [("loky", 2), ("threads", 2), ("sequential", 1)])
def test_engines_give_the_same(reference, engine, workers):
    """Two processes, two threads, or none beside."""
    assert answer(solve(fleet(0), "saa", seed=5, engine=engine, workers=workers)) == reference


@pytest.mark.slow
def test_two_dask_workers_give_the_same(reference):
    """A running dask cluster with two processes."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        place = {"engine": "dask", "workers": 2, "address": cluster.scheduler_address}
        assert answer(solve(fleet(0), "saa", seed=5, **place)) == reference


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # processes of ray
def test_ray_gives_the_same(reference):
    """A running ray with two workers."""
    ray = pytest.importorskip("ray", reason="the engine 'ray' is not installed (extra 'cluster')")
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        place = {"engine": "ray", "workers": 2, "address": "auto"}
        assert answer(solve(fleet(0), "saa", seed=5, **place)) == reference
    finally:
        ray.shutdown()


def interrupt_after(monkeypatch, batches):
    """Raise Ctrl-C in place of a batch, after this many batches."""
    real, count = ledger.solve_batch, iter(range(10**6))

    def stop(batch):
        if next(count) == batches:
            raise KeyboardInterrupt
        return real(batch)

    monkeypatch.setattr(ledger, "solve_batch", stop)


@pytest.mark.slow
def test_what_is_done_at_ctrl_c_is_kept_and_gone_on_from(monkeypatch, tmp_path, reference):
    """The interrupted run has an answer; the next one solves only what is missing."""
    folder = str(tmp_path / "kept")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        stopped = solve(fleet(0), "saa", seed=5, checkpoint=folder)
    assert (stopped.outcome, stopped.stop_reason) == ("feasible", "interrupted")
    assert stopped.iterations == stopped.details["answered"] > 0
    assert stopped.objective <= solve(fleet(0), "saa", time_limit_s=0).objective
    resumed = solve(fleet(0), "saa", seed=5, checkpoint=folder)
    assert resumed.details["resumed"] == stopped.details["answered"]
    fresh, again = json.loads(reference), json.loads(answer(resumed))
    assert again[:-1] == fresh[:-1]
    assert again[-1] == fresh[-1] - stopped.details["answered"]
    idle = solve(fleet(0), "saa", seed=5, checkpoint=folder)
    assert (idle.iterations, idle.objective) == (0, resumed.objective)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "options", "words"),
    [
        (fleet(1), {"seed": 5}, r"the checkpoint of other work \(digest is"),
        (fleet(0), {"seed": 6}, r"the checkpoint of other work \(seed is 5, now it is 6"),
        (fleet(0), {"seed": 5, "inner": "quick"}, r"\(inner is 'enumerate', now it is 'quick'"),
    ],
)
def test_the_checkpoint_of_other_work_is_refused(tmp_path, problem, options, words):
    """One sentence names what differs."""
    solve(fleet(0), "saa", seed=5, checkpoint=str(tmp_path))
    with pytest.raises(InputError, match=words):
        solve(problem, "saa", checkpoint=str(tmp_path), **options)


@pytest.mark.slow
def test_folders_that_are_no_checkpoint_are_refused(tmp_path):
    """Foreign files, torn archives and pickles are not read."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and no checkpoint"):
        solve(fleet(0), "saa", checkpoint=str(tmp_path))
    kept = tmp_path / "kept"
    solve(fleet(0), "saa", checkpoint=str(kept))
    next(kept.glob("batch-*.npz")).write_bytes(b"torn")
    with pytest.raises(InputError, match="cannot be read"):
        solve(fleet(0), "saa", checkpoint=str(kept))
