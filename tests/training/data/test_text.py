"""Text as tokens: by bytes, each with the byte behind it as its target."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.tasks.known import LANGUAGE  # noqa: E402

pytestmark = pytest.mark.train


def text(source):
    return load_data(source, targets=LANGUAGE.targets)


def test_a_file_by_hand(tmp_path):
    """21 bytes: five samples of four, of which a fifth, the last one, is for testing."""
    file = tmp_path / "letters.txt"
    file.write_bytes(bytes(range(20)) + b"\xff")
    found = text(f"text:{file}:4")
    assert found.train_inputs.tolist() == [[4 * k + i for i in range(4)] for k in range(4)]
    assert found.test_inputs.tolist() == [[16, 17, 18, 19]]
    assert found.test_targets.tolist() == [[17, 18, 19, 255]]
    assert torch.equal(found.train_targets, found.train_inputs + 1)
    assert (found.classes, found.shape) == (256, (4,))
    assert found.train_inputs.dtype == torch.int64


def test_shipped_texts_are_those_of_the_packages():
    import sklearn

    found = text("text:descriptions:32")
    folder = Path(sklearn.__file__).parent / "datasets" / "descr"
    content = b"\n".join(file.read_bytes() for file in sorted(folder.glob("*.rst")))
    joined = bytes(torch.cat([found.train_inputs, found.test_inputs]).flatten().tolist())
    assert joined == content[: len(joined)]
    assert len(content) - len(joined) <= 32 + 1

    pytest.importorskip("pydoc_data.topics")
    python = text("text:64")
    assert python.name == "text:python"
    assert b"The Python" in bytes(python.train_inputs.flatten().tolist())
    assert text("text").shape == (128,)
    assert text("text:python:64").digest() == python.digest()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("text:pyhton", "no text 'pyhton'; did you mean 'python'?"),
        ("text:nothing.txt:8", "no text 'nothing.txt'"),
        ("text:descriptions:0", "samples of '0' tokens; give 1 or more"),
        ("text:descriptions:9999999999", "tokens; give 1 or more"),
        ("text:descriptions:99999", "too few for samples of 99999 tokens"),
    ],
)
def test_what_is_no_text_is_refused(source, words):
    with pytest.raises(InputError) as caught:
        text(source)
    assert words in str(caught.value)


def test_the_task_must_be_named():
    with pytest.raises(InputError, match="name the task that the data are for"):
        load_data("text:descriptions:16")


def test_a_short_file_is_refused(tmp_path):
    file = tmp_path / "short"
    file.write_bytes(b"four")
    with pytest.raises(InputError, match="has 4 bytes, too few"):
        text(f"text:{os.fspath(file)}:4")
