"""The fuzzer finds what is planted, says it in few words, and goes on after what hangs."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
from splitopt.errors import InputError
from splitopt.timeline import Resource, Timeline

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def part():
    """Yield the function that loads a module of the fuzzer, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield lambda name: importlib.import_module(f"benchmarks.fuzz.{name}")


@pytest.fixture
def corpus(part, tmp_path):
    """Return a folder with valid documents of three readers."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, text in part("documents").TABLES.items():
        (folder / name).write_text(text)
    (folder / "token.txt").chmod(0o600)
    zeros = np.zeros(2, dtype=int)
    times = np.array([0.0, 1.0])
    Timeline(
        (Resource("node", "node"),), ("forward",), ("owner",),
        resource=zeros, phase=zeros, owner=zeros, batch=np.arange(2), share=np.ones(2),
        start_s=times, end_s=times + 1,
    ).save(folder / "timeline.json")  # fmt: skip
    return folder


def case_of(part, target, use=None, **others):
    """Build a case without mutations."""
    found = part("targets").by_name(target)
    given = {"file": found.files[0], "use": use or found.uses[0], **others}
    return part("cases").Case(0, target, mutations=(), sealed=False, **given)


def judged(part, corpus, tmp_path, case, content=None):
    folder = tmp_path / "case"
    folder.mkdir()
    file = part("cases").lay_out(case, corpus, folder, content)
    return part("judge").judge(case, file, folder)


@pytest.mark.slow
def test_every_reader_of_the_package_is_reached_or_left_out_for_a_reason(part):
    readers, targets = part("readers"), part("targets")
    found = set(readers.found())
    assert found == {*readers.REACHED, *readers.LEFT_OUT}
    assert not {*readers.REACHED} & {*readers.LEFT_OUT}
    assert {*readers.REACHED.values()} <= {target.name for target in targets.TARGETS}


def test_a_new_reader_would_be_noticed(part, tmp_path, monkeypatch):
    """Of functions in a module, those that read are named, and no others."""
    (tmp_path / "new.py").write_text(
        "def one(path):\n    return parse_json(read_text(path), path)\n"
        "def two(path):\n    return path.read_bytes()\n"
        "class Three:\n    def load(self, path):\n        return np.load(path)\n"
        "def four(path):\n    with open(path, 'rb') as stream:\n        return stream\n"
        "def five(path):\n    path.write_text('x')\n"
        "def six(path):\n    with open(path, 'wb') as stream:\n        stream.write(b'x')\n"
    )
    monkeypatch.setattr(part("readers"), "ROOT", tmp_path)
    assert list(part("readers").found()) == ["new.one", "new.two", "new.Three.load", "new.four"]


def test_a_number_is_a_case_whoever_draws_it(part):
    draw = part("cases").draw
    assert [draw(3, k) for k in range(50)] == [draw(3, k) for k in range(50)]
    assert [draw(3, k) for k in range(50)] != [draw(4, k) for k in range(50)]
    case = draw(3, 7)
    assert part("cases").Case.from_dict(json.loads(json.dumps(case.to_dict()))) == case
    assert {draw(0, k).target for k in range(3000)} == {
        target.name for target in part("targets").TARGETS
    }


def test_the_same_seed_spoils_a_document_in_the_same_way(part):
    stream = io.BytesIO()
    np.savez(stream, x=np.arange(6.0).reshape(2, 3), y=np.arange(2))
    documents = {
        "tree": b'{"a": [1, 2.5, "x"], "b": {"c": null}}',
        "line": b'{"a": 1}\n{"a": 2}\n',
        "marked": b'["plan", "~star.yaml", "~a=1"]',
        "table": b"a,b\n1,2\n",
        "arrays": stream.getvalue(),
        "header": b'\x18\x00\x00\x00\x00\x00\x00\x00{"a": {"shape": [1]}}   \x00\x00\x00\x00',
        "text": b"a: 1\nb: [x, 2]\n",
        "bytes": b"0123456789",
    }
    kinds = part("mutate").KINDS
    assert documents.keys() == kinds.keys()
    for kind, content in documents.items():
        spoiled = [kinds[kind](content, Random(seed)) for seed in range(60)]
        assert spoiled == [kinds[kind](content, Random(seed)) for seed in range(60)]
        assert len({*spoiled, content}) > 15


def test_numbers_that_python_would_lose_stay_as_they_are_written(part):
    """Such as 1e999, of which ``json`` makes inf, and a repeated key."""
    writing = part("mutate.writing")
    text = b'{"a": 1e999, "b": [NaN, 1' + b"0" * 400 + b", 2]}"
    assert writing.write(writing.parse(text)) == text
    pairs = writing.Pairs({"a": 1})
    pairs.twice = (("a", 2),)
    assert writing.write(pairs) == b'{"a": 1, "a": 2}'


def endings():
    """Return what a reader may do, and what is said of it."""

    def raises(path):
        raise KeyError("cut")

    def at_length(path):
        error = InputError("x")
        error.args = ("x" * 1001,)
        raise error

    def steers(path):
        print("\x1b[2J")

    def forgets(path):
        (path.parent / "out" / ".splitopt-abc").touch()

    def writes(path):
        (path.parent / "out" / "page.html").write_text("half")
        raise InputError("no")

    def elsewhere(path):
        (path.parent / "surprise").touch()

    def runs(path):
        (path.parent / "CANARY").touch()

    def page(path):
        (path.parent / "out" / "page.svg").write_text("<svg>\x07</svg>")

    def traceback(path):
        print("Traceback (most recent call last):", file=sys.stderr)

    return {
        raises: r"KeyError at ",
        at_length: "a message over 1,000 characters",
        steers: "control characters are printed",
        forgets: "temporary files are left",
        writes: "files change with exit code 2: out/page.html",
        elsewhere: "a file that was not asked for: surprise",
        runs: "the document's content was run",
        page: "control characters are in a page",
        traceback: "a traceback is printed",
    }


@pytest.mark.parametrize(("ending", "words"), endings().items(), ids=lambda one: str(one)[:30])
def test_what_is_wrong_is_named(part, corpus, tmp_path, monkeypatch, ending, words):
    monkeypatch.setitem(part("judge").CALLS, "token", ending)
    monkeypatch.setenv("SPLITOPT_DEBUG", "")
    verdict = judged(part, corpus, tmp_path, case_of(part, "token"))
    assert verdict.bad is not None
    assert verdict.bad.startswith(words)


def test_a_good_ending_is_none(part, corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("SPLITOPT_DEBUG", "")
    assert judged(part, corpus, tmp_path, case_of(part, "token")).bad is None
    (tmp_path / "case").rename(tmp_path / "before")
    refused = judged(part, corpus, tmp_path, case_of(part, "token"), b"short")
    assert (refused.bad, refused.code) == (None, 2)
    assert "splitopt: error: " in refused.detail


def test_a_pickle_in_an_archive_would_be_noticed(part, tmp_path, monkeypatch):
    """What the mutator puts there does touch the file when somebody unpickles it."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(part("mutate.arrays").Canary()))
    assert (tmp_path / "CANARY").exists()
    stream = io.BytesIO()
    np.savez(stream, x=np.arange(3.0))
    spoil = part("mutate").KINDS["arrays"]
    spoiled = (spoil(stream.getvalue(), Random(seed)) for seed in range(200))
    assert any(b"touch" in content for content in spoiled)


