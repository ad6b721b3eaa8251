"""Plug-ins of an installed package and of files: listed, trained with, refused in a sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import plugins  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.training.codecs.registry import make_codec  # noqa: E402
from splitopt.training.conformance import check_plugin  # noqa: E402
from splitopt.training.kinds import KINDS, SCHEME, TASK  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.schemes.naming import scheme_of  # noqa: E402
from splitopt.training.tasks import TASKS, task_of  # noqa: E402

pytestmark = pytest.mark.train

CODE = '''
"""One plug-in of each kind."""

import torch
from splitopt.training.codecs.floats import Fp16
from splitopt.training.schemes import SplitFedV1
from splitopt.training.tasks import TASKS, Task


class Even(SplitFedV1):
    """Averages in which every client counts the same."""

    name, runs_as = "even", "splitfed_v1"

    def weight(self, client):
        return 1.0


class Half(Fp16):
    """Half precision by another name."""

    name = "half"


def slow(parameters, lr):
    """Plain steps at a tenth of the rate."""
    return torch.optim.SGD(parameters, lr=lr / 10)


known = TASKS["classification"]
LABELS = Task("labels", known.loss, known.metrics, known.targets, misfit=known.misfit)
'''
POINTS = """[splitopt.schemes]
even = brought_parts:Even
gone = brought_parts:Gone

[splitopt.codecs]
half = brought_parts:Half
int8 = brought_parts:Half

[splitopt.optimizers]
slow = brought_parts:slow

[splitopt.tasks]
labels = brought_parts:LABELS
"""


def install(folder, name, points, code=None):
    """Write a distribution as an installer would leave it."""
    about = folder / f"{name.replace('-', '_')}-1.5.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (about / "entry_points.txt").write_text(points)
    if code is not None:
        (folder / "brought_parts.py").write_text(code)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Put a package with one plug-in of each kind, and two mistakes, on the path."""
    folder = tmp_path / "site"
    install(folder, "brought-parts", POINTS, CODE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "brought_parts", raising=False)
    before = __import__("os").environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{before}")  # for processes that are started
    plugins.entry_points.cache_clear()
    yield folder
    plugins.entry_points.cache_clear()
    sys.modules.pop("brought_parts", None)


@pytest.fixture
def plan_file(plan_of, tmp_path, monkeypatch):
    """Save a plan of four devices with little data where commands run."""
    monkeypatch.chdir(tmp_path)
    plan_of("few-splitfed").save("plan.json")
    return "plan.json"


def rows(capsys, *words):
    assert run(["plugins", *words, "--json"]) == 0
    return {(row["kind"], row["name"]): row for row in json.loads(capsys.readouterr().out)}


def test_names_are_those_of_the_objects():
    """The names are known without PyTorch, and are the same."""
    assert list(SCHEME.own) == list(SCHEMES)
    assert list(TASK.own) == list(TASKS)
    for kind in KINDS:
        for row in kind.listed():
            if row.source == "splitopt":
                assert row.ready == "yes", row
                assert row.summary


@pytest.mark.slow
def test_they_are_listed_and_mistakes_are_named(installed, capsys):
    """A broken or clashing one is named with the reason, and the others are there."""
    found = rows(capsys)
    for kind, name in (
        ("scheme", "even"),
        ("codec", "half"),
        ("optimizer", "slow"),
        ("task", "labels"),
    ):
        row = found[kind, name]
        assert (row["source"], row["ready"]) == ("brought-parts", "yes")
    assert found["scheme", "even"]["summary"].startswith("Averages in which")
    assert "fails to load brought_parts:Gone (AttributeError" in found["scheme", "gone"]["ready"]
    both = [row for row in json.loads(dump(capsys)) if row["name"] == "int8"]
    assert [row["ready"] for row in both] == [
        "yes",
        "the codec name 'int8' is splitopt's own; the package must rename it",
    ]
    assert make_codec("int8").name == "int8"
    assert rows(capsys, "tasks").keys() == {("task", name) for name in [*TASKS, "labels"]}
    assert run(["plugins"]) == 0
    assert "brought-parts" in capsys.readouterr().out
    assert run(["plugins", "codec", "--check", "half"]) == 0
    assert capsys.readouterr().out.endswith("conforms\n")


