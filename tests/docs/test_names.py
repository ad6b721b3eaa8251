"""Commands, options, modules, solvers, files and sections that pages name are there."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer

from splitopt.cli.app import app
from splitopt.solvers.registry import SOLVERS

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
    *sorted((ROOT / "benchmarks").glob("**/README.md")),
]
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
MODULE = re.compile(r"python -m (benchmarks(?:\.\w+)*)([^|&;#]*)")
QUOTED = re.compile(r"[\"'](--[a-z][a-z0-9-]*)=?[\"']")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)
PLACE = re.compile(r"(?<![\w./-])(?:benchmarks|docs|examples|splitopt|tests)/[\w./-]*\w/?")
DOTTED = re.compile(r"(?<![\w./-])(?:splitopt|benchmarks)(?:\.\w+)+")
SOLVER = re.compile(r"--solvers? ([\w:,]+)")
WRITTEN = (*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "splitopt/export").rglob("*.py"))
FOREIGN = {"--insecure", "--strict"}  # of Flower and kubernetes-validate
SAID = {"splitopt.control", "splitopt.solving"}  # loggers
GROUPS = {"splitopt.codecs", "splitopt.exporters"}  # of entry points
FORMAT = re.compile(r'"(splitopt-[a-z-]+)"')
INTERNAL = {"splitopt-port", "splitopt-theme"}  # a key of PyTorch's store, and one of a browser
INTERNAL |= {"splitopt-published-constants", "splitopt-published-curves"}  # shipped data
MADE_UP = {"exakt", "mine"}  # a name that is refused, and that of the reader's own solver


@cache
def commands():
    """Return the options of each command of the command line, by its words."""
    found, todo = {}, [((), typer.main.get_command(app))]
    while todo:
        words, command = todo.pop()
        flags = {name for item in command.params for name in (*item.opts, *item.secondary_opts)}
        found[words] = flags | {"--help"}
        todo += [((*words, name), one) for name, one in getattr(command, "commands", {}).items()]
    return found


@cache
def anybody():
    """Return every option: of a command, of a benchmark, and of the programs of exports."""
    quoted = {flag for path in WRITTEN for flag in QUOTED.findall(path.read_text())}
    return quoted.union(FOREIGN, *commands().values())


@cache
def prose(page):
    """Return a page without its fences."""
    return FENCE.sub("", page.read_text())


@cache
def codes(page):
    """Return what a page has in code: its spans, and the lines of fences that are commands."""
    fences = FENCE.findall(page.read_text())
    fenced = [block for language, block in fences if language not in ("python", "yaml")]
    indented = [line for line in prose(page).splitlines() if line.startswith("    ")]
    joined = "\n".join([*fenced, *indented]).replace("\\\n", " ")
    lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
    spans = [" ".join(span.split()) for span in SPAN.findall(prose(page))]
    return [*spans, *(line for line in lines if line.startswith(("splitopt ", "python -m ")))]


def calls(page):
    """Yield the words of each call of the command line, what is in quotes as one of them."""
    for code in codes(page):
        if not code.startswith("splitopt ") or code.startswith("splitopt ..."):
            continue
        try:
            words = shlex.split(code, comments=True)
        except ValueError:  # a quote that is never closed is an apostrophe
            words = code.split()
        yield words[1:]


def called(words):
    """Return the longest command that words begin with; flags alone are of the whole."""
    if words[0].startswith("-"):
        return ()
    return tuple(words[:2]) if tuple(words[:2]) in commands() else (words[0],)


def known(words):
    """Whether words are a command with flags of its own."""
    flags = {word.partition("=")[0] for word in words}
    flags = {flag for flag in flags if FLAG.fullmatch(flag)}
    return called(words) in commands() and flags <= commands()[called(words)]


def of_module(name):
    """Return the file of a module of the benchmarks, or None."""
    place = ROOT / name.replace(".", "/")
    return next((f for f in (place.with_suffix(".py"), place / "__main__.py") if f.exists()), None)


def section(heading):
    """Return what a link to a heading ends with."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def sections(page):
    """Return what links to the sections of a page end with."""
    return {section(heading) for heading in HEADING.findall(prose(page))}


