"""Inputs that forward takes by keyword alone: profiled, trained and exported like all others."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run as run_command  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.profiles.tracing import find_cuts, trace  # noqa: E402
from splitopt.profiles.tracing.running.outputs import as_given  # noqa: E402
from splitopt.profiles.tracing.running.wrapped import unwrapped  # noqa: E402
from splitopt.training.options import Options  # noqa: E402

pytestmark = pytest.mark.train
SOURCE = '''
import torch
from torch import nn


class Net(nn.Module):
    """The mask is needed, and stands behind what has a default."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.end = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x, cache=None, *, mask, scale: float = 2.0, **others):
        value = torch.tanh(self.embed(x)) * mask * scale
        return self.end(torch.relu(self.mix(value)))


class ByName(Net):
    """The outputs have names."""

    def forward(self, x, *, mask):
        return {"hidden": x, "logits": super().forward(x, mask=mask)}
'''
RNG = np.random.default_rng(0)
X = {"mask": RNG.random((60, 1)).astype(np.float32), "x": RNG.normal(size=(60, 4)).astype("f4")}
Y = RNG.integers(0, 3, 60)
EXAMPLE = {name: torch.from_numpy(value[:2]) for name, value in X.items()}


def model(name="Net"):
    space = {"__name__": "net"}
    exec(compile(SOURCE, "net.py", "exec"), space)
    torch.manual_seed(0)
    return space[name]()


def plan_in(folder, count=1):
    trace(model(), EXAMPLE, name="net", keep_all=True).profile.save(folder / "net.json")
    document = Scenario.load("digits-splitfed").to_dict()
    device = {"compute": "1 kFLOP/s", "samples": 20, "batch_size": 20}
    document |= {
        "model": {"file": str(folder / "net.json")},
        "devices": [{"name": k, **device} for k in "abc"[:count]],
        "training": {"epochs": 1, "rounds": 1},
    }
    return splitopt.plan(Scenario.from_dict(document))


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["Net", "ByName"])
@pytest.mark.parametrize("method", ["fx", "export"])
def test_parts_compute_what_the_whole_does(name, method):
    own = model(name)
    split = find_cuts(own, EXAMPLE, method=method)
    x, mask = torch.randn(5, 4), torch.rand(5, 1)
    wanted = own(x, mask=mask)
    wanted = wanted["logits"] if name == "ByName" else wanted
    for cut in split.cuts:
        first, second = split.segments([cut])
        assert torch.equal(second(first(x, mask)), wanted), cut
    assert type(as_given(split.module)) is type(own)
    assert dict(split.module.named_parameters()).keys() == dict(own.named_parameters()).keys()


def test_a_view_is_the_module_itself():
    """Attributes, weights and copies; the original goes on taking its keyword."""
    own = model()
    seen = unwrapped(own)
    assert unwrapped(seen) is seen
    assert isinstance(seen, type(own))
    assert seen.embed is own.embed
    again = copy.deepcopy(seen)
    x, mask = torch.randn(3, 4), torch.rand(3, 1)
    assert torch.equal(again(x, mask), own(x, mask=mask))
    assert torch.equal(seen(x, mask, None, 1.0), own(x, mask=mask, scale=1.0))
    assert again.embed is not own.embed
    plain = nn.Linear(2, 2)
    assert unwrapped(plain) is plain


def test_a_step_is_that_of_plain_pytorch(tmp_path):
    """A round of one client with all of its samples in a batch."""
    plan = plan_in(tmp_path)
    data = ({k: v[:20] for k, v in X.items()}, Y[:20], {k: v[20:] for k, v in X.items()}, Y[20:])
    run = splitopt.train(plan, model(), data, rounds=1, options=Options(learning_rate=0.5))
    own = model()
    inputs = {name: torch.from_numpy(value[:20]) for name, value in X.items()}
    loss = functional.cross_entropy(own(**inputs), torch.from_numpy(Y[:20]))
    loss.backward()
    torch.optim.SGD(own.parameters(), lr=0.5).step()
    assert run.history.rows[0].loss == pytest.approx(float(loss.detach()), rel=1e-5)
    for one, other in zip(run.model.parameters(), own.parameters(), strict=True):
        assert one.detach().numpy() == pytest.approx(other.detach().numpy(), abs=1e-6)
    assert torch.isfinite(run.model(**inputs)).all()  # as it was written


@pytest.mark.slow
def test_from_files_to_an_export(tmp_path, monkeypatch, capsys):
    """Profile by data, plan, train and export by the command line; the parts are the model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(SOURCE)
    np.savez("d.npz", y=Y, **{f"x.{name}": value for name, value in X.items()})
    command = ["profile", "net.py:Net", "--example", "d.npz", "--all", "-o", "net.json"]
    assert run_command(command) == 0
    assert "input x 4 float32 and mask 1 float32" in capsys.readouterr().out
    record = json.loads((tmp_path / "net.json").read_text())["trace"]
    assert [one["name"] for one in record["inputs"]] == ["x", "mask"]
    plan_in(tmp_path).save("p.json")
    train = ["train", "p.json", "--model", "net.py:Net", "--data", "d.npz", "--rounds", "1"]
    assert run_command([*train, "--save-model", "w.safetensors"]) == 0
    written = ["--to", "torch", "-o", "out", "--weights", "w.safetensors"]
    assert run_command(["export", "p.json", "--model", "net.py:Net", *written]) == 0
    spec = importlib.util.spec_from_file_location("exported_parts", tmp_path / "out" / "parts.py")
    parts = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "exported_parts", parts)
    spec.loader.exec_module(parts)
    from safetensors.torch import load_file

    own = model()
    own.load_state_dict(load_file("w.safetensors"))
    (_, first), (_, second) = parts.load_chain(own, "a")
    x, mask = torch.randn(3, 4), torch.rand(3, 1)
    assert torch.equal(second(first(x, mask)), own(x, mask=mask))


def test_what_has_no_position_is_refused():
    class Behind(nn.Module):
        def forward(self, *x, mask):
            return x[0] * mask

    with pytest.raises(InputError, match=r"'mask' stands behind \*x in forward of Behind"):
        find_cuts(Behind(), {"mask": torch.ones(2, 1)})
    with pytest.raises(InputError, match="have no 'mask', which the model needs"):
        find_cuts(model(), {"x": torch.ones(2, 4)})
    with pytest.raises(InputError, match="'max' is no argument that the model takes; Net takes x"):
        find_cuts(model(), {"x": torch.ones(2, 4), "max": torch.ones(2, 1)})