def dump(capsys):
    assert run(["plugins", "codecs", "--json"]) == 0
    return capsys.readouterr().out


def test_two_packages_with_one_name(installed):
    """Neither is taken, and both are named."""
    install(installed, "other-parts", "[splitopt.schemes]\neven = brought_parts:Even\n")
    plugins.entry_points.cache_clear()
    words = "'even' is brought by .*-parts and .*-parts; remove one of them"
    with pytest.raises(InputError, match=f"^scheme: the scheme name {words}"):
        scheme_of("even")
    assert [row.ready for row in SCHEME.listed() if row.name == "even"] != ["yes"]
    assert scheme_of("federated")[0] is SCHEMES["federated"]


OWN = ("--optimizer", "slow", "--codec", "half", "--task", "labels", "--scheme", "even")


@pytest.mark.slow
def test_an_installed_package_trains(installed, plan_file, capsys):
    """All four kinds together: trained, kept, gone on with, bit for bit; and exported."""
    common = ["train", plan_file, "--lr", "1", *OWN, "--json"]
    assert run([*common, "--rounds", "2", "--save-model", "whole.safetensors"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert run([*common, "--rounds", "1", "--checkpoint", "kept"]) == 0
    again = [*common, "--rounds", "2", "--checkpoint", "kept", "--resume"]
    assert run([*again, "--save-model", "resumed.safetensors"]) == 0
    assert Path("whole.safetensors").read_bytes() == Path("resumed.safetensors").read_bytes()
    assert whole["history"]["origin"]["scheme"] == "even"
    assert whole["clock_s"] is not None  # it runs as the plan's own scheme
    plan = splitopt.Plan.load(plan_file)
    usual = splitopt.train(plan, rounds=1, options=Options(learning_rate=0.1))
    sent = whole["traffic_bytes"]["smashed"]
    assert sent == usual.history.traffic_bytes()["smashed"]  # two rounds of half the bytes
    identity = json.loads(Path("kept/checkpoint.json").read_text())["identity"]
    assert identity["scheme_code"] == "brought-parts 1.5"
    words = [*common[:-1], "--rounds", "3", "--checkpoint", "kept", "--resume"]
    words[words.index("even")] = "splitfed_v1"
    capsys.readouterr()
    assert run(words) == 2
    assert "scheme is even there and splitfed_v1 here" in capsys.readouterr().err
    assert run(["export", plan_file, "--to", "torch", "-o", "parts"]) == 0


@pytest.mark.slow
def test_an_installed_package_over_connections(installed, plan_file, capsys):
    """Processes find the package by themselves; the weights are those of one process."""
    common = ["train", plan_file, "--lr", "1", "--rounds", "1", *OWN]
    assert run([*common, "--save-model", "one.safetensors"]) == 0
    wired = [*common, "--wire", "--any-speed", "--time-scale", "0.01"]
    assert run([*wired, "--save-model", "wire.safetensors"]) == 0
    assert Path("one.safetensors").read_bytes() == Path("wire.safetensors").read_bytes()
    Path("own.py").write_text(CODE.replace('"even"', '"own_even"').replace('"half"', '"own_half"'))
    found = ["validate", plan_file, "--scheme-file", "own.py", "--codec", "own.py:Half"]
    capsys.readouterr()
    assert run([*found, "--within", "inf", "--steps", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert "own_even" in json.dumps(facts)


ALONE = """
from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes import Round, Scheme


class Whole(Scheme):
    name, roles, takes = "whole", ("device",), "nothing"

    def prepare(self):
        self.own = Copy.of(
            self.model, (), self.roles, self.split, self.options, shared=True, about=self.about
        )

    def copies(self):
        return [self.own]

    def round(self, number):
        tally = Round()
        for client in self.order(number):
            for batch in client.batches.take(self.steps(client)):
                self.train_batch(self.own.parts, batch, client, tally)
        return tally
"""
TIMED = """
    def phases_s(self, program, number):
        return {"walking": 2.0, "talking": 0.5 * number}
"""


@pytest.mark.slow
def test_a_scheme_without_a_formula_has_no_time(plan_file, capsys):
    """It is said in words; a formula of its own is taken as it is."""
    Path("whole.py").write_text(ALONE)
    assert run(["train", plan_file, "--scheme-file", "whole.py", "--rounds", "2"]) == 0
    words = "Predicted time: none: nothing here predicts the rounds of whole"
    assert words in capsys.readouterr().out
    Path("timed.py").write_text(ALONE + TIMED)
    run_of = splitopt.train("plan.json", scheme="timed.py:Whole", rounds=3)
    assert [row.round_s for row in run_of.history] == [2.0, 2.5, 3.0]
    assert run_of.history.clock_s == 7.5
    usual = scheme_of("whole.py")[0]
    trained = splitopt.train("plan.json", scheme=usual, rounds=1)
    assert trained.history.traffic_bytes()["smashed"] == 0


@pytest.mark.slow
def test_a_scheme_without_a_form_over_connections_is_refused_by_name(plan_file, capsys):
    """On the wire and in validation; an export cuts as the scheme does."""
    Path("whole.py").write_text(ALONE)
    own = ["--scheme-file", "whole.py"]
    for words in (["train", plan_file, "--wire", *own], ["validate", plan_file, *own]):
        assert run(words) == 2
        assert "scheme: whole has no form over connections; " in capsys.readouterr().err
    assert run(["export", plan_file, "--to", "torch", "-o", "parts", *own, "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert all(client["cuts"] == [] for client in written["clients"])


BAD = {
    "x = 1": "mine.py: defines no scheme; write a class that extends splitopt.training.schemes",
    "import nowhere_at_all": r"'mine.py' cannot be imported \(ModuleNotFoundError",
    "raise SystemExit(3)": r"'mine.py' cannot be imported \(SystemExit: 3",
    "class A(Scheme):\n    name = 'a'": "is an abstract scheme, without copies, prepare, round",
    ALONE + "class Other(Whole):\n    name = 'b'": "defines Whole and Other; name one of them",
    ALONE.replace("round(self, number)", "round(self)"): "round cannot be called .*round.NUMBER.",
    ALONE.replace('"whole"', '"federated"'): "the scheme name 'federated' is taken; rename it",
    ALONE.replace('"whole"', "3"): "has the name 3; give its class a name",
    ALONE.replace('"nothing"', '"some"'): "takes is 'some', it must be one of planned",
    ALONE + "    runs_as = 'fastest'": "runs_as is 'fastest', it must be one of",
    ALONE + "    runs_as = 'splitfed_v1'": "does not extend SplitFedV1 or has a round of its own",
    ALONE.replace('"nothing"', '"ends"'): "it needs a first and a last cut of every client",
    ALONE.replace("self.own =", "self.nothing.own ="): "whole cannot be made for this plan .Attrib",
}


@pytest.mark.one_quick
@pytest.mark.parametrize("code", BAD, ids=range(len(BAD)))
def test_what_is_no_scheme(plan_file, code, capsys):
    """Exit code 2 and one sentence."""
    head = "from splitopt.training.schemes import Scheme, SplitFedV1\n"
    Path("mine.py").write_text(head + code + "\n")
    assert run(["train", plan_file, "--scheme-file", "mine.py", "--rounds", "1"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    with pytest.raises(InputError, match=BAD[code]):
        splitopt.train("plan.json", scheme="mine.py", rounds=1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--scheme-file", "none.py"), "scheme: none.py: there is no such file"),
        (("--scheme-file", "even"), "--scheme-file: is 'even', it must be FILE.py or FILE.py:NAME"),
        (("--scheme-file", "a.py", "--scheme", "vanilla"), "is given beside --scheme"),
        (
            ("--scheme", "fedrated"),
            "scheme: 'fedrated' is unknown here; .*did you mean 'federated'",
        ),
        (("--scheme", "math:pi"), "scheme: math:pi is no scheme"),
        (("--codec", "own.py:Codec"), "codec: own.py: there is no such file"),
        (("--codec", "math:pi"), "codec: 'pi': math:pi is not a class of codecs"),
        (("--optimizer", "math:pi"), "optimizer: 'math:pi' is a float; name a function"),
        (("--optimizer", "lion"), "optimizer: is 'lion', it must be one of sgd, adam, adamw"),
        (("--task", "math:pi"), "loss: is 3.14.*, it must be a function"),
        (("--task", "lables"), "task: 'lables' is unknown here; known are classification"),
    ],
)
def test_what_is_none_of_its_kind(plan_file, words, sentence, capsys):
    import re

    assert run(["train", plan_file, "--rounds", "1", *words]) == 2
    assert re.search(sentence, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("return tally", "return 3", "round of the scheme whole gives int and no Round"),
        ("tally = Round()", "tally = self.gone", "the scheme whole fails .AttributeError"),
    ],
)
def test_a_scheme_that_fails_while_it_trains_is_named(plan_file, old, new, sentence):
    from splitopt.errors import TrainingError

    Path("whole.py").write_text(ALONE.replace(old, new))
    with pytest.raises(TrainingError, match=f"round 1: {sentence}"):
        splitopt.train("plan.json", scheme="whole.py", rounds=1)


def test_files_of_every_kind(tmp_path):
    """One rule: FILE.py:NAME, and FILE.py alone where the file defines one; it runs once."""
    file = tmp_path / "parts.py"
    file.write_text(CODE + "with open(__file__ + '.runs', 'a') as f:\n    f.write('x')\n")
    assert scheme_of(f"{file}")[0].name == "even"
    assert make_codec(f"{file}").name == "half"
    assert make_codec(f"{file}:Half", "gradient_codec").name == "half"
    assert task_of(f"{file}").name == "labels"
    options = Options(optimizer=f"{file}", learning_rate=1.0)
    made = options.maker("device")([torch.nn.Parameter(torch.ones(1))])
    assert made.param_groups[0]["lr"] == pytest.approx(0.1)
    assert (tmp_path / "parts.py.runs").read_text() == "x"
    with pytest.raises(InputError, match="half takes nothing behind a colon"):
        make_codec(f"{file}:Half:channel")
    checks = check_plugin("codec", f"{file}:Half")
    assert {check.status for check in checks} == {"passed", "skipped"}


def test_who_lacks_what_is_said_by_both_sides():
    """The leader names the party and what it lacks, at once in the log and when time is up."""
    from splitopt.training.wire.crew import Crew, JoinError, say_absent
    from splitopt.training.wire.transport.listener import listen
    from splitopt.training.wire.transport.tokens import Token

    token = Token.new()
    listener = listen(None, 0, token)
    mine = {"options": {"codec": "half", "seed": 1}, "code of codec": "brought-parts 1.5"}
    with Crew(listener, ["a", "b"], mine) as crew:
        text = "codec: 'half' is unknown here"
        say_absent("127.0.0.1", listener.port, token, 2, text, 5.0, None)
        with pytest.raises(JoinError, match=r"rank 2 \(b\) cannot take part: codec: 'half' is unk"):
            crew.wait(0.3)
        for theirs, words in (
            ({**mine, "options": {"seed": 1}}, "options.codec: is nothing for rank 1 .a. and half"),
            ({**mine, "code of codec": "brought-parts 1.4"}, "code of codec: is brought-parts 1.4"),
            (
                {**mine, "code of task": "t.py 12"},
                "code of task: is t.py 12 for rank 1 .a. and not",
            ),
        ):
            from splitopt.training.wire.crew import join

            with pytest.raises(InputError, match=words):
                join("127.0.0.1", listener.port, token, 1, theirs, 5.0)
