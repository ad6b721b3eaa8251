"""The runner against solvers that lie, crash, hang, eat memory; resuming; interruption."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from splitopt.bench.rows import MEASURED, Row, read_rows
from splitopt.bench.running.jobs import Job
from splitopt.bench.running.runner import resume, run_jobs
from splitopt.engine import Engine
from splitopt.errors import InputError, InUseError

Plan = Callable[..., list[Job]]
MISBEHAVING = (
    "lies_about_objective",
    "lies_about_feasibility",
    "lies_about_bound",
    "lies_about_optimality",
    "lies_about_infeasibility",
    "replaces_the_judge",
    "raises",
    "exits",
    "aborts",
    "hangs",
    "eats_memory",
    "prints",
)


@pytest.fixture(scope="module")
def rows(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """One benchmark with every bad solver between good ones, by solver."""
    jobs = plan("equal_share", *MISBEHAVING, "enumerate")
    output = tmp_path_factory.mktemp("bench") / "rows.jsonl"
    found = run_jobs(jobs, Engine("threads", 2), output=output)
    assert found == read_rows(output)
    assert len(found) == len(jobs)
    return {row.solver: row for row in found}


@pytest.mark.parametrize(
    ("solver", "status", "words"),
    [
        ("lies_about_objective", "lied", "says the objective"),
        ("lies_about_feasibility", "lied", "not feasible: download_share by 1"),
        ("lies_about_bound", "lied", "which is reached"),
        ("lies_about_optimality", "lied", "which is reached"),
        ("lies_about_infeasibility", "lied", "says that there is no answer"),
        ("replaces_the_judge", "lied", "says the objective 1.0"),
        ("raises", "crashed", "ZeroDivisionError: on purpose"),
        ("exits", "crashed", "exit code 1 and without a result; its last line was: leaving early"),
        ("aborts", "crashed", "SIGABRT"),
        ("hangs", "timeout", "still running 0.5 s after its time limit of 0.3 s"),
        ("eats_memory", "memory", "more than its limit of 400 MiB"),
        ("prints", "ok", ""),
        ("enumerate", "ok", ""),
        ("equal_share", "ok", ""),
    ],
)
def test_each_run_costs_one_row(rows: dict[str, Row], solver: str, status: str, words: str) -> None:
    """A solver that lies or misbehaves gets its own row with its fault, the others theirs."""
    row = rows[solver]
    assert row.status == status, row.message
    assert words in (row.message or "")
    assert row.solved == (status == "ok")


def test_the_value_of_a_row_is_the_runners_own(rows: dict[str, Row], plan: Plan) -> None:
    """What a lying solver reached is what its decision is worth, not what it says."""
    problem = plan("enumerate")[0].load()
    truth = problem.evaluate(problem.complete([problem.layers] * problem.devices))
    assert rows["lies_about_objective"].value == truth
    assert rows["replaces_the_judge"].value == truth
    assert rows["lies_about_feasibility"].value is None


def test_gap_to_best_known_is_to_the_best_checked_value(rows: dict[str, Row]) -> None:
    """Without a table, the best known value is the best that a checked decision reached."""
    best = rows["enumerate"].value
    assert best is not None
    for row in rows.values():
        assert row.best_known == best
    assert rows["enumerate"].gap_to_best_known == 0
    worse = rows["equal_share"]
    assert worse.value is not None
    assert worse.gap_to_best_known == pytest.approx((worse.value - best) / worse.value)


def test_measured_columns_are_filled(rows: dict[str, Row]) -> None:
    """A run that ended well has times, memory, a trace and a machine."""
    row = rows["enumerate"]
    assert row.wall_s > row.total_s > 0  # type: ignore[operator]
    assert row.warmup_s is not None
    assert 10 < row.peak_memory_mib < 400  # type: ignore[operator]
    assert row.trace[-1][1] == row.value
    assert row.machine["cores"] >= 1
    assert rows["eats_memory"].peak_memory_mib > 400  # type: ignore[operator]


@pytest.mark.slow
def test_a_child_that_a_solver_leaves_is_ended(plan: Plan, tmp_path: Path) -> None:
    """Processes that a solver starts do not outlive its run."""
    import psutil

    note = tmp_path / "pids"
    jobs = plan(f"leaves_a_child:note={note}")
    rows = run_jobs(jobs, Engine("sequential"))
    assert rows[0].status == "ok"
    pids = [int(line) for line in note.read_text().split()]
    assert len(pids) == 2  # warm-up and run
    for pid in pids:
        deadline = time.monotonic() + 60
        while _alive(psutil, pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _alive(psutil, pid)


def _alive(psutil: object, pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # type: ignore[attr-defined]
    except psutil.NoSuchProcess:  # type: ignore[attr-defined]
        return False


def unmeasured(rows: list[Row]) -> list[dict[str, object]]:
    """Rows without the columns that differ between two runs of the same work."""
    return [
        {name: value for name, value in row.to_dict().items() if name not in MEASURED}
        for row in rows
    ]


ITERATED = ("draws_with_the_seed:draws=40", "enumerate", "lies_about_bound", "equal_share")


@pytest.mark.slow
def test_resumed_rows_are_those_of_an_uninterrupted_run(plan: Plan, tmp_path: Path) -> None:
    """A file cut off in the middle of its second row is completed to what a whole run gives."""
    jobs = plan(*ITERATED, seeds=(0, 1), time_limit_s=20.0)[::3]
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    run_jobs(jobs, Engine("threads", 2), output=whole)
    lines = whole.read_text().splitlines(keepends=True)
    torn.write_text(lines[0] + lines[1][: len(lines[1]) // 2])
    assert len(resume(jobs, torn).jobs) == len(jobs) - 1
    assert torn.read_text() != lines[0]  # looking changes nothing: it may be of a run at work
    new = []
    run_jobs(jobs, Engine("sequential"), output=torn, report=new.append)
    assert len(new) == len(jobs) - 1
    assert torn.read_text().startswith(lines[0] + json.dumps(new[0].to_dict())[:9])
    assert unmeasured(read_rows(torn)) == unmeasured(read_rows(whole))


@pytest.mark.slow
def test_same_seed_gives_the_same_objective(plan: Plan) -> None:
    """Under an iteration limit, two runs of a seed agree and another seed is another run."""
    jobs = plan("draws_with_the_seed:draws=3", seeds=(5, 6), time_limit_s=20.0)
    first, second = (run_jobs(jobs, Engine("threads", 2)) for _ in range(2))
    assert [row.value for row in first] == [row.value for row in second]
    assert [row.stop_reason for row in first] == ["iterations", "iterations"]
    assert first[0].value != first[1].value


@pytest.mark.slow
def test_a_finished_file_starts_nothing(plan: Plan, tmp_path: Path) -> None:
    """Running again with a complete file does no run and leaves the file as it is."""
    jobs = plan("equal_share")
    output = tmp_path / "rows.jsonl"
    run_jobs(jobs, Engine("sequential"), output=output)
    before = output.read_bytes()

    def refuse(row: Row) -> None:
        raise AssertionError("nothing is left to run")

    again = run_jobs(jobs, Engine("sequential"), output=output, report=refuse)
    assert output.read_bytes() == before
    assert again == read_rows(output)


@pytest.mark.slow
def test_a_result_file_is_one_benchmarks_at_a_time(plan: Plan, tmp_path: Path) -> None:
    """Each writes the whole file at its end, so two at once would lose each other's rows."""
    output, seen = tmp_path / "rows.jsonl", []

    def second(row: Row) -> None:
        with pytest.raises(InUseError, match=r"rows\.jsonl: is in use by process \d+ on "):
            run_jobs(plan("enumerate"), Engine("sequential"), output=output)
        seen.append(row)

    run_jobs(plan("equal_share"), Engine("sequential"), output=output, report=second)
    assert len(seen) == len(plan("equal_share"))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.slow
