"""Every snippet in README and docs runs, and what consoles show is what is printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pydantic
import pytest

from splitopt.cli.entry import run
from splitopt.planning.plan_schema import plan_schema
from splitopt.scenario import scenario_schema

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def matches(pattern, text):
    """Whether a text is as shown, where a line of `...` stands for any lines, else any words."""
    pieces = re.split(r"(\.\.\.)", pattern.strip())
    joined = "".join(".*" if piece == "..." else re.escape(piece) for piece in pieces)
    spaces = re.sub(r"(\\\s|\s)+", r"\\s+", joined)
    return re.fullmatch(spaces, text.strip(), re.DOTALL) is not None


def without_notes(text):
    """Leave out that loops are being compiled, which is so where nobody has run them before."""
    kept = [line for line in text.splitlines(keepends=True) if "note: compiling the" not in line]
    return "".join(kept)


def run_console(block, capsys):
    """Run each `$ splitopt ...` line and compare what it prints with what stands below it."""
    for chunk in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = chunk.partition("\n")
        words = shlex.split(command)
        if words[0] != "splitopt":
            continue
        capsys.readouterr()  # what Python snippets printed before
        code = run(words[1:])
        captured = capsys.readouterr()
        if not shown.strip():
            assert code == 0, captured.err
            continue
        assert matches(shown, captured.out + without_notes(captured.err)), (
            f"$ {command}\n{captured.out}"
        )


# They train, attack, validate and compare with real processes, or compile and solve for long.
LONG = (
    "README.md",
    "docs/benchmark/bring-your-own.md",
    "docs/benchmark/index.md",
    "docs/benchmark/reports.md",
    "docs/controller.md",
    "docs/devices.md",
    "docs/differential-privacy.md",
    "docs/does-it-pay.md",
    "docs/export.md",
    "docs/finetuning.md",
    "docs/forgetting.md",
    "docs/generators.md",
    "docs/graphs.md",
    "docs/iotsl.md",
    "docs/leakage.md",
    "docs/machines.md",
    "docs/models.md",
    "docs/pipelines.md",
    "docs/problems/generator_pairing.md",
    "docs/problems/graph_partition.md",
    "docs/problems/time_to_accuracy.md",
    "docs/profiles-fit.md",
    "docs/profiles-trace.md",
    "docs/questions.md",
    "docs/replicas.md",
    "docs/robust.md",
    "docs/robustness.md",
    "docs/scenarios.md",
    "docs/solvers/clusters.md",
    "docs/solvers/exact.md",
    "docs/solvers/pairing_rules.md",
    "docs/solvers/set_cover.md",
    "docs/splitfed.md",
    "docs/training.md",
)
TRAIN = (
    "choices",
    "codecs",
    "contributing/add-a-scheme",
    "data",
    "devices",
    "differential-privacy",
    "export",
    "finetuning",
    "flower",
    "forgetting",
    "generators",
    "graphs",
    "iotsl",
    "leakage",
    "machines",
    "models",
    "nvflare",
    "profiles-trace",
    "quick-start",
    "ray",
    "replicas",
    "robustness",
    "secure-aggregation",
    "splitfed",
    "tasks",
    "training",
    "wire",
)
NEED_OPACUS = ("README.md", "docs/differential-privacy.md")
NEED_ONNX = ("docs/devices.md",)
NEED_TRANSFORMERS = ("docs/models.md",)
NEED_XLSX = ("docs/mp-sl.md",)
NEED_TORCH = ("README.md", *(f"docs/{name}.md" for name in TRAIN))


def named(page):
    """Return a page as a parameter with its name and the marks of what it needs."""
    name = page.relative_to(ROOT).as_posix()
    marks = [pytest.mark.slow] * (name in LONG) + [pytest.mark.train] * (name in NEED_TORCH)
    marks += [pytest.mark.gurobi] * (name == "docs/modelling.md")
    return pytest.param(page, id=name, marks=marks)


@pytest.mark.every_case
@pytest.mark.parametrize("page", [named(page) for page in PAGES])
def test_snippets_run(page, tmp_path, monkeypatch, capsys):
    """Files are written, Python is executed in one namespace, console calls print what is shown."""
    if page.relative_to(ROOT).as_posix() in NEED_TORCH:
        pytest.importorskip("torch", reason="needs the extra 'train'")
    if page.relative_to(ROOT).as_posix() in NEED_XLSX:
        pytest.importorskip("xlsxwriter", reason="needs the extra 'xlsx'")
    if page.relative_to(ROOT).as_posix() in NEED_TRANSFORMERS:
        pytest.importorskip("transformers", reason="needs the extra 'huggingface'")
    if page.relative_to(ROOT).as_posix() in NEED_OPACUS:
        pytest.importorskip("opacus", reason="needs the extra 'privacy'")
    if page.relative_to(ROOT).as_posix() in NEED_ONNX:
        for package in ("onnx", "onnxruntime", "onnxscript"):
            pytest.importorskip(package, reason="needs the extra 'onnx'")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name in ("results", "before", "after"):  # result files that pages take as given
        shutil.copy(ROOT / "benchmarks" / "results" / "paper.jsonl", tmp_path / f"{name}.jsonl")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for language, block in FENCE.findall(page.read_text()):
        name = re.match(r"# file: (\S+)\n", block)
        if name:
            Path(name[1]).write_text(block)
        elif language == "python":
            exec(compile(block, str(page), "exec", dont_inherit=True), namespace)
        elif language == "json":
            json.loads(block)
        elif language == "console":
            run_console(block, capsys)


def test_the_published_schema_is_current():
    """The schema in the docs is the one that the package gives."""
    published = json.loads((ROOT / "docs" / "schema" / "scenario.schema.json").read_text())
    assert published == scenario_schema()


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 14),
    reason="older releases of pydantic write the same schema in other words",
)
def test_the_published_schema_of_plans_is_current():
    """So is that of plan files."""
    published = json.loads((ROOT / "docs" / "schema" / "plan.schema.json").read_text())
    assert published == plan_schema()
