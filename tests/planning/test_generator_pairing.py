"""Plans of pairings: the exchange by hand, pages, and what is said where there is none."""

import json

import numpy as np
import pytest

from splitopt import GeneratorPairing, InputError, Plan, Scenario, plan, train
from splitopt.cli.entry import run
from splitopt.planning import open_plan
from splitopt.report.summary import summarize

DOCUMENT = {
    "format": "splitopt-scenario",
    "version": 1,
    "name": "cameras",
    "model": "resnet18-imagenet",
    "devices": [
        {"name": "cam", "count": 2, "samples": 20, "batch_size": 2, "compute": "5 GFLOP/s"},
        {
            "name": "far",
            "samples": 20,
            "batch_size": 2,
            "compute": "5 GFLOP/s",
            "uplink": "4 Mbit/s",
            "downlink": "8 Mbit/s",
        },
    ],
    "links": {"downlink": "40 Mbit/s", "uplink": "20 Mbit/s"},
    "servers": [{"name": "edge", "compute": "1 TFLOP/s"}],
    "generators": {
        "size": "1 MB",
        "classes": {"cam-1": ["cat"], "cam-2": ["cat", "dog"], "far": ["dog"]},
    },
}


def scenario(**changes):
    """Return the scenario with changes in its section."""
    return Scenario.from_dict(DOCUMENT | {"generators": DOCUMENT["generators"] | changes})


@pytest.mark.parametrize(
    ("changes", "near", "far"),
    [
        ({}, 8e6 / 20e6 + 8e6 / 40e6, 8e6 / 20e6 + 8e6 / 8e6),
        ({"latency": "1 s"}, 2.6, 3.4),
        ({"route": "direct"}, 8e6 / 20e6, 8e6 / 8e6),
        ({"route": "direct", "latency": "1 s"}, 1.4, 2.0),
        ({"route": "stored"}, 8e6 / 40e6, 8e6 / 8e6),
    ],
)
def test_seconds_of_the_routes_by_hand(changes, near, far):
    """cam-1 lacks dog: cam-2 is near; far lacks cat: cam-1 and cam-2 are alike."""
    made = plan(scenario(**changes))
    assert made.problem == "generator_pairing"
    assert made.result["outcome"] == "optimal"
    first, last = made.prediction["transfers"]
    assert (first["receiver"], first["sender"], first["labels"]) == ("cam-1", "cam-2", ["dog"])
    assert first["seconds"] == pytest.approx(near)
    assert (last["receiver"], last["labels"]) == ("far", ["cat"])
    assert last["seconds"] == pytest.approx(far)
    assert made.prediction["exchange_s"] == pytest.approx(near + far)
    assert made.result["objective"] == pytest.approx(near + far)
    assert made.prediction["exchange_bytes"] == (2e6 if "route" in changes else 4e6)


def test_bytes_are_minimised_and_named():
    made = plan(scenario(cost="bytes"))
    assert made.prediction["objective_unit"] == "B"
    assert made.result["objective"] == 4e6


def test_options_reach_the_problem():
    """Caps, quality and samples by device, by group and by label."""
    problem = GeneratorPairing.from_scenario(
        Scenario.from_dict(
            DOCUMENT
            | {
                "generators": {
                    "size": "1 MB",
                    "labels": ["cat", "dog"],
                    "counts": {"cam": [9, 1], "far": [0, 9]},
                    "generates": {"far": []},
                    "quality": {"cam": [0.5, 0.25], "cam-2": 1.0},
                    "most_receivers": {"cam-1": 1},
                    "least_samples": 2,
                    "least_quality": 0.3,
                    "sources": 2,
                    "redundant": True,
                    "quality_weight": 4,
                }
            }
        )
    )
    assert problem.present.tolist() == [[True, False], [True, False], [False, True]]
    assert problem.covers.tolist() == [[True, False], [True, True], [False, False]]
    assert problem.caps.tolist() == [1, 3, 3]
    assert problem.need.tolist() == [[0, 3], [0, 3], [3, 0]]
    assert np.asarray(problem.quality)[:2].tolist() == [[0.5, 0.25], [1.0, 1.0]]


def test_a_plan_comes_back_and_has_a_page(tmp_path):
    """The file opens with the same prediction; the page and the terminal show the transfers."""
    path, page = tmp_path / "plan.json", tmp_path / "page.html"
    file = tmp_path / "cameras.json"
    file.write_text(json.dumps(DOCUMENT))
    arguments = ["plan", str(file), "-o", str(path), "--report", str(page)]
    assert run(arguments) == 0
    opened = open_plan(Plan.load(path))
    assert opened.prediction.exchange_bytes == 4e6
    assert "Generators sent" in page.read_text()
    found = summarize(Plan.load(path))
    assert ("Generators sent", "2") in found.facts
    assert [row["senders"] for row in found.tables[0].rows] == ["cam-2", "nobody", "cam-1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ["cat", "dog", "cow"]}, "class 'cow': no device has a sample of it"),
        ({"generates": {"cam-1": [], "cam-2": []}}, "class 'cat': no device has a generator"),
        ({"most_receivers": 0}, "class 'cat': 1 devices lack it and need 1 send together"),
        ({"sources": 2}, "class 'cat': far needs 2 senders"),
    ],
)
def test_what_cannot_be_covered_is_named(changes, words):
    """With the class, and devices by name; exit code 1 on the command line."""
    if "sources" in changes:
        changes = changes | {"generates": {"cam-1": []}}
    made = plan(scenario(**changes))
    assert made.result["outcome"] == "infeasible"
    assert words in made.result["message"]


def test_algorithm_2_says_where_it_has_no_answer(tmp_path, capsys):
    document = json.loads(json.dumps(DOCUMENT))
    document["generators"]["classes"] = {"cam-1": ["a"], "cam-2": ["b"], "far": ["c"]}
    file = tmp_path / "cameras.json"
    file.write_text(json.dumps(document))
    assert run(["plan", str(file), "--solver", "algorithm2"]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "no answer for cam-1: no single generator" in text
    assert "nor for cam-2, far;" in text
    assert "'b', 'c'" in text


def test_without_the_section_there_is_no_pairing():
    document = {key: value for key, value in DOCUMENT.items() if key != "generators"}
    with pytest.raises(InputError, match="has no section 'generators'"):
        plan(Scenario.from_dict(document), problem="generator_pairing")


@pytest.mark.train
def test_a_pairing_is_not_trained():
    """Who trains it is told what can be trained."""
    with pytest.raises(InputError, match="cuts no model"):
        train(plan(scenario()), model="lenet", data="digits")