def test_rows_of_other_data_or_limits_are_refused(plan: Plan, tmp_path: Path) -> None:
    """A file whose run had another instance or other threads is not added to."""
    output = tmp_path / "rows.jsonl"
    rows = run_jobs(plan("equal_share"), Engine("sequential"), output=output)
    with pytest.raises(InputError, match="has threads 1, now it is 2; write to another file"):
        run_jobs(plan("equal_share", threads=2), Engine("sequential"), output=output)
    other = dataclasses.replace(rows[0], instance_digest="0" * 16)
    output.write_text(json.dumps(other.to_dict()) + "\n")
    with pytest.raises(InputError, match="has instance_digest '0000000000000000'"):
        run_jobs(plan("equal_share"), Engine("sequential"), output=output)


INTERRUPTED = """
import sys
from pathlib import Path
from splitopt.cli.entry import run
sys.exit(run(["bench", "--solvers", "equal_share,hangs", "--solver-file", {file!r}, "--jobs",
              "{jobs}", "--time-limit", "60", "-o", {output!r}]))
"""


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.slow
def test_ctrl_c_leaves_a_valid_file_and_no_process(
    bad_solvers: Path, tmp_path: Path, jobs: int
) -> None:
    """An interrupted benchmark ends at once with what it has, and its workers end with it."""
    import psutil

    output = tmp_path / "rows.jsonl"
    code = INTERRUPTED.format(file=str(bad_solvers), output=str(output), jobs=jobs)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    children: list[psutil.Process] = []
    while time.monotonic() < deadline:
        children = psutil.Process(process.pid).children(recursive=True)
        if output.exists() and output.stat().st_size and children:
            break
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert {row.status for row in read_rows(output)} == {"ok"}
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


@pytest.mark.slow
def test_a_worker_ends_with_its_runner(bad_solvers: Path, tmp_path: Path) -> None:
    """A runner that is killed outright leaves no run behind."""
    import psutil

    code = INTERRUPTED.format(file=str(bad_solvers), output=str(tmp_path / "r.jsonl"), jobs=1)
    code = code.replace("equal_share,hangs", "hangs")
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    children: list[psutil.Process] = []
    while not children and time.monotonic() < deadline:
        time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
    time.sleep(0.5)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert children
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
