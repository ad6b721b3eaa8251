"""The process of one run: what is done before its clock starts."""

from __future__ import annotations

from splitopt.bench.instances.suites import find_instance
from splitopt.bench.running.jobs import Settings, plan_jobs
from splitopt.bench.running.worker import run_job
from splitopt.solvers.cluster_and_spectrum.rules import SimilarCompute


def test_what_an_instance_needs_is_loaded_before_the_clock_starts(monkeypatch):
    """Also where the tiny instance of the warm-up is so small that nothing is loaded for it."""
    said = []
    monkeypatch.setattr(
        SimilarCompute, "load", lambda _, problem: said.append(problem.devices), raising=False
    )
    instance = find_instance("cells-devices9-size3-subcarriers9-seed0")
    (job,) = plan_jobs("quick", [instance], Settings(), solvers=["similar_compute"])
    run_job(job.to_dict(), lambda event, **_: said.append(event))
    assert said[-3:] == ["ready", 9, "result"]
    assert 9 in said[: said.index("ready")]
