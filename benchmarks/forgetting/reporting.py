"""Tables, claims and the picture of the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean

from benchmarks.forgetting.runs import Result, Runs
from benchmarks.forgetting.settings import (
    CLASSES,
    COMPARED,
    FIGURE_5,
    RANDOM,
    SETS,
    SL,
    Case,
    Setting,
)
from benchmarks.papers.tables import Cell, Table
from splitopt.report.charts import Curve, Panel, line_styles, panels_figure, svg_text

PUBLISHED = {
    "MNIST": {2: 15.92, 4: 48.34, 6: 96.5, 8: 99.11},
    "Fashion-MNIST": {2: 14.97, 4: 45.99, 6: 64.04, 8: 86.82},
}
"""IoTSL Fig. 12 (a) and (b): highest accuracy of split learning in per cent."""
PUBLISHED_IID = {"MNIST": 99.48, "Fashion-MNIST": 91.96}
_SEEDS = "mean over seeds (lowest to highest)"


def spread(runs: Sequence[Result], value: Callable[[Result], float | None]) -> str | None:
    """Write mean, lowest and highest of a value over runs, in per cent."""
    known = [100 * own for run in runs if (own := value(run)) is not None]
    if len(known) < len(runs) or not known:
        return None
    return f"{mean(known):.1f} ({min(known):.1f} to {max(known):.1f})"


def figure_5(runs: Runs) -> Table:
    """Set devices with classes of their own beside devices with all classes."""
    rows: list[list[Cell]] = [
        ["MNIST (published)", "separate", "below 50", None, None],
        ["MNIST (published)", "uniform", "around 99", None, None],
    ]
    for setting in FIGURE_5:
        own = runs.of(setting.name, SL.name)
        which = "separate" if setting.partition.startswith("blocks") else "uniform"
        rows.append([setting.data, which, *_cells(own)])
    note = (
        "IoTSL Fig. 5 in miniature: two devices with two classes each, or with all four; accuracy "
        f"in per cent after turns, {_SEEDS}. Fashion-MNIST at 14 x 14: 2,000 images on each "
        "device, 8 rounds; digits: 136, 40 rounds."
    )
    head = ("data", "classes", "highest", "last", "forgetting")
    return Table("figure-5", head, rows, note, text=(0, 1))


def figure_12(runs: Runs) -> Table:
    """Set split learning by the number of classes on a device under the published numbers."""
    rows: list[list[Cell]] = []
    for classes in (*CLASSES, None):
        published = [
            f"{(PUBLISHED_IID[name] if classes is None else PUBLISHED[name][classes]):.2f}"
            for name in PUBLISHED
        ]
        for place, data in enumerate(SETS):
            name = "iid" if classes is None else str(classes)
            own = runs.of(f"figure-12-{data}-{name}", SL.name)
            first = [name, *published] if not place else ["", None, None]
            rows.append([*first, data, *_cells(own)])
    head = (
        *("classes on a device", "MNIST (published)", "Fashion-MNIST (published)"),
        *("here", "highest", "last", "forgetting"),
    )
    note = (
        "IoTSL Fig. 12 (a, b) in miniature: split learning on five devices, `blocks:B`; published "
        "are the highest accuracies, here accuracy in per cent after turns and forgetting after "
        f"the last turn in points, {_SEEDS}. 20 rounds are 100 turns."
    )
    return Table("figure-12", head, rows, note, text=(0, 3))


def baselines(runs: Runs) -> Table:
    """Set what is done against forgetting beside nothing."""
    rows: list[list[Cell]] = [
        [setting.partition.removeprefix("blocks:"), *_compared(runs, setting, case)]
        for setting in COMPARED
        for case in setting.cases
    ]
    note = (
        "Fashion-MNIST at 14 x 14 on five devices with 2 or 4 classes each, 20 rounds: accuracy in "
        f"per cent and points, {_SEEDS}; bytes and predicted seconds of a round. FedAvg and all "
        "data in one place have no turns: their accuracy is after rounds."
    )
    head = (
        *("classes on a device", "method", "highest", "last", "forgetting", "backward transfer"),
        *("sent in a round, kB", "round, s"),
    )
    return Table("baselines", head, rows, note, text=(0, 1), digits=1)


def random_draws(runs: Runs) -> Table:
    """Set the three draws of classes and counts side by side."""
    rows: list[list[Cell]] = []
    for case in RANDOM.cases:
        own = runs.of(RANDOM.name, case.name)
        cells: list[Cell] = [
            None if run.last is None else f"{100 * (run.highest or 0):.1f} / {100 * run.last:.1f}"
            for run in own
        ]
        rows.append([case.label, *cells, spread(own, lambda run: run.forgetting)])
    note = (
        "`--partition random` (IoTSL section V-H): classes and counts of five devices drawn by "
        "three seeds, Fashion-MNIST at 14 x 14, 500 images on a device, 20 rounds; highest / last "
        "accuracy in per cent, and forgetting in points over the draws."
    )
    draws = len(runs.of(RANDOM.name, SL.name))
    head = ("method", *(f"draw {name}" for name in "ABC"[:draws]), "forgetting")
    return Table("random", head, rows, note)


def _cells(own: Sequence[Result]) -> list[Cell]:
    return [
        spread(own, lambda run: run.highest),
        spread(own, lambda run: run.last),
        spread(own, lambda run: run.forgetting),
    ]


def _compared(runs: Runs, setting: Setting, case: Case) -> list[Cell]:
    own = runs.of(setting.name, case.name)
    if not own:
        return [case.label, None, None, None, None, None, None]
    done = [run for run in own if run.diverged is None]
    if len(done) < len(own):
        words = f"diverged in {len(own) - len(done)} of {len(own)} runs"
        return [case.label, words, None, None, None, None, None]
    seconds = own[0].round_s
    return [
        case.label,
        *_cells(own),
        spread(own, lambda run: run.backward_transfer),
        own[0].sent_bytes / 1000,
        seconds,
    ]


def mean_of(runs: Runs, setting: str, case: str, what: str = "last") -> float:
    """Return the mean over seeds of a value in per cent, NaN where there is none."""
    found = [getattr(run, what) for run in runs.of(setting, case)]
    if not found or None in found:
        return float("nan")
    return 100 * float(mean(found))


def claims(runs: Runs) -> Table:
    """Return for each claim whether it holds here."""
    rows: list[list[Cell]] = []

    def add(text: str, here: str, holds: bool) -> None:
        rows.append([text, here, "yes" if holds else "no"])

    for data in SETS:
        both = runs.of(f"figure-5-separate-{data}", SL.name)
        low = max((run.highest or 0.0 for run in both), default=float("nan"))
        high = mean_of(runs, f"figure-5-uniform-{data}", SL.name)
        add(
            f"Fig. 5, {data}: separate classes stay at or below 50 %",
            f"at most {100 * low:.1f}",
            low <= 0.5,
        )
        add(f"Fig. 5, {data}: uniform classes reach 90 % or more", f"{high:.1f}", high >= 90)
        by_classes = [
            mean_of(runs, f"figure-12-{data}-{classes}", SL.name, "highest") for classes in CLASSES
        ]
        shown = " / ".join(f"{value:.1f}" for value in by_classes)
        add(
            f"Fig. 12, {data}: the highest accuracy rises with the classes of a device",
            shown,
            by_classes == sorted(by_classes),
        )
        add(
            f"Fig. 12, {data}: with 2 classes it is around 15 % (here: below 20 %)",
            f"{by_classes[0]:.1f}",
            by_classes[0] < 20,
        )
    two = COMPARED[0].name
    plain = mean_of(runs, two, SL.name)
    for name, label, more in (
        ("ewc-accumulated-0.1", "EWC, lambda 0.1,", 10),
        ("replay-20", "replay of smashed data", 10),
        ("turns-1", "turns of 1 batch", 10),
        ("federated", "FedAvg", 10),
    ):
        value = mean_of(runs, two, name)
        add(
            f"2 classes: {label} ends {more} points or more above split learning",
            f"{value:.1f} against {plain:.1f}",
            value >= plain + more,
        )
    best, whole = mean_of(runs, two, "turns-1"), mean_of(runs, two, "centralized")
    add(
        "2 classes: turns of 1 batch end within 5 points of all data in one place",
        f"{best:.1f} against {whole:.1f}",
        best >= whole - 5,
    )
    return Table(
        "claims",
        ("claim", "here, %", "holds here"),
        rows,
        "What the paper says, and what a reader asks, in miniature.",
        text=(0, 2),
    )


def figure_12_svg(runs: Runs) -> str:
    """Draw accuracy over turns by the number of classes on a device, of the first seed."""
    styles = line_styles([f"{classes} classes" for classes in CLASSES])
    shown = []
    for data in SETS:
        curves = [
            Curve(
                [float(turn) for turn in range(1, len(own) + 1)],
                own,
                styles[f"{classes} classes"],
                f"{data} {classes}",
            )
            for classes in CLASSES
            if (own := runs.curves.get((f"figure-12-{data}-{classes}", SL.name)))
        ]
        panel = Panel(data, "turn", "test accuracy", tuple(curves), log_x=False, y_range=(0, 1))
        shown.append(panel)
    return svg_text(panels_figure(shown, 3.4, legend=styles))
