"""Plans as configurations of Plato: of the documented form, and refused where Plato cannot."""

from __future__ import annotations

import tomllib

import pytest
from pydantic import ValidationError

from splitopt import CapabilityError, Scenario, plan
from splitopt.export import export_plan, import_plan
from splitopt.export.plato import LAYERS, toml_of
from splitopt.export.plato_form import PlatoConfig


def fleet(devices=3, **changes):
    """Return a plan's scenario of alike devices with Plato's LeNet-5."""
    document = Scenario.load("digits-splitfed").to_dict()
    device = {**document["devices"][0], "name": "pi", "samples": 600, "batch_size": 32}
    document |= {
        "model": "lenet5-fashion-mnist",
        "devices": [{**device, "count": devices}],
        "data": {"source": "fashion-mnist"},
        "training": {"epochs": 2, "rounds": 5},
    }
    return Scenario.from_dict(document | changes)


def written(folder, scenario, scheme):
    made = plan(scenario, problem="common_cut", objective=scheme)
    export_plan(made, folder, to="plato")
    assert import_plan(folder) == made
    config = tomllib.loads((folder / "config.toml").read_text())
    assert PlatoConfig.model_validate(config)
    return made, config


def test_federated_averaging_is_what_the_plan_says(tmp_path):
    """All clients in each round, with the plan's samples, batches, epochs and rounds."""
    _, config = written(tmp_path / "out", fleet(), "federated")
    assert config == {
        "clients": {"type": "simple", "total_clients": 3, "per_round": 3, "do_test": False},
        "server": {
            **{"type": "fedavg", "address": "127.0.0.1", "port": 8000},
            **{"random_seed": 1, "do_test": True},
        },
        "data": {
            **{"datasource": "FashionMNIST", "sampler": "iid"},
            **{"partition_size": 600, "random_seed": 1},
        },
        "trainer": {
            **{"type": "basic", "rounds": 5, "epochs": 2, "batch_size": 32},
            **{"optimizer": "SGD", "model_name": "lenet5"},
        },
        "algorithm": {"type": "fedavg"},
        "parameters": {"model": {"num_classes": 10}, "optimizer": {"lr": 0.01}},
    }


def test_split_learning_of_one_client_cuts_where_the_plan_does(tmp_path):
    """A turn is 2 epochs of 19 mini-batches and the weights, each a round of Plato's."""
    made, config = written(tmp_path / "out", fleet(devices=1), "vanilla")
    cut = made.profile["layers"][made.decision["cut"] - 1]
    assert config["parameters"]["model"]["cut_layer"] == LAYERS[cut]
    assert config["clients"]["iteration"] == 2 * 19
    assert config["trainer"]["rounds"] == 5 * (2 * 19 + 1)
    kinds = {config[name]["type"] for name in ("clients", "server", "trainer", "algorithm")}
    assert kinds == {"split_learning"}
    assert config["algorithm"]["split_learning"] is True


def test_partitions_are_its_samplers(tmp_path):
    """Dirichlet is Plato's noniid with a concentration."""
    data = {"source": "mnist", "partition": "dirichlet:0.3"}
    _, config = written(tmp_path / "out", fleet(data=data), "federated")
    assert config["data"]["datasource"] == "MNIST"
    assert (config["data"]["sampler"], config["data"]["concentration"]) == ("noniid", 0.3)


@pytest.mark.parametrize(
    ("scenario", "scheme", "words"),
    [
        (fleet(), "vanilla", "keeps one for each of 3 clients, which trains another model"),
        (fleet(), "splitfed_v2", "is trained by splitfed_v2, and Plato has federated averaging"),
        (fleet(model="cnn-fashion-mnist"), "federated", "the model is 'cnn-fashion-mnist'"),
        (fleet(data={"source": "digits"}), "federated", "data.source: is 'digits'"),
        (
            fleet(data={"source": "mnist", "partition": "classes:2"}),
            "federated",
            "data.partition: is 'classes:2', and Plato shares out by iid or dirichlet:ALPHA",
        ),
    ],
)
def test_what_plato_cannot_do_is_refused_by_name(tmp_path, scenario, scheme, words):
    """Never approximated, and nothing is written."""
    made = plan(scenario, problem="common_cut", objective=scheme)
    with pytest.raises(CapabilityError) as caught:
        export_plan(made, tmp_path / "out", to="plato")
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_unlike_clients_are_refused_by_name(tmp_path):
    """Plato states samples and batch once for all."""
    one = fleet().to_dict()["devices"][0] | {"count": 1}
    other = {**one, "name": "nano", "samples": 500}
    made = plan(fleet(devices=1, **{}).model_copy(), problem="common_cut", objective="federated")
    assert made.is_feasible
    scenario = Scenario.from_dict(fleet().to_dict() | {"devices": [one, other]})
    made = plan(scenario, problem="common_cut", objective="federated")
    with pytest.raises(CapabilityError, match="samples is 600 for pi and 500 for nano"):
        export_plan(made, tmp_path / "out", to="plato")


VALID = {
    "clients": {"type": "simple", "total_clients": 2, "per_round": 2, "do_test": False},
    "server": {
        **{"type": "fedavg", "address": "127.0.0.1", "port": 8000},
        **{"random_seed": 1, "do_test": True},
    },
    "data": {"datasource": "MNIST", "sampler": "iid", "partition_size": 6, "random_seed": 1},
    "trainer": {
        **{"type": "basic", "rounds": 5, "epochs": 2, "batch_size": 32},
        **{"optimizer": "SGD", "model_name": "lenet5"},
    },
    "algorithm": {"type": "fedavg"},
    "parameters": {"model": {"num_classes": 10}, "optimizer": {"lr": 0.01}},
}


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("clients", {"totalclients": 2}),
        ("clients", {"per_round": 3}),
        ("clients", {"type": "split_learning"}),
        ("server", {"port": 0}),
        ("data", {"sampler": "noniid"}),
        ("data", {"concentration": 0.5}),
        ("trainer", {"epochs": 0}),
        ("trainer", {"model_name": "lenet"}),
    ],
)
def test_the_form_refuses_what_the_documentation_does_not_have(section, changes):
    """A misspelt field, a number out of range, and fields that do not belong together."""
    assert PlatoConfig.model_validate(VALID)
    with pytest.raises(ValidationError):
        PlatoConfig.model_validate(VALID | {section: VALID[section] | changes})


def test_toml_is_read_back_as_it_was():
    """Texts that need escapes, sections in sections, and an empty one in between."""
    data = {"a": {"text": 'a "b" \\ c\n é', "b": {"c": {"deep": 1.5, "on": True}}}, "z": {"k": -1}}
    assert tomllib.loads(toml_of(data)) == data