PLANTED = """
from splitopt.timeline import Timeline
from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import read_text

load = Timeline.load

def planted(path):
    found = parse_json(read_text(path), str(path))
    if isinstance(found, dict) and not isinstance(found.get("phases"), list):
        raise ZeroDivisionError("planted")
    return load(path)

Timeline.load = planted
"""


@pytest.mark.slow
def test_a_planted_defect_is_found_and_made_small(part, corpus, tmp_path, capsys):
    """A timeline of which ``phases`` is no list; the smallest document has nothing else."""
    (tmp_path / "setup.py").write_text(PLANTED)
    main = part("__main__").main
    given = ["--corpus", str(corpus), "--setup", str(tmp_path / "setup.py"), "--readers"]
    out = tmp_path / "out"
    assert main([*given, "timeline", "--cases", "150", "-o", str(out)]) == 1
    printed = capsys.readouterr().out
    (folder,) = out.iterdir()
    report = json.loads((folder / "report.json").read_text())
    assert report["bad"].startswith("ZeroDivisionError at ")
    assert report["difference"].startswith(".phases ")
    assert ";" not in report["difference"]
    small = json.loads((folder / "files" / "timeline.json").read_text())
    assert not isinstance(small.get("phases"), list)
    assert set(small) <= {"phases"}
    assert report["command"] == "python -m benchmarks.fuzz.calls timeline timeline.json"
    assert f"timeline: {report['bad']}" in printed
    number = report["again"].split()[-1]
    assert main([*given, "timeline", "--case", number]) == 1


