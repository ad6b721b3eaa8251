"""Models of HuggingFace as users build them: in parts they are the whole, bit for bit.

Importing transformers takes seconds, and so does an export in two modes: what needs them is here.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
import pickle
import subprocess
import sys

import pytest

from splitopt.errors import CapabilityError, InputError

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
transformers = pytest.importorskip("transformers", reason="needs the extra 'huggingface'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

families = importlib.import_module("benchmarks.models.families")
equality = importlib.import_module("benchmarks.models.equality")
tracing = importlib.import_module("splitopt.profiles.tracing")
pretrained = importlib.import_module("splitopt.profiles.tracing.pretrained")
outputs = importlib.import_module("splitopt.profiles.tracing.running.outputs")

FAMILIES = {family.name: family for family in families.FAMILIES if family.config}
QUICK = ("BERT", "Llama")


def built(name, folder, seed=0):
    """Return the model of a family with random weights, as ``hf:FOLDER`` gives it."""
    torch.manual_seed(seed)
    return pretrained.open_pretrained(FAMILIES[name].write(folder))


def batch(name, samples=3):
    """Return some samples of a family."""
    draw = torch.Generator().manual_seed(1)
    shape = FAMILIES[name].shape
    if FAMILIES[name].takes_tokens:
        return torch.randint(0, families.TOKENS, (samples, *shape), generator=draw)
    return torch.randn(samples, *shape, generator=draw)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in FAMILIES
        if name != "GPT-2 tied"
    ],
)
def test_split_is_whole_at_every_cut(tmp_path, name):
    """Outputs, gradients and buffers, with dropout and without, for another size of the batch."""
    module, shape, kind = built(name, tmp_path)
    drops = [part for part in module.modules() if isinstance(part, torch.nn.Dropout) and part.p]
    assert drops or name == "Llama"
    caches = getattr(module.config, "use_cache", None)
    split = tracing.find_cuts(module, batch(name, 2))
    assert (split.method, split.chain.trainable, split.difference) == ("export", True, 0.0)
    assert len(split.cuts) >= 5
    apart = equality.differences(module, split.cuts, split.segments, batch(name, 5))
    assert apart.keys() == set(split.cuts)
    # The same to the bit on most processors; on some, attention goes back in another order of sums.
    assert max(apart.values()) < 1e-9
    # The module is what it was, and returns what it did.
    assert getattr(module.config, "use_cache", None) is caches
    assert "logits" in module.eval()(batch(name))
    assert kind == ("int64" if FAMILIES[name].takes_tokens else "float32")
    assert shape == (None if FAMILIES[name].takes_tokens else FAMILIES[name].shape)


@pytest.mark.slow
def test_state_dicts_of_the_parts_are_that_of_the_module(tmp_path):
    """The tensors are the module's own, under its names; what crosses is named by its layers."""
    module = built("BERT", tmp_path).module
    split = tracing.find_cuts(module, batch("BERT"))
    parts = split.segments(["bert.embeddings", "bert.encoder.layer.0"])
    held = {}
    for part in parts:
        held |= part.state_dict(keep_vars=True)
    own = module.state_dict(keep_vars=True)
    assert held.keys() == own.keys()
    assert all(held[name] is own[name] for name in own)
    assert "bert.encoder.layer.1.output.dense.weight" not in parts[1].state_dict()


@pytest.mark.slow
def test_tied_weights_are_said(tmp_path):
    """A head that shares the weight of the embedding cannot be on the other side."""
    module = built("GPT-2 tied", tmp_path).module
    split = tracing.find_cuts(module, batch("GPT-2 tied"))
    why = split.refused["transformer.h.0"]
    assert "transformer.wte.weight is used on both sides (tied weights)" in why


@pytest.mark.slow
def test_tied_weights_are_copied_where_that_is_asked_for(tmp_path):
    """The cuts are those of a head of its own, and split is whole."""
    module = built("GPT-2 tied", tmp_path).module
    split = tracing.find_cuts(module, batch("GPT-2 tied"), tied="copies")
    assert "transformer.h.0" in split.cuts
    (shared,) = split.shared
    uses = [split.layers[user] for user in shared.users]
    assert (shared.name, uses[-1]) == ("transformer.wte.weight", "lm_head")
    assert uses[0] == split.layers[1]  # the first layer gives token ids their shape


@pytest.mark.slow
def test_the_first_tensor_is_trained_where_there_are_no_logits():
    """The other outputs are named in the profile, and so are weights that only they use."""
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    module = transformers.BertModel(config)
    profile = tracing.trace(module, batch("BERT")).profile
    notes = " ".join(profile.provenance.notes)
    assert "last_hidden_state is trained; left out: pooler_output" in notes
    assert "pooler.dense.weight" in notes


@pytest.mark.slow
def test_one_tensor_is_seen_of_the_same_module():
    """A view shares everything with its module; copies and pickles of it are views again."""
    config = transformers.GPT2Config(
        vocab_size=64, n_positions=16, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0
    )
    module = transformers.GPT2LMHeadModel(config).eval()
    x = batch("GPT-2")
    seen = outputs.one_tensor(module, (x,))
    expected = module(x)
    assert expected.past_key_values is not None
    assert isinstance(seen, transformers.GPT2LMHeadModel)
    assert seen.state_dict().keys() == module.state_dict().keys()
    for view in (seen, copy.deepcopy(seen), pickle.loads(pickle.dumps(seen))):
        assert torch.equal(view(x), expected.logits)
    assert copy.deepcopy(seen).transformer is not module.transformer
    assert outputs.one_tensor(seen, (x,)) is seen
    given = outputs.as_given(copy.deepcopy(seen))
    assert type(given) is transformers.GPT2LMHeadModel
    assert torch.equal(given(x).logits, expected.logits)


