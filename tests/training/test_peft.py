"""Models of peft: taken as they are, and the same as our adapters with their numbers."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
peft = pytest.importorskip("peft", reason="needs the extra 'peft'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.models import add_adapters, merge_adapters  # noqa: E402
from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402

pytestmark = pytest.mark.train

T = 8
TARGETS = ["qkv", "proj"]


def small():
    torch.manual_seed(0)
    return GPT(T, 256, width=16, heads=2, layers=3)


def both():
    """Build a network with adapters by peft and by us, with the same numbers in A and B."""
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=TARGETS)
    theirs = peft.get_peft_model(small(), config)
    ours = add_adapters(small(), 2, alpha=6, targets=TARGETS)
    torch.manual_seed(1)
    inside = dict(theirs.base_model.model.named_parameters())
    with torch.no_grad():
        for name, value in ours.named_parameters():
            if "lora_" in name:
                other = inside[name.replace(".weight", ".default.weight")]
                value.copy_(other.normal_(0, 0.1))
    return theirs, ours


def ids(samples=3):
    torch.manual_seed(2)
    return torch.randint(0, 256, (samples, T))


def test_outputs_gradients_and_merged_weights_are_the_same():
    theirs, ours = both()
    one, two = theirs(ids()), ours(ids())
    assert torch.equal(one, two)
    one.square().sum().backward()
    two.square().sum().backward()
    found = {n: p.grad for n, p in ours.named_parameters() if p.requires_grad}
    inside = dict(theirs.base_model.model.named_parameters())
    assert len(found) == 2 * 2 * 3
    for name, gradient in found.items():
        assert torch.equal(gradient, inside[name.replace(".weight", ".default.weight")].grad)
    merged = theirs.merge_and_unload().state_dict()
    for name, value in merge_adapters(ours).state_dict().items():
        torch.testing.assert_close(value, merged[name])


def test_a_model_of_peft_has_the_profile_of_ours():
    one, two = (trace(model, ids(2), name="gpt", keep_all=True) for model in both())
    assert one.method == two.method == "fx"
    assert one.split.difference == 0
    assert one.profile.layers == two.profile.layers
    for name, column in two.profile.columns.items():
        assert list(one.profile.columns[name]) == list(column), name


def test_a_model_of_peft_is_trained_as_ours(tmp_path):
    theirs, ours = both()
    before = copy.deepcopy(theirs.state_dict())
    file = tmp_path / "gpt.json"
    trace(theirs, ids(2), name="gpt").profile.save(file)
    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": str(file)}}
    document["devices"] = [
        {"name": "a", "count": 2, "compute": "2 GFLOP/s", "samples": 24, "batch_size": 8}
    ]
    plan = splitopt.plan(Scenario.from_dict(document))
    given = {"data": f"text:descriptions:{T}", "task": "language", "rounds": 2}
    one, two = (splitopt.train(plan, model, **given) for model in (theirs, ours))
    assert one.history.rows[-1].traffic_bytes == two.history.rows[-1].traffic_bytes
    found = one.model.state_dict()
    renamed = {
        name.replace(".default", "").replace("base_layer", "base"): value
        for name, value in found.items()
    }
    for name, value in two.model.state_dict().items():
        assert torch.equal(renamed[name], value), name
    assert all(torch.equal(value, before[name]) for name, value in theirs.state_dict().items())
    theirs.get_base_model().load_state_dict(found)
    assert isinstance(theirs.merge_and_unload(), nn.Module)


def test_a_sequential_of_peft_is_cut_between_its_layers():
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model = peft.get_peft_model(network, peft.LoraConfig(r=2, target_modules=["0", "2"]))
    found = trace(model, torch.randn(2, 4), keep_all=True)
    assert found.method == "sequential"
    assert list(found.profile.device_model_bytes) == [4 * 2 * 12, 4 * 2 * 12, 4 * 2 * (12 + 11)]
    assert found.profile.gradient_bytes[0] == 4 * 8


def of_transformers(name):
    """Build a small model of `transformers` with adapters of peft, A and B drawn."""
    transformers = pytest.importorskip("transformers", reason="needs the extra 'huggingface'")
    torch.manual_seed(0)
    if name == "GPT-2":  # its layers are Conv1D, the weight the other way round
        config = transformers.GPT2Config(
            n_embd=16, n_layer=2, n_head=2, vocab_size=256, n_positions=T,
            bos_token_id=0, eos_token_id=0, tie_word_embeddings=False,
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config)
        asked = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    else:
        config = transformers.LlamaConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, vocab_size=256, max_position_embeddings=T,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config)
        asked = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
    found = peft.get_peft_model(model, asked)
    with torch.no_grad():
        for key, value in found.named_parameters():
            if "lora_" in key:
                value.normal_(0, 0.1)
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks
@pytest.mark.parametrize(("name", "width"), [("GPT-2", 48), ("Llama", 16)])
def test_a_model_of_transformers_with_adapters_of_peft_learns_split_what_it_learns_whole(
    tmp_path, name, width
):
    """Split as in federated learning, bit for bit, and what is frozen stays so.

    A rank of 2 on a layer of 16 inputs: 2 (16 + outputs) numbers of 4 bytes travel for it.
    """
    model = of_transformers(name)
    file = tmp_path / "model.json"
    trace(model, ids(2), name="small").profile.save(file)
    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": str(file)}}
    document["devices"] = [
        {"name": "a", "count": 2, "compute": "2 GFLOP/s", "samples": 16, "batch_size": 8}
    ]
    document["links"] = {"downlink": "2 Gbit/s", "uplink": "2 Gbit/s"}
    plan = splitopt.plan(Scenario.from_dict(document))
    given = {"data": f"text:descriptions:{T}", "task": "language", "rounds": 2}
    split = splitopt.train(plan, model, **given)
    whole = splitopt.train(plan, model, scheme="federated", **given)
    rows, models = 2 * 2, 2  # of devices and rounds; there and back
    layers = 2 * (2 if name == "Llama" else 1)
    sent = whole.history.traffic_bytes()
    moved = sent["model_down"] + sent["model_up"]
    assert moved == rows * models * layers * 2 * (16 + width) * 4
    before = model.get_base_model().state_dict()
    learned = split.model.state_dict()
    assert learned.keys() == whole.model.state_dict().keys()
    for key, value in whole.model.state_dict().items():
        assert torch.equal(learned[key], value), key
        assert torch.equal(value, before[key]) == ("lora_" not in key), key
