"""Files with random damage are read or refused in one sentence; nothing else comes out of them."""

from __future__ import annotations

import gzip
import struct
import zlib

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.training.data import load_data


def damaged(content, rng):
    """Change, take out or put in some bytes, in the header more often than elsewhere."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        end = min(len(found), 120) if rng.random() < 0.6 else len(found)
        place, some = int(rng.integers(end)), bytes(rng.integers(0, 256, 4).tolist())
        match rng.integers(3):
            case 0:
                found[place : place + 1] = some[:1]
            case 1:
                del found[place : place + 4]
            case 2:
                found[place:place] = some
    return bytes(found)


def with_sums(png):
    """Write the checksums of a PNG file anew, so that damage gets past them."""
    found, place = bytearray(png[:8]), 8
    while place + 12 <= len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        if place + 12 + size > len(png):
            break
        chunk = png[place + 4 : place + 8 + size]
        found += png[place : place + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        place += 12 + size
    return bytes(found + png[place:])


def check(path, source, content, repair=lambda damage: damage):
    rng = np.random.default_rng(0)
    refused = []
    for turn in range(60):
        damage = damaged(content, rng)
        path.write_bytes(repair(damage) if turn % 2 else damage)
        try:
            load_data(source)
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not any("\n" in message for message in refused)


@pytest.mark.parametrize("packed", [False, True])
def test_idx(idx_folder, packed):
    path = idx_folder / ("train-images-idx3-ubyte.gz" if packed else "t10k-labels-idx1-ubyte")
    content = path.read_bytes()
    check(path, idx_folder, content, lambda damage: damage if not packed else gzip.compress(damage))


def test_strips(cifar_strips):
    path = cifar_strips / "data_batch_4.png"
    check(path, cifar_strips, path.read_bytes(), with_sums)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_npz(tmp_path, write):
    path = tmp_path / "data.npz"
    write(path, x=np.random.default_rng(0).normal(size=(20, 2)), y=np.arange(20) % 2)
    check(path, path, path.read_bytes())


def test_labels_far_beyond_the_samples_are_refused(tmp_path):
    """A model has an output for every class up to the largest label."""
    x = np.zeros((6, 2), np.float32)
    for label in (2**30, 100_000):
        np.savez(tmp_path / "a.npz", x=x, y=np.array([0, 1, 0, 1, 0, label]))
        with pytest.raises(InputError, match=f"has the label {label}, .* at most 100000"):
            load_data(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=x, y=np.array([0, 1, 0, 1, 0, 99_999]))
    assert load_data(tmp_path / "a.npz").classes == 100_000


def test_a_single_number_is_no_samples(tmp_path):
    """An array of no dimension has no length."""
    np.savez(tmp_path / "a.npz", x=np.float32(1), y=np.array([0]))
    with pytest.raises(InputError, match="a, x: is a single number; give an array of samples"):
        load_data(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["x" * 140_000, "a\0b.npz", "/dev/null/x.npz"])
def test_paths_that_are_none_are_refused(name):
    """In one sentence of bounded length."""
    with pytest.raises(InputError) as caught:
        load_data(name)
    assert len(str(caught.value)) <= 1000