@pytest.mark.slow
def test_weights_come_from_safetensors_or_the_seed(tmp_path):
    """A folder that save_pretrained wrote gives the same numbers; without weights the seed does."""
    first, again, other = (built("ViT", tmp_path, seed).module.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    module = built("ViT", tmp_path, 3).module
    module.save_pretrained(tmp_path / "saved")
    torch.manual_seed(4)
    loaded = pretrained.open_pretrained(f"hf:{tmp_path}/saved").module.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "has no config.json; name a folder that save_pretrained"),
        ({"config.json": "{"}, "config.json"),
        ({"config.json": "[]"}, "is no object"),
        ({"config.json": {"auto_map": {"AutoModel": "x.Y"}}}, "asks for code of its own"),
        ({"config.json": {"quantization_config": {"bits": 4}}}, "has quantized weights"),
        ({"config.json": {"attn_implementation": "some/kernel"}}, "names code to fetch"),
        ({"config.json": {"architectures": ["os.system"]}}, "must be a list with the name"),
        ({"config.json": {"architectures": ["Trainer"]}}, "has 'Trainer', which the installed"),
        ({"config.json": {"architectures": ["BertModel"]}}, "cannot build BertModel"),
        ({"config.json": {}, "adapter_config.json": {}}, "holds an adapter of peft"),
        ({"config.json": {}, "pytorch_model.bin": ""}, "may run code and is not read"),
    ],
)
def test_what_a_folder_may_not_hold(tmp_path, files, words):
    """Nothing is fetched, unpickled or run; one sentence says what to do."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        pretrained.open_pretrained(f"hf:{tmp_path}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_said(tmp_path, monkeypatch):
    """How to install it stands in the sentence."""
    target = FAMILIES["BERT"].write(tmp_path)
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CapabilityError, match=r"pip install 'splitopt\[huggingface\]'"):
        pretrained.open_pretrained(target)


@pytest.mark.slow
def test_batches_side_by_side(tmp_path):
    """Parts of a graph of torch.export are called for several copies at once."""
    from splitopt.training.model_parts.batched import Stacked

    config = FAMILIES["BERT"].config | {
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    models = [pretrained.open_pretrained(f"hf:{tmp_path}").module for _ in range(2)]
    split = tracing.find_cuts(models[0], batch("BERT"))
    cut = ["bert.encoder.layer.0"]
    x = torch.stack([batch("BERT", 4), batch("BERT", 4).flip(0)])
    expected = []
    for model, own in zip(models, x, strict=True):
        first, second = split.segments(cut, model)
        expected.append(second(first(own)))
    together = copy.deepcopy(models[0])
    states = [{**dict(m.named_parameters()), **dict(m.named_buffers())} for m in models]
    for name, tensor in [*together.named_parameters(), *together.named_buffers()]:
        tensor.data = torch.stack([state[name].data for state in states])
    first, second = (Stacked(part) for part in split.segments(cut, together))
    assert torch.allclose(second(first(x)), torch.stack(expected), atol=1e-5)


ALONE = """
import sys
import torch
from model import build
from parts import load_chain, save_parts

x = torch.load("x.pt")
for client in ("one", "two"):
    model = build()
    chain = load_chain(model, client, weights="weights.safetensors")
    found = x
    for _, part in chain:
        found = part.eval()(found)
    torch.save(found, f"{client}.pt")
    save_parts(f"trained/{client}", [part for _, part in chain])
assert not any(name.partition(".")[0] == "splitopt" for name in sys.modules)
"""


@pytest.mark.slow
def test_from_profile_to_export(tmp_path):
    """BERT through every step, the wire with processes of its own; the export runs alone."""
    import splitopt
    from splitopt.export.merging import merge_parts
    from splitopt.plans import Plan

    steps = importlib.import_module("benchmarks.models.steps")
    family = FAMILIES["BERT"]
    outcome = steps.run(family, tmp_path)
    assert outcome.reasons == {}
    assert outcome.done == dict.fromkeys(steps.STEPS, True)
    assert (outcome.method, outcome.difference) == ("export", 0.0)

    target = family.write(tmp_path)
    run = splitopt.train(
        tmp_path / "plan.json", target, str(tmp_path / "data.npz"), task=family.task, rounds=1
    )
    run.save_model(tmp_path / "trained.safetensors")
    folder, weights = tmp_path / "alone", tmp_path / "trained.safetensors"
    plan = Plan.load(tmp_path / "plan.json")
    splitopt.export_plan(plan, folder, model=target, weights=weights)
    x = batch("BERT", 5)
    torch.save(x, folder / "x.pt")
    subprocess.run([sys.executable, "-c", ALONE], cwd=folder, check=True, env=os.environ)
    expected = run.model.eval()(x).logits
    for client in ("one", "two"):
        assert torch.equal(torch.load(folder / f"{client}.pt"), expected)
    merged = merge_parts(folder, trained=folder / "trained")
    for name, value in run.model.state_dict().items():
        assert torch.equal(merged.state[name], value)
