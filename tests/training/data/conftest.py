"""Tiny files in the formats of the known data sets."""

from __future__ import annotations

import gzip
import json
import struct

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")


def idx_bytes(values):
    """Write an array of bytes as MNIST's format says: a header of the shape, then the values."""
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


@pytest.fixture
def idx_arrays():
    """Images and labels by file name."""
    rng = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (12, 4, 5)),
        "train-labels-idx1-ubyte": np.arange(12) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (3, 4, 5)),
        "t10k-labels-idx1-ubyte": np.array([9, 0, 4]),
    }


@pytest.fixture
def idx_folder(tmp_path, idx_arrays):
    """Make a folder with the four files, two of them packed."""
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for name, values in idx_arrays.items():
        if "train" in name:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(values)))
        else:
            (folder / name).write_bytes(idx_bytes(values))
    return folder


@pytest.fixture
def cifar_images():
    """Six batches of three images (3, 32, 32) with labels: five to train, one to test."""
    rng = np.random.default_rng(1)
    return [(rng.integers(0, 256, (3, 3, 32, 32)), rng.integers(0, 10, 3)) for _ in range(6)]


CIFAR_NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@pytest.fixture
def cifar_binary(tmp_path, cifar_images):
    """Write the original binary batches."""
    folder = tmp_path / "binary"
    folder.mkdir()
    for name, (images, labels) in zip(CIFAR_NAMES, cifar_images, strict=True):
        records = np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1)
        (folder / f"{name}.bin").write_bytes(records.astype(np.uint8).tobytes())
    return folder


@pytest.fixture
def cifar_strips(tmp_path, cifar_images):
    """PNG files with an image in every row, and labels in JSON."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "strips"
    folder.mkdir()
    for name, (images, _) in zip(CIFAR_NAMES, cifar_images, strict=True):
        rows = images.transpose(0, 2, 3, 1).reshape(len(images), 1024, 3).astype(np.uint8)
        image.fromarray(rows).save(folder / f"{name}.png")
    labels = [labels.tolist() for _, labels in cifar_images]
    (folder / "train_lables.json").write_text(json.dumps(np.concatenate(labels[:5]).tolist()))
    (folder / "test_lables.json").write_text(json.dumps(labels[5]))
    return folder
