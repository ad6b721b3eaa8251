"""``splitopt iotsl``: what it prints and writes, and one sentence for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from splitopt.cli.entry import run as shell

FAST = ("--generator-steps", "2", "--pretrain-epochs", "1", "--rounds", "1", "--lr", "0.05")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits-splitfed"], "digits-splitfed: has no section 'generators'"),
        (["digits-iotsl", "--time-scale", "1"], "--time-scale: needs --wire; add it"),
        (["digits-iotsl", "--samples", "data"], "--samples: needs --partition"),
        (["digits-iotsl", "--histogram-epsilon", "0"], "histogram_epsilon: is 0.0, it must be"),
        (["digits-iotsl", "--pretrain-epochs", "-1"], "pretrain_epochs: is -1, it must be"),
        (["digits-iotsl", "--generator-steps", "0"], "steps: is 0"),
        (["digits-iotsl", "--clip", "2"], "--clip: needs --sanitize"),
        (["digits-iotsl", "--scheme", "mp_sl"], "scheme: is 'mp_sl'"),
        (["digits-iotsl", "--network", "iotsl"], "network: is iotsl"),
        (["digits-iotsl", "--partition", "rows:3"], "partition: is 'rows:3'"),
        (["digits-iotsl", "--wire", "--batched"], "batched: every device is a process"),
        (["digits-iotsl", "--model", "vgg11"], "too small for vgg11"),
        (["digits-iotsl", "--data", "text"], "has a label of each token for each sample"),
    ],
)
@pytest.mark.train
def test_mistakes(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell(["iotsl", *FAST, "-o", str(tmp_path / "run"), *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.train
def test_a_run_is_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, page = tmp_path / "run", tmp_path / "run.html"
    words = ["iotsl", "digits-iotsl", "-o", str(place), *FAST, "--report", str(page), "--json"]
    assert shell(words) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told == json.loads((place / "result.json").read_text())
    assert [row["missing"] for row in told["devices"]][4] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert told["sent"]["paired_generator"]["bytes"] == 20 * 44_612
    text = page.read_text()
    assert text.count("data:image/png;base64") == 5
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert shell(words) == 2
    assert "holds a run already; go on with it by --resume" in capsys.readouterr().err
