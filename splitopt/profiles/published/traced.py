"""Tables of shipped networks as `splitopt profile` wrote them: planning needs no torch."""

from __future__ import annotations

import json
from importlib import resources

from splitopt.errors import InputError
from splitopt.profiles.table.profile import ModelProfile

TRACED = {
    "cnn-digits": ("cnn", (1, 8, 8)),
    "cnn-fashion-mnist": ("cnn", (1, 28, 28)),
    "lenet5-fashion-mnist": ("lenet5", (1, 28, 28)),
    "lenet5-cifar10": ("lenet5", (3, 32, 32)),
    "alexnet-fashion-mnist": ("alexnet", (1, 28, 28)),
}
"""Name -> the shipped network and the shape of a sample; all of its cuts are kept."""


def traced_names() -> tuple[str, ...]:
    """Names of the profiles that `traced_profile` reads."""
    return tuple(TRACED)


def traced_profile(name: str) -> ModelProfile:
    """Read one of `traced_names`."""
    if name not in TRACED:
        raise InputError(f"there is no profile {name!r}; choose {', '.join(TRACED)}")
    file = f"{name}.json"
    text = resources.files("splitopt.profiles") / "data" / "traced" / file
    return ModelProfile.from_dict(json.loads(text.read_text(encoding="utf-8")), file)
