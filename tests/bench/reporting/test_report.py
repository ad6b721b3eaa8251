"""The report in the terminal and as a page: complete, safe, and fit for any rows."""

from __future__ import annotations

import io
import math
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from splitopt import InputError
from splitopt.bench.reporting.page import rows_to_html
from splitopt.bench.reporting.summary import summarize_rows
from splitopt.bench.reporting.terminal import print_report

VOID = {"meta", "br", "line", "path", "use", "rect", "link", "img", "input"}
EVIL = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "[bold]$\\frac{_x$", "_a&b")


class Reader(HTMLParser):
    """Collects tags with attributes, the text of every table row, and checks the nesting."""

    def __init__(self):
        super().__init__()
        self.tags, self.rows, self.words, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if "tr" in self.open and self.open[-1] in ("td", "button"):
            self.rows[-1].append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def terminal(rows, **options):
    console = Console(file=io.StringIO(), width=200)
    print_report(rows, console, **options)
    return console.file.getvalue()


@pytest.fixture
def race(make_row):
    """Return rows of two solvers at four sizes, where the second one is ten times slower."""
    return [
        make_row(
            suite="scaling",
            instance=f"n{size}",
            size={"devices": size},
            solver=solver,
            outcome="optimal",
            value=float(size),
            total_s=slow * size / 10,
            trace=[[slow * size / 20, 2.0 * size, None]],
        )
        for size in (10, 20, 40, 80)
        for solver, slow in (("fast", 1.0), ("slow", 10.0))
    ]


@pytest.mark.slow
def test_page_loads_nothing_from_elsewhere(race):
    """No attribute and no style refers to another resource; markers refer within the page."""
    page = rows_to_html(race)
    reader = read(page)
    loading = ("src", "href", "xlink:href", "action", "data", "srcset", "poster", "rdf:resource")
    targets = [attrs[name] for _, attrs in reader.tags for name in loading if name in attrs]
    assert targets
    assert all(target.startswith("#") for target in targets)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page
    assert not {"link", "iframe", "img", "base"} & {tag for tag, _ in reader.tags}
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>]*", page)) == namespaces


@pytest.mark.slow
def test_page_has_all_charts_with_conditions(race):
    """Profile, gap over time and growth are drawn, each with threads and limits in its caption."""
    reader = read(rows_to_html(race))
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("figure") == tags.count("figcaption") == 3
    text = " ".join(reader.words)
    assert text.count("1 thread, limits 60 s and 4,096 MiB per run") >= 3
    assert "Some CPU, 2 cores, 8000 MiB, Python 3.12.0" in text
    # proportional to the size: exponent 1 without an error, from all four points of each solver
    growth = [row for row in reader.rows if len(row) == 6 and row[1] == "total time"]
    assert growth == [
        [solver, "total time", "1.000", "0.000", "4 of 4", "10 to 80"]
        for solver in ("fast", "slow")
    ]
    profile = [row for row in reader.rows if len(row) == 7 and row[0] in ("fast", "slow")]
    assert profile == [
        ["fast", "100", "100", "100", "100", "100", "100"],
        ["slow", "0", "0", "0", "100", "100", "100"],
    ]


def test_terminal_says_the_same(race):
    """Wins, profile and exponents are printed with the machine and the thread count."""
    text = terminal(race)
    lines = [line.split() for line in text.splitlines()]
    assert ["fast", "4", "4,", "0,", "0", "4", "4"] in [line[:7] for line in lines]
    assert ["slow", "0", "0", "0", "100", "100", "100"] in lines
    assert "1.00 ± 0.00 (4 of 4)" in text
    assert "Some CPU, 2 cores" in text
    assert "1 thread, limits 60 s" in text


