"""Per-sample gradients in networks that torch.fx cuts: adapters, several inputs or tensors."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from splitopt.models import add_adapters  # noqa: E402
from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.tracing import find_cuts  # noqa: E402
from splitopt.training.data.named import Named, arguments_of  # noqa: E402
from splitopt.training.model_parts.parts import Part, forward_chain  # noqa: E402
from splitopt.training.privacy.per_sample import per_sample_gradients  # noqa: E402
from splitopt.training.tasks.known import LANGUAGE  # noqa: E402

pytestmark = pytest.mark.train

INPUTS = Path(__file__).parents[1] / "several_inputs.py"
SEVERAL = Path(__file__).parents[2] / "profiles" / "tracing" / "cuts" / "several.py"


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def two():
    inputs = {"numbers": torch.randn(5, 3), "image": torch.randn(5, 1, 8, 8)}
    return loaded(INPUTS).Two(), inputs, torch.randint(0, 4, (5,)), functional.cross_entropy, {}


def adapted(bits):
    model = add_adapters(GPT(8, 32, width=16, heads=2, layers=2), 2, alpha=4.0, frozen_bits=bits)
    for parameter in model.parameters():
        if parameter.requires_grad:  # the second factor begins with zeros, the first learns nothing
            nn.init.normal_(parameter, std=0.3)
    ids = torch.randint(0, 32, (5, 9))
    return model, ids[:, :-1], ids[:, 1:], LANGUAGE.loss, {}


def several(name):
    module = loaded(SEVERAL)
    if name == "unet":
        model, inputs = module.UNet(classes=3), torch.randn(5, 1, 8, 8)
        for block in model.modules():
            if hasattr(block, "norm"):
                block.norm = nn.GroupNorm(1, block.norm.num_features)
    else:
        model, inputs = module.Masked(), torch.randint(0, 4, (5, 5))
    return model, inputs, torch.randint(0, 3, (5,)), functional.cross_entropy, {"most_tensors": 3}


CASES = {
    "several inputs": two,
    "adapters": lambda: adapted(None),
    "adapters of 8 bits": lambda: adapted(8),
    "skip connections": lambda: several("unet"),
    "a mask that goes along": lambda: several("mask"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.one_quick
def test_rows_are_those_of_samples_alone(name):
    """At every cut with trained parameters before it, against the uncut model and one sample."""
    torch.manual_seed(0)
    model, inputs, targets, loss_of, given = CASES[name]()
    named = isinstance(inputs, dict)
    batch = Named(inputs).arranged(model) if named else inputs
    example = {key: one[:2] for key, one in inputs.items()} if named else inputs[:2]
    found_cuts = find_cuts(model, example, **given)
    alone = [copy.deepcopy(model) for _ in range(5)]
    for row, own in enumerate(alone):
        loss_of(own(*arguments_of(batch[row : row + 1])), targets[row : row + 1]).backward()
    checked = 0
    for number in range(1, len(found_cuts.cuts) + 1):
        modules = found_cuts.split(model, (number,))
        parts = [Part(one, lambda p: torch.optim.SGD(p, lr=0.1)) for one in modules]
        trained = {id(p): p for p in modules[0].parameters() if p.requires_grad}
        if not trained:
            continue
        passes = forward_chain(parts, batch, None)
        loss_of(passes[1].result, targets).backward()
        got = per_sample_gradients(parts[0], passes[0], passes[1].gradient * 5, set())
        for key, parameter in model.named_parameters():
            if id(parameter) in trained:
                rows = [dict(own.named_parameters())[key].grad for own in alone]
                rows = [torch.zeros_like(parameter) if one is None else one for one in rows]
                torch.testing.assert_close(
                    got[parameter], torch.stack(rows), rtol=1e-4, atol=1e-6, msg=f"{number} {key}"
                )
                checked += 1
    assert checked > 2