def named(path):
    """Whether a dotted path is a module, or its last known module says the name behind it."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if place.is_dir() or file.exists():
            whole = length == len(parts)
            return whole or (
                file.exists() and parts[length] in re.findall(r"\w+", file.read_text())
            )
    return False


def bad_links(page):
    """Yield the links of a page to files and sections of the tree that are not there."""
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if link.startswith("http"):
            continue
        if not target.exists() or (anchor and anchor not in sections(target.resolve())):
            yield link


def bad_files(page):
    """Yield paths of the tree that are not there; X, PROBLEM and PATH stand for any name."""
    for place in (place for code in codes(page) for place in PLACE.findall(code)):
        if not re.search(r"\b(X|PROBLEM|PATH)\b", place) and not (ROOT / place).exists():
            yield place


def bad_names(page):
    """Yield dotted names of the package that are none; the changelog tells of removed ones too."""
    if page.name != "CHANGELOG.md":
        for code in codes(page):
            found = {*DOTTED.findall(code)} - SAID - GROUPS
            yield from (name for name in found if not named(name))


def bad_solvers(page):
    """Yield values of `--solver`, whose options stand behind a colon, that are no solver."""
    known = {name for names in SOLVERS.values() for name in names} | MADE_UP | {"auto"}
    for given in (given for code in codes(page) for given in SOLVER.findall(code)):
        for name in given.split(","):
            if not {name, name.partition(":")[0]} & known and not name.isupper():
                yield name


def test_commands_and_their_options_exist():
    """What follows `splitopt` is a command, and its flags are those of that command."""
    every = [(page, words) for page in PAGES for words in calls(page)]
    assert len(every) > 300
    unknown = [(page.name, " ".join(words)) for page, words in every if not known(words)]
    assert unknown == [("first-hour.md", "scenario")]  # which the page shows being refused


def test_options_that_stand_alone_exist():
    """A flag in a span without its command belongs to some command."""
    every = [
        (page.name, flag) for page in PAGES for code in codes(page) for flag in FLAG.findall(code)
    ]
    assert {(name, flag) for name, flag in every if flag not in anybody()} == set()


def test_benchmarks_and_their_options_exist():
    """`python -m benchmarks.X` is a module that takes the options behind it."""
    found = [
        (page, call) for page in PAGES for code in codes(page) for call in MODULE.findall(code)
    ]
    assert len(found) > 100
    for page, (name, rest) in found:
        file = of_module(name)
        assert file is not None, (page, name)
        assert {*FLAG.findall(rest)} <= {*QUOTED.findall(file.read_text())}, (page, name, rest)


@pytest.mark.parametrize("bad", [bad_links, bad_files, bad_names, bad_solvers])
def test_what_is_named_is_there(bad):
    """Links lead to files and sections; files, modules, public names and solvers exist."""
    missing = [(page.relative_to(ROOT).as_posix(), name) for page in PAGES for name in bad(page)]
    assert missing == []


def test_every_format_has_a_line():
    """The page of file formats names each that the package writes."""
    files = [path for path in (ROOT / "splitopt").rglob("*.py") if path.is_file()]
    written = {name for path in files for name in FORMAT.findall(path.read_text())} - INTERNAL
    page = (ROOT / "docs/file-formats.md").read_text()
    assert len(written) > 20
    assert {name for name in written if f"`{name}`" not in page} == set()


def test_every_section_of_a_scenario_has_a_row():
    """The table of scenarios begins with a row for each section of their schema."""
    schema = json.loads((ROOT / "docs/schema/scenario.schema.json").read_text())
    page = (ROOT / "docs/scenarios.md").read_text()
    sections = {*schema["properties"]} - {"format", "version", "name", "note"}
    assert {name for name in sections if f"\n| `{name}` |" not in page} == set()


def test_every_benchmark_has_a_line():
    """The page of the benchmarks begins a line with each of their folders."""
    page = (ROOT / "benchmarks/README.md").read_text()
    folders = {path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py")}
    assert len(folders) > 20
    assert {name for name in folders if f"\n- `{name}/" not in page} == set()
