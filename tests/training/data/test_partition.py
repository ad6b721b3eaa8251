"""Properties of partitions: disjoint, of the sizes asked for, with the classes asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitopt.errors import InputError
from splitopt.training.data.partition import partition, save_partition, share_out


def labels_of(counts, seed=0):
    """Labels with so many of each class, in random order."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return torch.from_numpy(np.random.default_rng(seed).permutation(labels))


def check_disjoint(parts, n):
    rows = torch.cat(parts)
    assert len(rows.unique()) == len(rows)
    assert int(rows.min()) >= 0
    assert int(rows.max()) < n


counts = st.lists(st.integers(10, 60), min_size=2, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    counts,
    st.integers(1, 6),
    st.sampled_from(["iid", "dirichlet:0.1", "dirichlet:10", "random"]),
    st.integers(0, 99),
    st.data(),
)
def test_iid_and_dirichlet_give_the_sizes_asked_for(found, clients, how, seed, data):
    targets = labels_of(found)
    most = sum(found) // clients
    sizes = data.draw(st.lists(st.integers(1, most), min_size=clients, max_size=clients))
    parts = partition(targets, sizes, how, seed)
    assert [len(own) for own in parts] == sizes
    check_disjoint(parts, len(targets))
    again = partition(targets, sizes, how, seed)
    assert all(torch.equal(a, b) for a, b in zip(parts, again, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    counts,
    st.integers(1, 8),
    st.sampled_from(["iid", "dirichlet:0.3", "random"]),
    st.integers(0, 99),
)
def test_all_samples_in_proportion(found, clients, how, seed):
    targets = labels_of(found)
    sizes = list(range(10, 10 + clients))
    parts = partition(targets, sizes, how, seed, samples="data")
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(len(targets)))
    for own, size in zip(parts, sizes, strict=True):
        assert abs(len(own) - len(targets) * size / sum(sizes)) < 1


