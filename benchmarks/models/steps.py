"""Each step of a model from its profile to its export; where one fails, the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.models.families import CLASSES, LENGTH, TOKENS, Family

STEPS = ("profile", "plan", "train", "wire", "validate", "export")
SAMPLES, BATCH, ROUND_S = 12, 4, 4.0


@dataclass
class Outcome:
    """What became of a model: the steps that worked, and why the next one did not."""

    family: str
    done: dict[str, bool] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    method: str = ""
    cuts: int | None = None
    difference: float | None = None

    def cells(self) -> list[str]:
        """Return a row of the table."""
        steps = ["yes" if self.done.get(s) else "**no**" if s in self.done else "" for s in STEPS]
        return [
            self.family,
            self.method,
            "" if self.cuts is None else str(self.cuts),
            "" if self.difference is None else f"{self.difference:.1g}",
            *steps,
        ]


def run(family: Family, folder: Path) -> Outcome:
    """Run a model through all steps in a folder of its own."""
    found, made = Outcome(family.name), dict[str, Any]()
    ways: dict[str, Callable[[], None]] = {
        "profile": lambda: _profile(family, folder, found, made),
        "plan": lambda: _plan(folder, made),
        "train": lambda: _train(family, made),
        "wire": lambda: _wire(family, made),
        "validate": lambda: _validate(family, made),
        "export": lambda: _export(family, folder, made),
    }
    for step, way in ways.items():
        if (step != "profile" and "profile" not in made) or (
            step in STEPS[2:] and "plan" not in made
        ):
            break  # nothing to go on with
        try:
            way()
            found.done[step] = True
        except Exception as error:
            found.done[step] = False
            found.reasons[step] = f"{' '.join(str(error).split())}"
    return found


def _profile(family: Family, folder: Path, found: Outcome, made: dict[str, Any]) -> None:
    import torch

    from benchmarks.models.equality import differences
    from splitopt.profiles import trace
    from splitopt.profiles.tracing.source import open_model

    target = made["target"] = family.write(folder)
    shipped = ":" not in target
    torch.manual_seed(0)
    module, _, _, _ = open_model(target, family.shape, family.classes if shipped else None)
    x, _ = _data(family, 4)
    example = torch.from_numpy(x)
    traced = trace(module, example[:2], keep_all=True, name=family.name.replace(" ", "-"))
    found.method, found.cuts = traced.method, len(traced.cuts)
    apart = differences(module, traced.cuts, traced.segments, example)
    found.difference = max(apart.values())
    made["profile"] = traced.named(target, family.classes if shipped else None).profile
    made["profile"].save(folder / "profile.json")


def _plan(folder: Path, made: dict[str, Any]) -> None:
    """Plan for two devices and a server, so slow that the model's work is felt."""
    import splitopt

    profile = made["profile"]
    work = float(profile.device_forward_flop[-1] + profile.device_backward_flop[-1])
    device = {"samples": SAMPLES, "batch_size": BATCH}
    speed = 3 * work * SAMPLES / ROUND_S
    crossing = float(profile.smashed_bytes.max() + profile.device_model_bytes[-1])
    rate = f"{8 * 20 * crossing * SAMPLES / ROUND_S:.6g} bit/s"
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "two-devices",
        "model": {"file": str(folder / "profile.json")},
        "devices": [
            {"name": "one", "compute": f"{speed:.6g} FLOP/s", **device},
            {"name": "two", "compute": f"{speed / 2:.6g} FLOP/s", **device},
        ],
        "links": {"downlink": rate, "uplink": rate},
        "servers": [{"name": "server", "compute": f"{2 * speed:.6g} FLOP/s"}],
        "training": {"epochs": 1, "rounds": 2},
    }
    made["data"] = folder / "data.npz"
    made["plan"] = splitopt.plan(splitopt.Scenario.from_dict(document))
    made["plan"].save(folder / "plan.json")


def _train(family: Family, made: dict[str, Any]) -> None:
    import splitopt

    run = splitopt.train(made["plan"], made["target"], **_settings(family, made))
    assert all(row.loss == row.loss for row in run.history)


def _wire(family: Family, made: dict[str, Any]) -> None:
    from splitopt.training.wire.launch import run_wire

    given = _settings(family, made)
    run_wire(made["plan"], made["target"], **(given | {"rounds": 1}))


def _validate(family: Family, made: dict[str, Any]) -> None:
    import splitopt

    given = _settings(family, made)
    splitopt.validate(made["plan"], made["target"], **(given | {"rounds": 1}))


def _export(family: Family, folder: Path, made: dict[str, Any]) -> None:
    import splitopt

    target = made["target"]
    classes = None if ":" in target else family.classes
    splitopt.export_plan(made["plan"], folder / "parts", model=target, classes=classes)


def _settings(family: Family, made: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    if not made["data"].exists():
        x, y = _data(family, 4 * SAMPLES)
        np.savez(made["data"], x=x, y=y)
    return {"data": str(made["data"]), "task": family.task, "rounds": 2}


def _data(family: Family, samples: int) -> tuple[Any, Any]:
    """Draw samples, and targets that follow from them."""
    import numpy as np

    draw = np.random.default_rng(0)
    if not family.takes_tokens:
        x = draw.normal(size=(samples, *family.shape)).astype(np.float32)
        return x, np.arange(samples) % CLASSES
    x = draw.integers(0, TOKENS, size=(samples, LENGTH))
    if family.task == "language":
        y = np.roll(x, -1, axis=1)
        y[0, 0] = TOKENS - 1  # all tokens count as classes
        return x, y
    return x, np.arange(samples) % CLASSES
