"""IoTSL's plans: input that is refused, limits, files, commands and comparisons."""

import csv
import json

import pytest

from benchmarks.fuzz.seals import seal_plan
from splitopt import InputError, Plan, Scenario, plan
from splitopt.cli.entry import run
from splitopt.planning import open_plan
from splitopt.planning.comparison.comparing import compare_schemes
from tests.planning.iotsl.cases import TRAINING, promised, scenario


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps: is 0; it must be greater than or equal to 1"),
        ({"steps": None}, "steps: this field is missing"),
        ({"batch": 3}, "batch: this field is unknown; state it as 'batch_size'"),
        ({"critic_work": "3 GFLOP/s"}, "'GFLOP/s' is not a unit of work"),
        ({"critic_work": 3}, "3 has no unit"),
        ({"critic_work": None}, "needs the work of a step: 'network: iotsl'"),
        ({"network": "iotsl"}, "'network' and the work of its steps are both given"),
        ({"network": "dcgan"}, "network: is 'dcgan'; it must be 'iotsl'"),
        ({"epochs": 97}, "epochs: is 97; state both measured numbers"),
        ({"epochs": {"without": 97}}, "epochs: lacks 'with'"),
        ({"epochs": {"without": 97, "with": 15, "cut": 1}}, "epochs: has 'cut', which is unknown"),
        ({"epochs": {"without": 0, "with": 15}}, "epochs.without: is 0"),
        ({"target": "99"}, "target: is '99'; write 99, without quotes"),
        ({"target": 99}, "target: is 99; an accuracy is above 0 and at most 1"),
        ({"target": "199 %"}, "target: is '199 %'; an accuracy"),
        ({"counted_in": "turn"}, "counted_in: is 'turn'; it must be 'turns' or 'rounds'"),
        ({"where": "edge", "edge": None}, "where is 'edge', and there is no 'edge'"),
        ({"edge": {"compute": "1 GFLOP/s"}}, "rate: this field is missing"),
        ({"edge": TRAINING["edge"] | {"speed": 1}}, "speed: this field is unknown; state it as"),
        ({"cut": "pool9"}, "generators.training.cut: is 'pool9', the layers are"),
        ({"cut": 9}, "generators.training.cut: is 9"),
    ],
)
def test_wrong_input_is_refused_in_words(changes, words):
    with pytest.raises(InputError) as caught:
        plan(scenario(**changes))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_has_no_speed_is_refused():
    document = scenario().to_dict()
    document["model"] = "vgg19-cifar"
    document["devices"][0] = {"name": "cam", "samples": 100, "machine": "d1"}
    with pytest.raises(InputError, match=r"needs the speed of cam in FLOP/s"):
        plan(Scenario.from_dict(document))
    document = scenario().to_dict()
    document["servers"].append(document["servers"][0] | {"name": "other"})
    with pytest.raises(InputError, match="exactly one"):
        plan(Scenario.from_dict(document))


def test_a_cut_beyond_a_limit_has_no_plan(tmp_path, capsys):
    """Exit code 1, and the cuts that are possible."""
    document = Scenario.load("iotsl-mnist").to_dict()
    document["generators"]["training"]["cut"] = "classifier"
    file = tmp_path / "s.json"
    file.write_text(json.dumps(document))
    assert run(["plan", str(file)]) == 1
    assert "leaves the server nothing" in " ".join(capsys.readouterr().out.split())


def test_a_plan_comes_back_and_is_held_to_what_it_says(tmp_path):
    path = tmp_path / "plan.json"
    plan(scenario()).save(path)
    opened = open_plan(Plan.load(path))
    assert opened.prediction.iotsl.target == 0.9
    changed = json.loads(path.read_text())
    changed["prediction"]["iotsl"]["ways"][0]["verdicts"][0]["pays"] ^= True
    path.write_text(json.dumps(changed))
    seal_plan(path)
    with pytest.raises(InputError, match=r"iotsl\.ways\[0\]\.verdicts\[0\]\.pays"):
        open_plan(Plan.load(path))


def test_the_best_cut_is_taken_where_none_is_stated():
    """The one with the shortest turns, by trying all."""
    found = promised(scenario(cut=None))
    times = [
        promised(scenario(cut=cut))["split_learning"]["seconds"]
        for cut in range(1, scenario().load_model().layer_count)
    ]
    assert found["split_learning"]["seconds"] <= min(times) * 1.01


@pytest.mark.slow
def test_commands_show_it(tmp_path, capsys):
    """Page, table of steps and comparison; a table without steps is refused before planning."""
    file, page, table = tmp_path / "s.json", tmp_path / "p.html", tmp_path / "s.csv"
    file.write_text(json.dumps(scenario().to_dict()))
    assert run(["plan", str(file), "--report", str(page), "--csv", str(table)]) == 0
    text = page.read_text()
    assert "Does IoTSL pay?" in text
    assert 'id="flop-devices-break-even"' in text or 'id="flop-devices-plan"' in text
    rows = list(csv.DictReader(table.read_text().splitlines()))
    found = promised(scenario())
    assert rows[0]["scheme"] == "split learning"
    assert float(rows[0]["bytes"]) == found["split_learning"]["bytes"]
    in_all = [row for row in rows if (row["scheme"], row["step"]) == ("IoTSL", "in all")]
    assert float(in_all[0]["seconds"]) == found["ways"][0]["total"]["seconds"]
    capsys.readouterr()
    assert run(["plan", str(file), "--scheme", "vanilla", "--csv", str(table)]) == 2
    assert "--csv writes the steps of IoTSL" in capsys.readouterr().err
    assert run(["compare", str(file), "--json", "--report", str(page)]) == 0
    document = json.loads(capsys.readouterr().out)["generators"]
    assert [row["label"] for row in document["whole"]] == [
        "split learning",
        "IoTSL",
        "IoTSL, edge machine",
    ]
    assert document["target"] == 0.9
    assert document["whole"][1]["seconds"] == found["ways"][0]["total"]["seconds"]
    assert "Algorithm 2 as printed" in page.read_text()


def test_pairings_are_compared():
    """Five cameras of the problem's page: ten sends, and no answer of Algorithm 2."""
    document = scenario().to_dict()
    del document["generators"]["training"]
    document["devices"] = [document["devices"][0] | {"count": 5}]
    document["generators"]["classes"] = {
        f"cam-{k + 1}": [(2 * k + c) % 10 for c in range(4)] for k in range(5)
    }
    found = compare_schemes(Scenario.from_dict(document), time_limit_s=10).generators
    exact, greedy, printed = found.pairings
    assert (exact.generators_sent, exact.proved) == (10, True)
    assert greedy.objective >= exact.objective
    assert printed.reason.startswith("Algorithm 2 has no answer for cam-1")
    assert found.whole == ()
