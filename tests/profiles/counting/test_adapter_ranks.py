"""Profiles at another rank of their adapters, and records of ranks that are refused."""

from __future__ import annotations

import copy

import pytest

from splitopt import InputError, ModelProfile
from splitopt.models.adapters.choice import Adapters
from splitopt.profiles.counting.adapter_ranks import at_rank
from splitopt.profiles.counting.sample_gradients import with_sample_gradients
from splitopt.profiles.table.adapter_ranks import AdapterRanks

DOCUMENT = {
    "format": "splitopt-profile",
    "version": 1,
    "name": "two",
    "layers": ["one", "two"],
    "smashed_bytes": [64, 0],
    "gradient_bytes": [64, 0],
    "device_forward_flop": [140.0, 1000.0],
    "device_backward_flop": [280.0, 2000.0],
    "server_forward_flop": [860.0, 0.0],
    "server_backward_flop": [1720.0, 0.0],
    "device_model_bytes": [160.0, 480.0],
    "device_memory_per_sample_bytes": [90.0, 200.0],
    "layer_trained_bytes": [160.0, 320.0],
    "work_unit": "FLOP",
    "provenance": {"kind": "computed", "source": "by hand"},
    "trace": {"method": "sequential", "adapters": {"rank": 4, "alpha": 8.0, "targets": ["x"]}},
    "adapter_ranks": {
        "rank": 4,
        "most": 6,
        "per_rank": {
            "device_forward_flop": [10.0, 30.0],
            "device_backward_flop": [20.0, 60.0],
            "server_forward_flop": [20.0, 0.0],
            "server_backward_flop": [40.0, 0.0],
            "device_model_bytes": [40.0, 120.0],
            "layer_trained_bytes": [40.0, 80.0],
            "device_memory_per_sample_bytes": [2.0, 5.0],
        },
    },
}


def profile():
    return ModelProfile.from_dict(copy.deepcopy(DOCUMENT), "two")


def test_the_factor_of_the_product_stays():
    """Alpha over rank is 2 at every rank, and the seed and targets are the same."""
    found = at_rank(profile(), 6)
    assert found.trace.adapters == Adapters(6, 12.0, ("x",))
    assert found.trace.adapters.scale == profile().trace.adapters.scale == 2.0
    assert found.device_model_bytes.tolist() == [240.0, 720.0]
    assert found.gradient_bytes.tolist() == [64, 0]


def test_gradients_of_each_sample_at_another_rank():
    """What they add is that of the adapters' own rank, whichever comes first."""
    for rank in (1, 4, 6):
        first = at_rank(with_sample_gradients(profile()), rank)
        second = with_sample_gradients(at_rank(profile(), rank))
        for name, column in second.columns.items():
            assert first.columns[name].tolist() == pytest.approx(column.tolist()), name
    assert at_rank(profile(), 2).device_backward_flop[0] == 240.0


def test_ranks_that_there_are_not():
    with pytest.raises(InputError, match="adapters of rank 7 are too large for 'two', whose small"):
        at_rank(profile(), 7)
    document = {key: value for key, value in DOCUMENT.items() if key != "adapter_ranks"}
    with pytest.raises(InputError, match="does not say what a rank of adapters costs; profile the"):
        at_rank(ModelProfile.from_dict(document, "two"), 2)


BAD = [
    ({"rank": 0}, "adapter_ranks.rank: is 0, it must be a whole number >= 1"),
    ({"rank": True}, "adapter_ranks.rank: is True"),
    ({"rank": 7}, "adapter_ranks.rank: is 7, above most"),
    ({"most": "6"}, "adapter_ranks.most: is '6'"),
    ({"per_rank": [1]}, "adapter_ranks.per_rank"),
    ({"per_rank": {"speed": [1, 2]}}, "per_rank.speed: is no column that the profile has"),
    ({"per_rank": {"device_model_bytes": [1]}}, "there are 2 layers"),
    ({"per_rank": {"device_model_bytes": [-1, 2]}}, "give a finite number that is 0 or more"),
    ({"per_rank": {"device_model_bytes": [90, 2]}}, "makes the column negative at rank 1"),
    ({"ranks": 3}, "ranks"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_bad_records_are_refused(change, words):
    document = copy.deepcopy(DOCUMENT)
    document["adapter_ranks"] |= change
    with pytest.raises(InputError) as error:
        ModelProfile.from_dict(document, "two")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_record_is_read_back():
    record = profile().adapter_ranks
    again = AdapterRanks.from_dict(record.to_dict())
    assert again.to_dict() == record.to_dict()
