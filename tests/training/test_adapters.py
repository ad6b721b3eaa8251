"""Fine-tuning by adapters: what is learned, what travels, and what stays as it is."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError, Scenario  # noqa: E402
from splitopt.models import adapter_state, add_adapters, build  # noqa: E402
from splitopt.models.adapters.choice import Adapters  # noqa: E402
from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.tracing import find_cuts, trace  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.model_parts.copies import Split  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import SCHEMES, Client  # noqa: E402
from splitopt.training.tasks.known import LANGUAGE  # noqa: E402
from splitopt.training.validation.planned_bytes import KINDS, planned_bytes  # noqa: E402

pytestmark = pytest.mark.train

T, WIDTH, SYMBOLS = 8, 16, 32
SIZES = (10, 16, 7)


def small(layers=3, **given):
    torch.manual_seed(0)
    return GPT(T, SYMBOLS, width=WIDTH, heads=2, layers=layers, **given)


def clients(cuts, sizes=SIZES):
    rng = np.random.default_rng(0)
    found = []
    for k, n in enumerate(sizes):
        ids = torch.tensor(rng.integers(0, SYMBOLS, (n, T + 1)))
        batches = Batches(ids[:, :-1], ids[:, 1:], 4, 100 + k)
        found.append(Client(f"d{k}", batches, Stream(200 + k), cuts))
    return found


def scheme_of(name, model, cut, options=None):
    found = find_cuts(model, torch.zeros((2, T), dtype=torch.int64), verify=False)
    cuts = (found.cuts.index(cut) + 1,)
    own = options or Options(learning_rate=0.3, momentum=0.9)
    split = Split(found.split, found.state.written)
    return SCHEMES[name](copy.deepcopy(model), clients(cuts), own, split, LANGUAGE.loss)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", [{}, {"frozen_bits": 8}, {"frozen_bits": 4}, {"targets": "blocks.2.*"}], ids=str
)
@pytest.mark.parametrize("cut", ["add", "blocks.0.add", "blocks.1"])
def test_split_learns_what_the_whole_learns(fedavg, given, cut):
    """Bit for bit, and no bit of what is frozen moves."""
    model = add_adapters(small(), 2, alpha=4.0, **given)
    scheme = scheme_of("splitfed_v1", model, cut)
    for number in range(2):
        scheme.round(number)
    wanted = fedavg(copy.deepcopy(model), clients(()), 2, 0.3, LANGUAGE.loss)
    before = model.state_dict()
    for name, parameter in scheme.model.named_parameters():
        assert torch.equal(parameter, wanted.get_parameter(name)), name
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


@pytest.mark.parametrize(
    ("targets", "cut", "layers"),
    [("qkv", "blocks.0", 1), ("qkv", "add", 0), ("blocks.[12].attention.qkv", "blocks.0", 0),
     ("blocks.[12].attention.qkv", "blocks.1", 1)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["splitfed_v1", "vanilla", "clustered"])
@pytest.mark.one_quick
def test_bytes_by_arithmetic(name, targets, cut, layers):
    """A rank-2 adapter of 16 x 48 is 4 . 2 (16 + 48) B; without one before the cut nothing returns.

    A sample that crosses is T x 16 numbers.
    """
    scheme = scheme_of(name, add_adapters(small(), 2, targets=targets), cut)
    if name == "clustered":
        scheme.cluster([[0], [1], [2]])
    traffic = scheme.round(0).traffic
    held, sent = layers * 4 * 2 * (WIDTH + 3 * WIDTH), sum(SIZES) * 4 * T * WIDTH
    assert traffic.smashed == sent
    assert traffic.gradient == (sent if layers else 0)
    assert traffic.model_down == traffic.model_up == len(SIZES) * held
    assert traffic.statistics == 0


def test_copies_side_by_side_learn_the_same():
    found = []
    for batched in (False, True):
        torch.manual_seed(0)
        layers = nn.Embedding(SYMBOLS, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, SYMBOLS)
        model = add_adapters(nn.Sequential(*layers).double(), 2, frozen_bits=8)
        cuts = find_cuts(model, torch.zeros((2, T), dtype=torch.int64), verify=False)
        shares = clients((2,), (8, 8))
        options = Options(learning_rate=0.3, batched=batched)
        scheme = SCHEMES["splitfed_v1"](model, shares, options, cuts.split, LANGUAGE.loss)
        found.append((scheme.round(0).traffic, scheme.model.state_dict()))
    assert found[0][0] == found[1][0]
    for key, value in found[0][1].items():
        torch.testing.assert_close(found[1][1][key], value, rtol=1e-10, atol=1e-12)


def planned(file, samples=40, **device):
    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": str(file)}}
    document["devices"] = [
        {"name": "phone", "count": 2, "compute": "2 GFLOP/s", "samples": samples,
         "batch_size": 8} | device
    ]  # fmt: skip
    document["servers"] = [{"name": "server", "compute": "50 GFLOP/s"}]
    return splitopt.plan(Scenario.from_dict(document))


@pytest.mark.slow
def test_profile_plan_and_training_count_the_same(tmp_path):
    """A profile remembers its adapters, and the network that is built for training has them."""
    model = add_adapters(build("gpt", (T,)), 2, targets="qkv", frozen_bits=8)
    example = torch.zeros((2, T), dtype=torch.int64)
    traced = trace(model, example, name="gpt").named("gpt", adapters=Adapters(2, None, ("qkv",), 8))
    file = tmp_path / "gpt.json"
    traced.profile.save(file)
    assert splitopt.profiles.ModelProfile.load(file) == traced.profile
    plan = planned(file)
    run = splitopt.train(plan, data=f"text:descriptions:{T}", task="language", rounds=1)
    row = run.history.rows[0]
    assert {kind: row.traffic_bytes[kind] for kind in KINDS} == planned_bytes(program_of(plan))
    assert adapter_state(run.model).keys() == adapter_state(model).keys()
    assert run.model.blocks[0].attention.qkv.base.weight.dtype == torch.int8


@pytest.mark.slow
def test_training_begins_with_the_weights_of_a_file(tmp_path):
    """Of the network as it was pre-trained, or with its adapters."""
    torch.manual_seed(3)
    network = build("gpt", (T,))
    model = add_adapters(network, 2, targets="qkv")
    file, example = tmp_path / "gpt.json", torch.zeros((2, T), dtype=torch.int64)
    found = trace(model, example, name="gpt").named("gpt", adapters=Adapters(2, targets=("qkv",)))
    found.profile.save(file)
    plan, weights = planned(file), tmp_path / "weights.safetensors"
    from safetensors.torch import save_file

    data = {"data": f"text:descriptions:{T}", "task": "language", "rounds": 1}
    save_file(network.state_dict(), weights)
    first = splitopt.train(plan, **data, initial_weights=weights)
    for name, value in network.state_dict().items():
        path = name.replace("qkv.", "qkv.base.")
        assert torch.equal(first.model.state_dict()[path], value), name
    first.save_model(weights)
    again = splitopt.train(
        plan, **data, initial_weights=weights, options=Options(learning_rate=1e-30)
    )
    for name, value in first.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value)
    save_file({"head.weight": network.head.weight.detach()}, weights)
    with pytest.raises(InputError, match=r"another model: 'tokens\.weight' is missing"):
        splitopt.train(plan, **data, initial_weights=weights)
    with pytest.raises(InputError, match=r"no readable safetensors file|there is no such file"):
        splitopt.train(plan, **data, initial_weights=tmp_path / "none.safetensors")


@pytest.mark.slow  # it learns
def test_held_out_perplexity_falls_below_that_of_single_bytes(tmp_path):
    """A small gpt, split; frequencies of bytes are counted here, each from 1."""
    text = load_data("text:descriptions:32", targets=LANGUAGE.targets)
    torch.manual_seed(0)
    model = GPT(32, 256, width=32, heads=2, layers=2)
    file = tmp_path / "gpt.json"
    trace(model, text.train_inputs[:2], name="gpt").profile.save(file)
    plan = planned(file, samples=len(text.train_inputs) // 2, batch_size=16)
    options = Options(learning_rate=3e-3, optimizer="adam", optimizer_state="keep")
    run = splitopt.train(plan, model, text, task="language", rounds=5, options=options)
    counts = np.bincount(text.train_inputs.flatten().numpy(), minlength=256) + 1.0
    logs = np.log(counts / counts.sum())
    single = math.exp(-logs[text.test_targets.flatten().numpy()].mean())
    assert 20 < single < 50
    assert run.history.rows[-1].metrics["perplexity"] < single


@pytest.mark.slow
def test_a_job_on_the_command_line_is_refused_in_one_sentence(tmp_path, capsys):
    from splitopt.cli.entry import run

    file = tmp_path / "gpt.json"
    given = ["profile", "gpt", "--input-shape", str(T)]
    assert run([*given, "--adapters", "2:4", "--adapter-targets", "qkv", "-o", str(file)]) == 0
    assert json.loads(file.read_text())["trace"]["adapters"] == {
        "rank": 2,
        "alpha": 4.0,
        "targets": ["qkv"],
    }
    capsys.readouterr()
    for further, words in (
        (["--adapters", "0"], "rank 0, it must be a whole number >= 1"),
        (["--adapters", "2:x"], "write RANK or RANK:ALPHA"),
        (["--adapters", "300", "--adapter-targets", "qkv"], "128 x 384; choose at most 128"),
        (["--adapters", "2", "--adapter-targets", "qkw"], "did you mean 'qkv'?"),
        (["--adapters", "2", "--adapter-targets", "norm"], "is of type LayerNorm"),
        (["--adapters", "2", "--frozen-bits", "5"], "must be 8 or 4"),
        (["--frozen-bits", "8"], "needs --adapters RANK; add it"),
    ):
        assert run([*given, *further]) == 2
        error = capsys.readouterr().err
        assert words in error.replace("\n", " "), error
        assert error.count("error:") == 1


@pytest.mark.slow
def test_adapters_where_nothing_is_taught_are_refused(tmp_path, capsys, monkeypatch):
    from splitopt.cli.entry import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "guarded.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)\n\n"
        "    def forward(self, x):\n        with torch.no_grad():\n            x = self.first(x)\n"
        "        return self.second(x).relu()\n"
    )
    given = ["profile", "guarded.py:Net", "--input-shape", "4", "--adapters", "2"]
    assert run(given) == 2
    assert "name first, where no gradient arrives" in capsys.readouterr().err
    assert run([*given, "--adapter-targets", "second"]) == 0


@pytest.mark.slow  # processes that import torch
def test_processes_learn_the_same_and_are_sent_frozen_weights_once(tmp_path):
    from splitopt.training.wire.launch import run_wire

    file, example = tmp_path / "gpt.json", torch.zeros((2, T), dtype=torch.int64)
    wanted = Adapters(2, None, ("qkv",), 8)
    model = add_adapters(build("gpt", (T,)), 2, targets="qkv", frozen_bits=8)
    trace(model, example, name="gpt").named("gpt", adapters=wanted).profile.save(file)
    plan = planned(file, samples=16)
    given = {"task": "language", "rounds": 2}
    one = splitopt.train(plan, None, f"text:descriptions:{T}", **given)
    many = run_wire(plan, None, f"text:descriptions:{T}", any_speed=True, **given)
    for name, value in one.model.state_dict().items():
        assert torch.equal(many.model.state_dict()[name], value), name
    for alone, sent in zip(one.history.rows, many.history.rows, strict=True):
        assert alone.traffic_bytes == sent.traffic_bytes


@pytest.mark.parametrize("bits", [None, 4])
@pytest.mark.slow
def test_an_export_is_the_trained_model_without_splitopt(tmp_path, bits):
    """The folder has the network with its adapters; its parts in turn compute what was trained."""
    import subprocess
    import sys

    from splitopt.export import export_plan

    wanted = Adapters(2, 4.0, ("qkv",), bits)
    model = add_adapters(build("gpt", (T,)), 2, alpha=4.0, targets="qkv", frozen_bits=bits)
    file, example = tmp_path / "gpt.json", torch.zeros((2, T), dtype=torch.int64)
    trace(model, example, name="gpt").named("gpt", adapters=wanted).profile.save(file)
    plan = planned(file, samples=16)
    run = splitopt.train(plan, data=f"text:descriptions:{T}", task="language", rounds=1)
    weights, folder = tmp_path / "trained.safetensors", tmp_path / "parts"
    run.save_model(weights)
    export_plan(plan, folder, to="torch", weights=weights)
    with torch.no_grad():
        torch.save(run.model.eval()(example + 65), tmp_path / "wanted.pt")
    code = (
        "import sys, torch\n"
        "sys.modules['splitopt'] = None\n"
        "from model import build\nfrom parts import load_chain\n"
        "model = build()\n"
        "parts = load_chain(model, 'phone-1', weights='weights.safetensors')\n"
        f"x = torch.full((2, {T}), 65)\n"
        "with torch.no_grad():\n    for _, part in parts:\n        x = part.eval()(x)\n"
        "assert torch.equal(x, torch.load('../wanted.pt'))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=300)
