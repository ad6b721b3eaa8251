"""What IoTSL claims, beside what its arithmetic and its trainings in miniature give."""

from __future__ import annotations

from pathlib import Path

from benchmarks.papers.claims import Claim, Results, not_tried, number, statement
from benchmarks.papers.iotsl.replay.claims import trained_claims


def claims(folder: Path) -> list[Claim]:
    """Return the claims, from the tables of a folder, and what is left."""
    found = Results(folder)
    moved = {name: float(text) for name, text in _cells(found, "traffic", "MNIST")}
    fashion = {name: float(text) for name, text in _cells(found, "traffic", "Fashion-MNIST")}
    networks = dict(_cells(found, "networks", "VGG-16"))
    off = [float(text) for _, text in found.column("energy", "off %")]
    return [
        number(
            "section V-E",
            "traffic of split learning to 99 %, MNIST, 1e9 numbers",
            29.2,
            moved["split learning, numbers"] / 1e9,
        ),
        number("section V-E", "IoTSL saves % of it", 84.5, moved["saved %"]),
        statement(
            "section V-E",
            "IoTSL saves 70.3 % of the traffic, Fashion-MNIST",
            f"{fashion['saved %']:.1f} %; 70.3 % is the time saved",
            [abs(fashion["saved %"] - 70.3) <= 0.05],
            "70.3 %",
        ),
        statement(
            "Eq. 1",
            "an epoch is one of every device: traffic has the factor K",
            "the totals have none: their epochs are turns of single devices",
            [abs(moved["split learning, numbers"] / 29.2e9 - 5) < 1],
            "n K [N (2 F + 1) + w]",
        ),
        statement(
            "section IV-B",
            "sending generators and theta_a is acceptable beside what is saved",
            f"saves {moved['saved %, with five generators and theta_a']:.2f} % in place of "
            f"{moved['saved %']:.2f} %",
            [moved["saved %, with five generators and theta_a"] > 80],
        ),
        statement(
            "section V-E",
            "the four totals of energy follow from two powers",
            f"within {max(map(abs, off)):.1f} %",
            [max(map(abs, off)) <= 5],
        ),
        *_whole(found),
        number(
            "section V-C",
            "operations of VGG-16 on 28 x 28 images, 1e9",
            3.03,
            float(networks["operations"].split()[0]),
        ),
        *trained_claims(found),
        not_tried(
            "Fig. 4, 5", "two devices with two classes each", "`benchmarks.forgetting` has it"
        ),
        not_tried("Fig. 15", "CelebA", "it cannot be had here; CIFAR-10 stands in its place"),
    ]


def _whole(found: Results) -> list[Claim]:
    """Return what becomes of the savings with the training of the generators."""
    made = []
    for unit, saved in (("joule", "energy"), ("seconds", "time"), ("bytes", "traffic")):
        rows = _rows(found, "MNIST, IoTSL", unit)
        made.append(
            statement(
                "section V-E, VII",
                f"IoTSL takes less {saved}, generators trained on the devices for 2,000 steps",
                f"{rows['IoTSL']} against {rows['split learning']} {unit}; break-even at "
                f"{_steps(rows['break-even steps'])}",
                [rows["pays"] == "yes"],
            )
        )
    return made


def _cells(found: Results, table: str, name: str) -> list[tuple[str, str]]:
    """Return what and here of the rows of a block, whose first row alone has its name."""
    here, inside = [], False
    texts = zip(found.column(table, "what"), found.column(table, "here"), strict=True)
    for (block, what), (_, text) in texts:
        inside = block.startswith(name) if block else inside
        if inside:
            here.append((what, text))
    return here


def _rows(found: Results, name: str, unit: str) -> dict[str, str]:
    """Return the cells of the row of the whole that has a name and a unit."""
    units = found.column("whole", "in")
    at = units.index((name, unit))
    heads = ("split learning", "IoTSL", "pays", "break-even steps")
    return {head: found.column("whole", head)[at][1] for head in heads}


def _steps(text: str) -> str:
    return "no number of steps" if text == "any" else f"{text} steps"
