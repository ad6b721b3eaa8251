"""Whatever a console, a pipe or a disk does, a command ends with a sentence and its exit code."""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console

from splitopt.cli import entry, options
from splitopt.cli.entry import run
from splitopt.cli.printing import printing

NAME = "fäßt→"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Write a plan whose devices have names that not every console can show."""
    folder = tmp_path_factory.mktemp("plan")
    shipped = Path(entry.__file__).parents[1] / "scenario/data/digits-splitfed.yaml"
    text = shipped.read_text(encoding="utf-8").replace("name: fast", f"name: {NAME}")
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    assert run(["plan", str(folder / "s.yaml"), "-o", str(folder / "plan.json")]) == 0
    return folder / "plan.json"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")
@pytest.mark.parametrize("arguments", [["report"], ["simulate", "--json"], ["--version"]])
def test_an_output_that_is_full(plan, arguments, monkeypatch, capsys):
    """Of text, of tables and of JSON, each through another way of printing."""
    if arguments[0] != "--version":
        arguments = [arguments[0], str(plan), *arguments[1:]]
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert run(arguments) == 1
    assert capsys.readouterr().err == (
        "splitopt: error: standard output: cannot be written (No space left on device)\n"
    )


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")
def test_the_end_of_the_interpreter_adds_nothing():
    """What could not be printed is not tried again, where nothing can be said of it."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "splitopt", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


def test_a_console_that_cannot_show_a_name(plan, monkeypatch, capsys):
    """Tables, lines and errors come out with question marks, and nothing else is lost."""
    shown = {}
    for verb, *arguments in (
        ["report", plan],
        ["simulate", plan],
        ["plan", plan.parent / "s.yaml"],
    ):
        written = io.BytesIO()
        console = io.TextIOWrapper(written, encoding="ascii")
        monkeypatch.setattr(sys, "stdout", console)
        assert run([verb, *map(str, arguments)]) == 0
        shown[verb] = written.getvalue()
        assert shown[verb].isascii()
    assert b"f??t? (" in shown["report"]
    assert b"f??t? (" in shown["plan"]
    assert capsys.readouterr().err == ""


def test_each_way_of_printing_knows_the_console(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with printing():
        typer.echo(NAME)
        print(NAME)
        Console().print(NAME)
        sys.stdout.writelines([NAME])
    assert written.getvalue() == b"f??t?\nf??t?\nf??t?\nf??t?"


def test_an_error_about_such_a_name(plan, monkeypatch):
    written = io.BytesIO()
    console = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(sys, "stderr", console)
    assert run(["report", f"{NAME}.json"]) == 2
    console.flush()
    assert written.getvalue() == b"splitopt: error: f??t?.json: there is no such file\n"


@pytest.mark.slow
def test_an_error_stream_that_is_full_loses_no_exit_code(tmp_path):
    code = "import sys; sys.stderr = open('/dev/full', 'w'); from splitopt.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "report", "no.json"], check=False)
    assert done.returncode == 2


def test_a_working_folder_that_is_gone(plan, tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["plan", "digits-splitfed", "-o", "x.json"]) == 2
    assert "the working folder is not there any more" in capsys.readouterr().err
    assert run(["plan", "digits-splitfed", "-o", str(tmp_path / "x.json")]) == 0
    if importlib.util.find_spec("torch") is None:  # to import it would end the process here
        pytest.skip("needs the extra 'train'")
    assert run(["train", str(plan), "--rounds", "1"]) == 1
    assert "the working folder is not there any more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, "Input/output error", "x.bin"), "x.bin: refused what the command nee"),
        (OSError(errno.EMFILE, "Too many open files"), "the system: refused what the command ne"),
        (OSError("odd"), "the system: refused what the command needs (odd)"),
        (MemoryError(), "there is not enough memory for this; ask for less"),
        (MemoryError("Unable to allocate 9 TiB"), "memory for this ('Unable to allocate 9 TiB')"),
        (RecursionError("maximum recursion depth"), "is nested too deeply"),
        (UnicodeEncodeError("utf-8", "a\ud800", 1, 2, "no"), "cannot be written in utf-8"),
        (RuntimeError("Symlink loop from 'x'"), "Symlink loop from 'x': these links lead nowhere"),
    ],
)
def test_what_the_machine_lacks_is_no_bug(monkeypatch, capsys, error, words):
    """One sentence and exit code 1, and not the words for a bug."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(entry, "_command", lambda: fail)
    assert run(["report", "plan.json"]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "internal error" not in said
    assert said.count("\n") == 1


def test_a_bug_is_still_called_one(monkeypatch, capsys):
    def fail(*_, **__):
        raise LookupError("odd")

    monkeypatch.setattr(entry, "_command", lambda: fail)
    assert run(["report", "plan.json"]) == 1
    assert "internal error (LookupError: odd)" in capsys.readouterr().err


def test_ctrl_c_while_the_command_line_is_loaded():
    """Before any command could see it, and without a traceback."""
    code = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'splitopt.cli.entry': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from splitopt.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"splitopt: error: interrupted\n")


def test_outputs_that_are_badly_named(plan, tmp_path, monkeypatch, capsys):
    """A circle of links, too long a name: exit code 2, before any work."""
    monkeypatch.chdir(tmp_path)
    os.symlink("loop.json", "loop.json")
    for name in ("loop.json", "x" * 300, "none/x.json"):
        assert run(["plan", "digits-splitfed", "-o", name]) == 2
        assert "cannot be written" in capsys.readouterr().err
    assert os.listdir() == ["loop.json"]


def test_names_in_tables_are_no_markup():
    """Brackets that a file has in its names are shown, and steer no colours."""
    written = io.StringIO()
    table = options.table(("Name", "[red]s"), [("[bold]pi[/bold]", "1")], numbers=("[red]s",))
    Console(file=written, width=80).print(table)
    assert written.getvalue().split() == ["Name", "[red]s", "[bold]pi[/bold]", "1"]