@pytest.mark.slow
def test_evil_names_are_escaped(make_row):
    """Markup, mathematics and console markup in names and messages come out as plain text."""
    rows = [make_row(solver=name, trace=[[0.1, 150.0, None]]) for name in EVIL]
    rows.append(make_row(solver=EVIL[0], instance="x", status="crashed", message=EVIL[1]))
    reader = read(rows_to_html(rows))
    plain = read(rows_to_html([make_row(solver="plain", trace=[[0.1, 150.0, None]])]))
    scripts = [sum(tag == "script" for tag, _ in page.tags) for page in (reader, plain)]
    assert scripts == [2, 2]  # those of the page itself
    assert all("onerror" not in attrs for _, attrs in reader.tags)
    cells = {cell for row in reader.rows for cell in row}
    assert set(EVIL) <= cells
    text = terminal(rows)
    assert all(name in text for name in EVIL)


def test_no_rows_make_a_report():
    """Without rows both reports say so."""
    assert "No runs" in terminal([])
    assert "No runs" in " ".join(read(rows_to_html([])).words)


NOTHING = {"value": None, "total_s": None, "peak_memory_mib": None, "outcome": None}
ODD = [
    {"status": "skipped", "message": "needs a licence", **NOTHING},
    {"status": "crashed", "message": None, "stop_reason": None, **NOTHING},
    {"value": math.nan, "total_s": math.nan, "trace": [[math.nan, math.nan, math.nan]]},
    {"outcome": "no_solution", "value": None, "trace": [[0.5, None, 1.0]]},
    {"outcome": "infeasible", "value": None},
    {"total_s": 0.0, "value": 0.0},
    {"total_s": None, "trace": [[0.0, 100.0, None]]},
    {"size": {}, "machine": {}, "git_revision": None, "message": ""},
    {"time_limit_s": math.inf, "value": None},
    {"value": -5.0, "best_known": -10.0},
]


@pytest.mark.slow
@pytest.mark.parametrize("changes", ODD)
def test_odd_rows_alone_and_in_company_make_a_report(make_row, changes):
    """Rows without answers, with NaN, zero or missing numbers are reported without an error."""
    odd = make_row(solver="odd", **changes)
    for rows in ([odd], [odd, odd, make_row(), make_row(instance="two")]):
        reader = read(rows_to_html(rows))
        assert any(row and row[0] == "odd" for row in reader.rows)
        assert "odd" in terminal(rows)


@pytest.mark.slow
def test_solver_with_skips_only_is_named_and_not_drawn(make_row):
    """It stands in the table with its reason, but in no legend."""
    skipped = make_row(solver="big", status="skipped", message="licence too small", **NOTHING)
    page = rows_to_html([make_row(), skipped])
    assert "licence too small" in page
    assert "Never started, so in no chart: big." in page
    marks = [attrs for tag, attrs in read(page).tags if "data-mark" in attrs]
    assert len(marks) == 2  # one solver in two charts


def test_warnings_tell_what_cannot_be_compared(make_row):
    """Two machines, thread counts, limits or revisions are said."""
    rows = [
        make_row(),
        make_row(
            solver="other",
            machine={"processor": "Other"},
            threads=2,
            time_limit_s=10.0,
            git_revision="f-dirty",
        ),
    ]
    content = summarize_rows(rows)
    assert len(content.notes) == 4
    text = " ".join((*content.notes, *content.sections[0].notes))
    for word in ("2 machines", "threads", "2 revisions", "changes", "limits"):
        assert word in text


def test_sections_are_by_problem_and_objective(make_row):
    """Each problem and objective has a table of its own."""
    rows = [make_row(), make_row(objective="makespan"), make_row(problem="other_problem")]
    titles = [section.title for section in summarize_rows(rows).sections]
    assert titles == [
        "cut_and_resources, objective makespan",
        "cut_and_resources, objective sum",
        "other_problem, objective sum",
    ]


@pytest.mark.slow
def test_page_is_the_same_every_time(race):
    """The same rows give the same bytes."""
    assert rows_to_html(race) == rows_to_html(race)


@pytest.mark.slow
def test_tolerance_is_checked_and_stated(race):
    """A negative tolerance is refused; the one that was used stands on the page."""
    with pytest.raises(InputError, match="tolerance"):
        rows_to_html(race, tolerance=-1.0)
    assert "at most 0.001" in rows_to_html(race, tolerance=1e-3)
