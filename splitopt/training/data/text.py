"""Text as tokens for next-token training: bytes, in runs of one length."""

from __future__ import annotations

import importlib
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from splitopt.documents.reading import read_bytes
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.training.data.dataset import TEST_SHARE, DataSet
from splitopt.training.tasks.known import LANGUAGE

NAME = "text"
DEFAULT_LENGTH = 128
"""Tokens of a sample, those that the shipped ``gpt`` takes by default."""
SYMBOLS = 256
"""Tokens are bytes."""


def load_text(given: str) -> DataSet:
    """Read a text as ``text``, ``text:NAME``, ``text:FILE`` or these with ``:TOKENS`` behind.

    Names are ``python``, the documentation that Python ships (``pydoc_data.topics``, PSF License
    2.0, also for ``text`` alone), and ``descriptions``, those of scikit-learn's data sets (BSD
    3-Clause). A file is taken byte for byte, whatever it holds.

    Returns
    -------
    DataSet
        Inputs and targets of shape (n, TOKENS), int64: the target of each byte is the byte behind
        it. The last fifth of the samples is for testing.

    Raises
    ------
    InputError
        No such text, no length, or a text that is too short for it.
    """
    name, length = _parts(given)
    content = _content(name)
    count = (len(content) - 1) // length
    tests = round(TEST_SHARE * count)
    if tests < 1:
        raise InputError.at(
            f"{NAME}:{name}",
            f"has {len(content)} bytes, too few for samples of {length} tokens to train and to "
            "test; take shorter ones, or a longer text",
        )
    tokens = torch.from_numpy(np.frombuffer(content, dtype=np.uint8).astype(np.int64))
    inputs = tokens[: count * length].reshape(count, length)
    targets = tokens[1 : count * length + 1].reshape(count, length)
    return DataSet(
        f"{NAME}:{name}",
        inputs[:-tests].clone(),
        targets[:-tests].clone(),
        inputs[-tests:].clone(),
        targets[-tests:].clone(),
        classes=SYMBOLS,
        scaling="bytes as tokens",
        targets=LANGUAGE.targets,
    )


def _parts(given: str) -> tuple[str, int]:
    """Return the name or the path, and the tokens of a sample."""
    rest = given.removeprefix(NAME).removeprefix(":")
    name, colon, last = rest.rpartition(":")
    if not colon:
        name, last = ("", rest) if rest.isdecimal() else (rest, "")
    elif not last.isdecimal():
        name, last = rest, ""
    if last and (len(last) > 9 or int(last) < 1):
        raise InputError.at(
            "data", f"{shown(given)} has samples of {shown(last)} tokens; give 1 or more"
        )
    return name or "python", int(last) if last else DEFAULT_LENGTH


def _content(name: str) -> bytes:
    if name in _TEXTS:
        return _TEXTS[name]()
    if not Path(name).is_file():
        raise InputError.at(
            "data",
            f"there is no text {shown(name)}{did_you_mean(name, _TEXTS) or ';'} give "
            f"{' or '.join(f'{NAME}:{known}' for known in _TEXTS)}, or {NAME}: and the path of a "
            "file",
        )
    return read_bytes(name)


def _python() -> bytes:
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        raise InputError.at(
            f"{NAME}:python",
            "is not there: this Python came without its documentation; take text:descriptions, or "
            "text: and the path of a file",
        ) from None
    return "\n".join(topics[name] for name in sorted(topics)).encode()


def _descriptions() -> bytes:
    folder = resources.files("sklearn.datasets") / "descr"
    files = sorted(item.name for item in folder.iterdir() if item.name.endswith(".rst"))
    return b"\n".join((folder / name).read_bytes() for name in files)


_TEXTS = {"python": _python, "descriptions": _descriptions}