@settings(max_examples=80, deadline=None)
@given(counts, st.integers(1, 3), st.integers(1, 8), st.integers(0, 99), st.data())
def test_classes_are_exact(found, per_client, clients, seed, data):
    targets = labels_of(found)
    per_client = min(per_client, len(found))
    # Even if all clients draw the same classes, the smallest class has enough for all.
    most = max(per_client, min(found) // clients * per_client)
    sizes = data.draw(st.lists(st.integers(per_client, most), min_size=clients, max_size=clients))
    parts = partition(targets, sizes, f"classes:{per_client}", seed)
    assert [len(own) for own in parts] == sizes
    check_disjoint(parts, len(targets))
    for own in parts:
        each = targets[own].bincount()
        each = each[each > 0]
        assert len(each) == per_client
        assert int(each.max() - each.min()) <= 1


def test_classes_are_drawn_at_random():
    targets = labels_of([6000] * 10)
    seen = np.zeros(10)
    for seed in range(40):
        for own in partition(targets, [180] * 30, "classes:3", seed):
            seen[targets[own].unique().numpy()] += 1
    expected = 40 * 30 * 3 / 10
    chi_square = float(((seen - expected) ** 2 / expected).sum())
    assert chi_square < 27.9  # 0.999 quantile with 9 degrees of freedom


def test_classes_fill_data_to_the_last_sample():
    """Where only an even use of classes comes out, it is found: 5 x 2 classes of 10 with 6 each."""
    targets = labels_of([6] * 10)
    for seed in range(20):
        parts = partition(targets, [12] * 5, "classes:2", seed)
        assert torch.equal(torch.cat(parts).sort().values, torch.arange(60))
        assert [len(targets[own].unique()) for own in parts] == [2] * 5


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_classes_of_all_samples(classes, clients, per_client, seed):
    targets = labels_of([30] * classes)
    per_client = min(per_client, classes)
    parts = partition(targets, [5] * clients, f"classes:{per_client}", seed, samples="data")
    check_disjoint(parts, len(targets))
    assert [len(targets[own].unique()) for own in parts] == [per_client] * clients
    held = torch.cat(parts)
    for label in targets[held].unique():  # a class that somebody has is shared out whole
        assert int((targets[held] == label).sum()) == 30


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 99))
def test_blocks_are_those_of_iotsl(clients, blocks, seed):
    targets = labels_of([60] * 10)
    parts = partition(targets, [1] * clients, f"blocks:{blocks}", seed, samples="data")
    check_disjoint(parts, len(targets))
    for own in parts:
        each = targets[own].bincount(minlength=10)
        assert sorted(each.tolist(), reverse=True) == [60 // clients] * blocks + [0] * (10 - blocks)
    exact = partition(targets, [blocks * 7] * clients, f"blocks:{blocks}", seed)
    assert [len(own) for own in exact] == [blocks * 7] * clients


def test_blocks_of_two_classes_stand_on_one_device_each():
    """IoTSL section V-F, first setting: five devices with two classes of their own."""
    targets = labels_of([60] * 10)
    parts = partition(targets, [1] * 5, "blocks:2", 0, samples="data")
    classes = [set(targets[own].tolist()) for own in parts]
    assert sum(len(own) for own in classes) == len(set.union(*classes)) == 10


def test_small_concentration_means_few_classes():
    targets = labels_of([600] * 10)
    held = {
        how: np.mean([len(targets[own].unique()) for own in partition(targets, [50] * 20, how, 0)])
        for how in ("dirichlet:0.01", "dirichlet:0.5", "dirichlet:1000")
    }
    assert held["dirichlet:0.01"] < 2.5 < held["dirichlet:0.5"] < 9 < held["dirichlet:1000"]


def test_seeds_differ():
    targets = labels_of([50] * 4)
    for how in ("iid", "classes:2", "dirichlet:1", "blocks:2"):
        one, other = (partition(targets, [20] * 3, how, seed)[0] for seed in (0, 1))
        assert not torch.equal(one, other), how


def test_file_is_read_as_it_was_written(tmp_path):
    targets = labels_of([20] * 3)
    parts = partition(targets, [4, 5, 6], "dirichlet:1", 0)
    path = tmp_path / "parts.json"
    save_partition(path, parts)
    read = partition(targets, [4, 5, 6], f"file:{path}", 0)
    assert all(torch.equal(a, b) for a, b in zip(parts, read, strict=True))
    assert [len(own) for own in partition(targets, [1] * 3, f"file:{path}", 0, samples="data")] == [
        4,
        5,
        6,
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": [1]}, "must be a list"),
        ([[0, 1], 2], "must be a list"),
        ([[0, 1]], "1 clients, the plan 2"),
        ([[0, 1], []], "has no row"),
        ([[0, 1], [2, 60]], "60 is not a row"),
        ([[0, 1], [2, -1]], "-1 is not a row"),
        ([[0, 1], [2, True]], r"\[1\]\[1\]: is True; it must be a whole number"),
        ([[0, 1], [2, 1]], "already client 0's"),
        ([[0, 1], [2, 3, 4]], "3 rows where the plan has 2"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, words):
    path = tmp_path / "parts.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words):
        partition(labels_of([20] * 3), [2, 2], f"file:{path}", 0)


@pytest.mark.parametrize(
    ("sizes", "how", "words"),
    [
        ([30, 31], "iid", "asks for 61 samples and the data has 60; .*--samples data"),
        ([30, 31], "dirichlet:1", "--samples data"),
        ([60, 60], "classes:3", "--samples data"),
        ([40, 2], "classes:1", "--samples data"),
        ([31], "blocks:1", "--samples data"),
        ([2], "classes:3", "client 0 has 2 samples, fewer than 3 classes"),
        ([2], "blocks:3", "0 samples of class"),
        ([4], "classes:4", "more classes than the 3"),
        ([4], "blocks:4", "more classes than the 3"),
        ([4], "classes:0", "whole number >= 1"),
        ([4], "classes", "whole number >= 1"),
        ([4], "classes:x", "whole number >= 1"),
        ([4], "dirichlet:0", "0.001 to 1e6"),
        ([4], "dirichlet:nan", "0.001 to 1e6"),
        ([4], "dirichlet:", "0.001 to 1e6"),
        ([4], "iid:3", "must be iid"),
        ([4], "file:", "must be iid"),
        ([4], "odd", "must be iid"),
        ([4], "file:nowhere.json", "no such file"),
        ([], "iid", "at least one client"),
        ([4, 0], "iid", "sizes\\[1\\]"),
        ([4, True], "iid", "sizes\\[1\\]"),
    ],
)
def test_bad_requests_are_refused(sizes, how, words):
    with pytest.raises(InputError, match=words) as caught:
        partition(labels_of([20] * 3), sizes, how, 0)
    assert "\n" not in str(caught.value)


def test_nobody_goes_without_samples():
    with pytest.raises(InputError, match="client 3 gets no sample"):
        partition(labels_of([2, 2]), [100, 100, 100, 1], "iid", 0, samples="data")
    with pytest.raises(InputError, match="take fewer clients"):
        partition(labels_of([2, 2]), [1] * 9, "classes:1", 0, samples="data")


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(InputError, match=r"labels\[2\].* is 3, outside the classes 0 to 2"):
        partition(torch.tensor([0, 1, 3]), [1], "iid", 0, classes=3)
    with pytest.raises(InputError, match="outside"):
        partition(torch.tensor([0, -1]), [1], "iid", 0)
    with pytest.raises(InputError, match=r"whole numbers.*'classes:1' shares out by them"):
        partition(torch.tensor([0.5, 1.0]), [1], "classes:1", 0)


def test_targets_without_classes_are_shared_out_at_random():
    """Numbers and maps of pixels; each row once."""
    for targets in (torch.rand(9), torch.zeros(9, 4, 4, dtype=torch.int64)):
        parts = partition(targets, [4, 5], "iid", 0)
        assert sorted(torch.cat(parts).tolist()) == list(range(9))
        assert [len(own) for own in parts] == [4, 5]


@given(st.integers(0, 1000), st.lists(st.integers(1, 50), min_size=1, max_size=9))
def test_shares_sum_and_are_in_proportion(total, weights):
    found = share_out(total, weights)
    assert sum(found) == total
    for own, weight in zip(found, weights, strict=True):
        assert abs(own - total * weight / sum(weights)) < 1


def test_samples_are_those_of_the_plan_or_the_data():
    with pytest.raises(InputError, match="'all', it must be one of plan, data"):
        partition(torch.tensor([0, 1]), [1], "iid", 0, samples="all")


def test_random_draws_how_many_classes_which_and_in_which_shares():
    """With plenty of data all are equally likely; seeds are the draws A, B, C (IoTSL V-H)."""
    targets = labels_of([4000] * 5)
    numbers, holders, shares = [], np.zeros(5), []
    for seed in range(150):
        for own in partition(targets, [100] * 4, "random", seed):
            found = np.bincount(targets[own].numpy(), minlength=5)
            numbers.append(int((found > 0).sum()))
            holders += found > 0
            if numbers[-1] == 2:
                shares.append(found[found > 0][0] / 100)
    drawn = np.bincount(numbers, minlength=6)[1:]
    assert np.abs(drawn / len(numbers) - 0.2).max() < 0.06  # 3.7 deviations of 600 draws
    assert np.abs(holders / len(numbers) - 0.6).max() < 0.08  # 3 of 5 classes on average
    assert 0.4 < np.mean(shares) < 0.6
    assert np.std(shares) > 0.2  # of a uniform share: 0.29


def test_random_gives_a_sample_of_each_class_and_takes_more_where_there_is_too_little():
    """All data in all, however they are drawn."""
    targets = labels_of([5, 5, 30])
    for seed in range(20):
        parts = partition(targets, [1, 20, 19], "random", seed)
        check_disjoint(parts, 40)
        assert [len(own) for own in parts] == [1, 20, 19]
