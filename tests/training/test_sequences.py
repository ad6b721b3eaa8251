"""Samples of unequal length: padded, masked, and trained as each sequence by itself would be."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch.nn import functional  # noqa: E402

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run as run_command  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.named import Named, with_mask  # noqa: E402
from splitopt.training.data.shards import read_shards, save_shards  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.rounds.evaluate import evaluate  # noqa: E402
from splitopt.training.tasks import TASKS, Task  # noqa: E402
from splitopt.training.tasks.collating import pad_samples, pad_tokens  # noqa: E402
from splitopt.training.tasks.targets import IGNORED  # noqa: E402

pytestmark = pytest.mark.train
RNG = np.random.default_rng(0)
N, MOST = 60, 9
LENGTHS = RNG.integers(2, MOST + 1, N)
LENGTHS[7], LENGTHS[50] = MOST, MOST - 1
TEXTS = [RNG.integers(0, 9, n) for n in LENGTHS]
NEXT = [(own + 3) % 9 for own in TEXTS]
LABELS = np.array([int(own.sum()) % 3 for own in TEXTS])
SOURCE = '''
import torch
from torch import nn


class Reader(nn.Module):
    """Tokens in both directions, so that padding would be seen without its mask."""

    def __init__(self):
        super().__init__()
        self.embed, self.key = nn.Embedding(9, 8), nn.Linear(8, 8)
        self.mix, self.end = nn.Linear(8, 16), nn.Linear(16, 9)

    def forward(self, tokens, cache=None, attention_mask=None):
        value = self.embed(tokens)
        scores = value @ self.key(value).transpose(1, 2)
        scores = scores.masked_fill(~attention_mask[:, None, :], float("-inf"))
        return self.end(torch.tanh(self.mix(scores.softmax(-1) @ value)))


class Unmasked(nn.Module):
    """Each token by itself."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Embedding(9, 8), nn.Linear(8, 16)
        self.end = nn.Linear(16, 9)

    def forward(self, tokens):
        return self.end(torch.tanh(self.mix(self.embed(tokens))))
