"""The benchmark of machine models: its networks, its scores, and that a small run works."""

from __future__ import annotations

import csv

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from benchmarks.machines.__main__ import main
from benchmarks.machines.cases import (
    BATCH,
    FILE,
    Case,
    count_blocks,
    every_second,
    scored,
)
from benchmarks.machines.networks import blocks, names

pytestmark = pytest.mark.train

PARAMETERS = {
    "AlexNet": 61_100_840,
    "InceptionV3": 23_834_568,  # 27,161,264 with the auxiliary head of 3,326,696
    "MobileNetV2": 3_504_872,
    "ResNet18": 11_689_512,
    "VGG16": 138_357_544,
    "resnet50": 25_557_032,
}
"""As torchvision documents its networks."""
GIGA_MAC = {
    "AlexNet": 0.714, "InceptionV3": 5.713, "MobileNetV2": 0.301, "ResNet18": 1.814,
    "VGG16": 15.47, "resnet50": 4.089,
}  # fmt: skip
"""Multiply-accumulates of a forward pass, as torchvision documents them."""
SPLITS = {"AlexNet": 12, "InceptionV3": 19, "MobileNetV2": 18, "ResNet18": 8, "VGG16": 30}


@pytest.mark.one_quick
@pytest.mark.parametrize("name", names())
def test_networks_are_those_of_the_measurements(name):
    """Parameters and work are the published ones, and there is a block behind the last split."""
    modules = blocks(name)
    assert sum(p.numel() for block in modules for p in block.parameters()) == PARAMETERS[name]
    counts, sent = count_blocks(name)
    assert counts[:, :3].sum() / BATCH / 2e9 == pytest.approx(GIGA_MAC[name], rel=2e-3)
    assert len(modules) > SPLITS.get(name, 16)
    assert sent[-1] == 4 * 1000 * BATCH


def a_case():
    """Work 1, 2, 4, 7 in front, all of it 10; seconds by hand."""
    front = np.zeros((4, 6))
    front[:, 0] = [1, 2, 4, 7]
    behind = np.zeros((4, 6))
    behind[:, 0] = [9, 8, 6, 3]
    seconds = np.array([[1, 9, 0.3], [3, 7, 0.2], [4, 6, 0.1], [8, 3, 0.05]])
    return Case("x", front, behind, np.array([30.0, 20.0, 10.0, 5.0]), seconds)


def test_every_second_split_by_hand():
    """Split 2 lies a third of the way from 1 to 4 FLOP; split 4 goes on at 1 s per FLOP."""
    found = every_second(a_case())
    np.testing.assert_allclose(found[:, 0], [1, 2, 4, 7])
    np.testing.assert_allclose(found[:, 1], [9, 8, 6, 3])
    np.testing.assert_allclose(found[:, 2], [0.3, 0.2, 0.1, 0.05], rtol=1e-6)


def test_scores_by_hand():
    """End to end 10.3, 10.2, 10.1, 11.05 s, and a prediction that prefers the first split."""
    predicted = a_case().seconds.copy()
    predicted[0, 1] = 4.3
    found = scored(a_case(), predicted, np.array([True, True, False, False]))
    np.testing.assert_allclose(found["errors"], [1 - 5.6 / 10.3, 0], atol=1e-12)
    assert found["latency"] == pytest.approx(10.3 / 10.1)
    assert found["period"] == pytest.approx(9 / 6)


@pytest.mark.slow
def test_a_run_on_a_machine_that_is_known(tmp_path):
    """Seconds made by a machine model are predicted exactly; one speed is far off."""
    per = np.array([4e-11, 4e-11, 4e-10, 8e-10, 0, 0])
    lines = [
        "Model name,Split point,Partition 1 exec time (s),Partition 2 exec time (s),"
        "Network Transfer Time (s)"
    ]
    for name in names():
        counts, sent = count_blocks(name)
        seconds = counts @ per
        for split in range(1, SPLITS.get(name, 18) + 1):
            at = min(split, 16) if name == "resnet50" else split
            parts = seconds[:at].sum(), seconds[at:].sum(), 1e-3 + sent[at - 1] / 7e7
            lines.append(",".join([name, str(split), *map(repr, map(float, parts))]))
    (tmp_path / FILE).write_text("\n".join(lines))
    assert main(["--data", str(tmp_path), "--output", str(tmp_path)]) == 0
    with (tmp_path / "splits.csv").open() as stream:
        rows = {(row["method"], row["network"]): row for row in csv.DictReader(stream)}
    whole = rows["machine model", "all"]
    assert whole["splits"] == "103"
    assert float(whole["p90"]) < 1e-3
    assert float(whole["latency"]) == float(whole["period"]) == 1
    assert float(rows["one speed", "MobileNetV2"]["median"]) > 50
    assert int(rows["every second split", "all"]["splits"]) == 51


def test_what_it_needs(tmp_path, capsys):
    """The measurements are not shipped, and a fit needs several networks."""
    assert main(["--data", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "get the measured splits of SplitRL first" in capsys.readouterr().err
    assert main(["--here", "--networks", "cnn,lenet12", "--output", str(tmp_path)]) == 2
    assert "--networks: are 2; give 4 at least" in capsys.readouterr().err
