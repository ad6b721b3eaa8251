"""The nearest known name."""

import time

import pytest

from splitopt.documents.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "nearest"),
    [
        ("exakt", ["enumerate", "exact"], "exact"),
        ("Exact", ["enumerate", "exact"], "exact"),
        ("batchsize", ["batch_size", "samples"], "batch_size"),
        ("batch-size", ["batch_size", "samples"], "batch_size"),
        ("link", ["links", "nodes"], "links"),
        ("up", ["downlink", "uplink"], "uplink"),
        (
            "resnet-18",
            ["dp-mora-resnet18", "resnet18-imagenet", "resnet34-imagenet"],
            "resnet18-imagenet",
        ),
        (
            "ResNet 34",
            ["dp-mora-resnet34", "resnet18-imagenet", "resnet34-imagenet"],
            "resnet34-imagenet",
        ),
        ("resnet19", ["dp-mora-resnet18", "resnet18-imagenet"], "resnet18-imagenet"),
        ("dpmora", ["cpsl-identical", "dp-mora-resnet18"], "dp-mora-resnet18"),
        ("cvxpy:gurobi", ["cvxpy:SCIP", "cvxpy:GUROBI"], "cvxpy:GUROBI"),
    ],
)
def test_a_slip_of_the_pen_finds_its_name(name, known, nearest):
    assert did_you_mean(name, known) == f"; did you mean {nearest!r}?"


@pytest.mark.parametrize("name", ["zzz", "", None, 3, ["exact"]])
def test_what_is_like_nothing_gets_no_suggestion(name):
    assert did_you_mean(name, ["exact", "enumerate"]) == ""


def test_a_text_of_a_million_letters_costs_nothing():
    began = time.process_time()
    assert did_you_mean("exact" * 200_000, ["exact"]) == ""
    assert time.process_time() - began < 1.0