'''


def model(name="Reader"):
    space = {}
    exec(compile(SOURCE, "net.py", "exec"), space)
    torch.manual_seed(0)
    return space[name]()


def data_of(x=TEXTS, y=NEXT, task="language"):
    return load_data((x, y), targets=TASKS[task].targets, collate=TASKS[task].collate)


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """Return the plan of each model: three devices that hold a first part."""
    folder, made = tmp_path_factory.mktemp("plans"), {}
    for name in ("Reader", "Unmasked"):
        own = model(name)
        inputs = with_mask(data_of().train_inputs[:2].tensors, own)
        trace(own, inputs, name="net", keep_all=True).profile.save(folder / f"{name}.json")
        document = Scenario.load("digits-splitfed").to_dict()
        document["model"] = {"file": str(folder / f"{name}.json")}
        device = {"compute": "2 kFLOP/s", "samples": 12, "batch_size": 5}
        document["devices"] = [{"name": k, **device} for k in "abc"]
        made[name] = splitopt.plan(Scenario.from_dict(document))
    return made


def alone(own, texts, targets):
    """Return the summed loss of sequences one by one, without any padding, and the tokens."""
    total, count = 0.0, 0
    own.eval()
    with torch.no_grad():
        for text, target in zip(texts, targets, strict=True):
            tokens, wanted = torch.tensor(text)[None], torch.tensor(target)
            mask = torch.ones(1, len(text), dtype=torch.bool)
            given = (tokens, None, mask) if "key" in dict(own.named_modules()) else (tokens,)
            total += float(functional.cross_entropy(own(*given)[0], wanted, reduction="sum"))
            count += len(text)
    return total, count


@pytest.mark.parametrize("name", ["Reader", "Unmasked"])
@pytest.mark.parametrize("room", [0, 7])
def test_a_padded_batch_is_its_sequences_one_by_one(name, room):
    """The loss is the mean over all tokens there are, and perplexity is whatever the padding."""
    own, length = model(name), MOST + room
    texts = [torch.tensor(text) for text in TEXTS]
    inputs, mask, targets = pad_tokens(texts, [torch.tensor(t) for t in NEXT], length)
    total, count = alone(own, TEXTS, NEXT)
    batch = Named({"": inputs, "padding mask": mask}).arranged(own)
    score = evaluate(own, batch, targets, TASKS["language"], 7)
    assert score.loss == pytest.approx(total / count, rel=1e-5)
    assert score.metrics["perplexity"] == pytest.approx(math.exp(total / count), rel=1e-5)
    assert (targets != IGNORED).sum() == count
    loss = TASKS["language"].loss(
        own(*batch.arguments) if isinstance(batch, Named) else own(batch), targets
    )
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("name", ["Reader", "Unmasked"])
def test_split_learns_what_the_whole_learns(plans, name):
    """Bit for bit; what crossed the cut is as long as the longest, as planned."""
    given = {"task": "language", "rounds": 2, "options": Options(learning_rate=0.3, momentum=0.9)}
    split = splitopt.train(plans[name], model(name), (TEXTS, NEXT), **given)
    whole = splitopt.train(plans[name], model(name), (TEXTS, NEXT), scheme="federated", **given)
    for key, value in split.model.state_dict().items():
        assert torch.equal(value, whole.model.state_dict()[key]), key
    for one, other in zip(split.history, whole.history, strict=True):
        assert (one.loss, one.test_loss, one.metrics) == (
            other.loss,
            other.test_loss,
            other.metrics,
        )
    assert split.history.rows[-1].loss < split.history.rows[0].loss
    sent = split.history.rows[-1].traffic_bytes
    samples = 36 * split.scheme.options.local_epochs
    shape, kind, _ = split.scheme.about.crossed(split.scheme.clients[0].cuts)[0]
    assert sent["smashed"] == samples * np.prod(shape) * kind.itemsize
    program = program_of(plans[name])
    at = program.profile.layers.index(program.clients[0].cuts[0])
    assert sent["smashed"] == samples * program.profile.smashed_bytes[at]


def test_a_step_is_that_of_plain_pytorch_without_padding(plans):
    """One round of one client and one batch, against the sum over sequences one by one."""
    document = plans["Reader"].scenario | {
        "devices": [{"name": "a", "compute": "2 kFLOP/s", "samples": 20}],
        "training": {"epochs": 1, "rounds": 1},
    }
    plan = splitopt.plan(Scenario.from_dict(document))
    data = (TEXTS[:20], NEXT[:20], TEXTS[20:], NEXT[20:])
    run = splitopt.train(
        plan, model(), data, task="language", rounds=1, options=Options(learning_rate=0.5)
    )
    own = model()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.5)
    total, count = 0.0, sum(map(len, TEXTS[:20]))
    for text, target in zip(TEXTS[:20], NEXT[:20], strict=True):
        mask = torch.ones(1, len(text), dtype=torch.bool)
        outputs = own(torch.tensor(text)[None], None, mask)[0]
        total = total + functional.cross_entropy(outputs, torch.tensor(target), reduction="sum")
    (total / count).backward()
    optimizer.step()
    assert run.history.rows[0].loss == pytest.approx(float(total.detach()) / count, rel=1e-5)
    for one, other in zip(run.model.parameters(), own.parameters(), strict=True):
        assert one.detach().numpy() == pytest.approx(other.detach().numpy(), abs=1e-5)


def test_files_are_read_as_lists(tmp_path):
    """Values one sample after the other, or in rows of which the first count: the same data."""
    rows, wanted = np.full((N, MOST), 5), np.zeros((N, MOST), dtype=int)
    for k, n in enumerate(LENGTHS):
        rows[k, :n], wanted[k, :n] = TEXTS[k], NEXT[k]
    flat = {"x": np.concatenate(TEXTS), "y": np.concatenate(NEXT), "lengths": LENGTHS}
    np.savez(tmp_path / "flat.npz", **flat)
    np.savez(tmp_path / "rows.npz", x=rows, y=wanted, lengths=LENGTHS)
    halves = {
        f"{key}_{part}": value
        for part, own in (("train", slice(0, 40)), ("test", slice(40, None)))
        for key, value in (("x", rows[own]), ("y", wanted[own]), ("lengths", LENGTHS[own]))
    }
    np.savez(tmp_path / "halves.npz", **halves)
    task = TASKS["language"]
    given = {"targets": task.targets, "collate": task.collate}
    found = [load_data(tmp_path / f"{name}.npz", **given) for name in ("flat", "rows")]
    assert len({own.digest() for own in (*found, data_of())}) == 1
    own = load_data(tmp_path / "halves.npz", **given)
    listed = load_data((TEXTS[:40], NEXT[:40], TEXTS[40:], NEXT[40:]), **given)
    assert own.digest() == listed.digest()
    tokens = own.train_inputs.tensors[""]
    assert tokens.shape == (40, MOST)
    assert (tokens[torch.arange(MOST) >= torch.tensor(LENGTHS[:40])[:, None]] == 0).all()


def test_sequences_with_a_label_each():
    """Inputs are padded, labels are not; a test set of one length is padded like the others."""
    found = data_of(TEXTS, LABELS, "classification")
    assert found.train_targets.shape == (len(found.train_inputs),)
    even = np.ones((4, 3), dtype=int)
    task = TASKS["classification"]
    found = load_data(
        (TEXTS, LABELS, even, [0, 1, 2, 0]), targets=task.targets, collate=task.collate
    )
    mask = found.test_inputs.tensors["padding mask"]
    assert mask.shape == (4, MOST)
    assert mask.sum(dim=1).tolist() == [3] * 4
    pairs = list(zip(map(torch.tensor, TEXTS), LABELS.tolist(), strict=True))

    class Pairs(torch.utils.data.Dataset):
        def __len__(self):
            return N

        def __getitem__(self, index):
            return pairs[index]

    own = load_data(Pairs(), targets=task.targets, collate=task.collate)
    assert own.digest() == data_of(TEXTS, LABELS, "classification").digest()


def test_shares_in_files_keep_their_lengths(tmp_path):
    """Rows as long as those of all, so that what a client has is of the kind of all others."""
    data, task = data_of(), TASKS["language"]
    save_shards(tmp_path, data, ["a", "b"], [torch.arange(10), torch.arange(10, 30)])
    shards = read_shards(str(tmp_path), ["a", "b"], task.targets, task.collate)
    for name, rows in (("a", slice(0, 10)), ("b", slice(10, 30))):
        own = shards[name]
        for key, value in own.inputs.tensors.items():
            assert torch.equal(value, data.train_inputs.tensors[key][rows])
        assert torch.equal(own.targets, data.train_targets[rows])


@pytest.mark.slow
def test_the_command_line(tmp_path, monkeypatch, capsys):
    """Profile with the data as an example, plan, and train by a task of one's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(SOURCE)
    (tmp_path / "task.py").write_text(
        "from dataclasses import replace\n"
        "import torch\n"
        "from splitopt.training.tasks import TASKS\n"
        "def collate(inputs, targets, length):\n"
        "    assert length == max(map(len, inputs))\n"
        "    rows = [torch.nn.functional.pad(own, (0, length - len(own))) for own in inputs]\n"
        "    wanted = [torch.nn.functional.pad(own, (0, length - len(own)), value=-100)\n"
        "              for own in targets]\n"
        "    mask = torch.tensor([[k < len(own) for k in range(length)] for own in inputs])\n"
        "    return torch.stack(rows), mask, torch.stack(wanted)\n"
        "MINE = replace(TASKS['language'], name='mine', collate=collate)\n"
    )
    x, y = np.concatenate(TEXTS), np.concatenate(NEXT)
    np.savez("d.npz", x=x, y=y, lengths=LENGTHS)
    profile = ["profile", "net.py:Reader", "--example", "d.npz", "-o", "net.json"]
    assert run_command(profile) == 0
    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": "net.json"}}
    device = {"compute": "2 kFLOP/s", "samples": 12, "batch_size": 5}
    document["devices"] = [{"name": k, **device} for k in "ab"]
    Scenario.from_dict(document).save("s.yaml")
    assert run_command(["plan", "s.yaml", "-o", "p.json"]) == 0
    train = ["train", "p.json", "--model", "net.py:Reader", "--rounds", "1", "--data"]
    printed = []
    for task in ("language", "task.py:MINE"):
        capsys.readouterr()
        assert run_command([*train, "d.npz", "--task", task]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0].partition("\n")[2] == printed[1].partition("\n")[2]
    np.savez("odd.npz", x=x, y=y, lengths=LENGTHS + 1)
    assert run_command([*train, "odd.npz", "--task", "language"]) == 2
    assert "lengths add up to" in capsys.readouterr().err


def _collated(**change):
    def collate(inputs, targets, length):
        found = pad_tokens(inputs, targets, length)._asdict()
        return tuple((change[k](v) if k in change else v) for k, v in found.items())

    return collate


@pytest.mark.parametrize(
    ("collate", "words"),
    [
        (_collated(mask=lambda mask: mask[:, 1:]), r"the mask is \(60, 8\) and the inputs"),
        (_collated(mask=lambda mask: mask | True), "the mask of sample 0 has 9 positions"),
        (_collated(mask=lambda mask: ~mask), "the mask of sample 0 has"),
        (_collated(mask=lambda mask: mask.long()), "positions in torch.int64"),
        (_collated(mask=lambda mask: mask.numpy()), "the mask is ndarray"),
        (_collated(inputs=lambda own: own[:, :4]), r"inputs are \(60, 4\), to be padded to 9"),
        (_collated(inputs=lambda own: own[:4]), r"shape \(4, 9\) for 60 samples"),
        (_collated(inputs=lambda own: own.numpy()), "no tensor and no dict"),
        (lambda a, b, c: a, "gives list; it must give inputs, a mask or None, and targets"),
        (lambda a, b, c: 1 / 0, "fails .ZeroDivisionError"),
        (None, "the task has no collate to pad them with"),
    ],
)
def test_a_collate_that_does_not_fit_is_refused(collate, words):
    with pytest.raises(InputError, match=words):
        load_data((TEXTS, NEXT), targets=TASKS["language"].targets, collate=collate)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lengths": LENGTHS[:-1]}, "its lengths add up to"),
        ({"lengths": LENGTHS[:, None]}, "give a whole number for each sample"),
        ({"lengths": LENGTHS * 1.0}, "give a whole number for each sample"),
        ({"lengths": np.where(np.arange(N) == 3, 0, LENGTHS)}, "sample 3 has the length 0"),
        ({"x": np.zeros((N, 4), dtype=int)}, "sample 7 has the length 9, and the rows have 4"),
        ({"y": np.arange(5)}, "and 5 targets; give one for each sample, or for each position"),
        ({"y": LABELS}, "sample 0 has . positions and 1 targets"),
        ({"x.a": np.zeros((N, 4)), "x": None}, "is for a single input x, and there are several"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, fields, words):
    arrays = {"x": np.concatenate(TEXTS), "y": np.concatenate(NEXT), "lengths": LENGTHS} | fields
    np.savez(tmp_path / "d.npz", **{k: v for k, v in arrays.items() if v is not None})
    task = TASKS["language"]
    with pytest.raises(InputError, match=words):
        load_data(tmp_path / "d.npz", targets=task.targets, collate=task.collate)


def test_padding_that_no_memory_holds_is_refused(tmp_path):
    """A sample of a hundred thousand positions beside as many of one: 80 GB of nothing."""
    lengths = np.ones(100_001, dtype=int)
    lengths[0] = 100_000
    x = np.zeros(lengths.sum(), dtype=np.int8)
    np.savez(tmp_path / "d.npz", x=x, y=x, lengths=lengths)
    task = TASKS["language"]
    with pytest.raises(InputError, match="would be 75 GiB when padded to the longest"):
        load_data(tmp_path / "d.npz", targets=task.targets, collate=task.collate)


def test_lists_that_do_not_fit_are_refused():
    odd = [*TEXTS[:-1], np.zeros((3, 2), dtype=int)]
    with pytest.raises(InputError, match=r"sample 59 has shape \(3, 2\) and the first one"):
        data_of(odd)
    with pytest.raises(InputError, match=r"sample 0 has \d positions and \d targets"):
        data_of(TEXTS, NEXT[::-1])
    with pytest.raises(InputError, match="targets are of several shapes"):
        load_data((TEXTS, NEXT), targets=TASKS["regression"].targets, collate=pad_samples)
    with pytest.raises(InputError, match="collate: is 3, it must be a function"):
        Task("x", abs, collate=3)


@pytest.mark.slow  # a process for each party
def test_over_connections(plans, tmp_path):
    from splitopt.training.wire.launch import run_wire

    (tmp_path / "net.py").write_text(SOURCE)
    given = {"model": f"{tmp_path}/net.py:Reader", "data": (TEXTS, NEXT), "task": "language"}
    one = splitopt.train(plans["Reader"], rounds=1, **given)
    wired = run_wire(plans["Reader"], rounds=1, time_scale=1e-3, any_speed=True, **given)
    assert wired.history == one.history
    for value, other in zip(one.model.parameters(), wired.model.parameters(), strict=True):
        assert torch.equal(value, other)