HANGS = """
import time
from benchmarks.fuzz.calls import CALLS

def hang(path):
    kind = path.read_text()
    if kind == "loop":
        while True:
            pass
    if kind == "hog":
        taken = []
        while True:
            taken.append(bytearray(50 * 2**20))
    if kind == "exit":
        import os
        os._exit(3)

CALLS["token"] = hang
"""


@pytest.mark.slow
def test_a_loop_a_hog_and_a_death_are_caught_and_the_run_goes_on(part, corpus, tmp_path):
    (tmp_path / "setup.py").write_text(HANGS)
    (tmp_path / "work").mkdir()
    worker = part("pool").Worker(
        corpus, tmp_path / "work", tmp_path / "setup.py", memory_mib=1500.0
    )
    case = case_of(part, "token")
    try:
        for kind, cpu_s, bad in (
            ("loop", 0.5, "time"),
            ("hog", 60.0, "memory"),  # memory is taken slowly where the machine has little
            ("exit", 60.0, "the process ended"),
        ):
            worker.cpu_s = cpu_s
            verdict, _ = worker.run(case, kind.encode())
            assert verdict.bad == bad
        assert worker.run(case, b"fine")[0].bad is None
    finally:
        worker.stop()


@pytest.mark.slow
def test_a_run_of_a_few_readers_is_clean(part, corpus, capsys):
    """Fifty cases of those whose documents are quick to make."""
    readers = ["timeline", "token"]
    code = part("__main__").main(["--corpus", str(corpus), "--cases", "50", "--readers", *readers])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "50 cases" in printed
    assert "0 kinds of bad cases" in printed


@pytest.mark.slow
def test_every_target_takes_its_valid_documents_and_reaches_its_readers(
    part, tmp_path, monkeypatch
):
    """All documents are made by the product; each use of each of them ends with 0."""
    monkeypatch.setenv("SPLITOPT_DEBUG", "")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    with np.errstate(all="warn"):
        part("corpus").build(corpus)
        called, refused = _of_all_targets(part, corpus, tmp_path)
    assert refused == {}
    missing = {
        reader: target
        for reader, target in part("readers").REACHED.items()
        if reader not in called[target]
    }
    assert missing == {}


def _of_all_targets(part, corpus, tmp_path):
    called, refused = {}, {}
    package = str(part("readers").ROOT) + os.sep

    for target in part("targets").TARGETS:
        codes = set()
        number = 0
        for file in target.files:
            for use in target.uses:
                number += 1
                case = case_of(part, target.name, use, file=file)
                folder = tmp_path / f"{target.name}-{number}"
                folder.mkdir()
                path = part("cases").lay_out(case, corpus, folder)
                sys.setprofile(lambda frame, *_, codes=codes: codes.add(frame.f_code))
                try:
                    verdict = part("judge").judge(case, path, folder)
                finally:
                    sys.setprofile(None)
                if verdict.code != 0 or verdict.bad:
                    refused[f"{target.name}: {verdict.command}"] = (verdict.bad, verdict.detail)
        called[target.name] = {
            f"{_module(code.co_filename, package)}.{code.co_qualname}"
            for code in codes
            if code.co_filename.startswith(package)
        }
    return called, refused


def _module(file, package):
    path = Path(file.removeprefix(package)).with_suffix("")
    return ".".join(path.parts).removesuffix(".__init__")
