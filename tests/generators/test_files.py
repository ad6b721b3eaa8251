"""Files of generators that are refused, each in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from safetensors.torch import save_file  # noqa: E402

from splitopt.errors import InputError  # noqa: E402
from splitopt.generators import load_generator  # noqa: E402
from splitopt.generators.sealed import write_sealed  # noqa: E402
from splitopt.generators.trained import FORMAT  # noqa: E402
from tests.generators.conftest import make  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def small(samples):
    """Return a generator of four steps."""
    return make(samples)


def refused(path, words):
    with pytest.raises(InputError, match=words) as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("labels", [], "labels: are"),
        ("labels", [2, 0, 3], "rising whole numbers from 0 to 3"),
        ("labels", [0, 2, 4], "labels: are"),
        ("labels", [0, 2.0], "labels: are"),
        ("labels", "023", "labels: are"),
        ("steps", -1, "steps: is -1"),
        ("steps", True, "steps: is True"),
        ("quality", {"0": 1.0}, "quality: is"),
        ("quality", {"0": 2.0, "2": 0, "3": 0}, "quality: is"),
        ("spec", None, "spec: is None"),
        ("spec", {"network": "small", "shape": [1, 8, 8], "classes": 4}, "spec: is"),
        (
            "spec",
            {"network": "small", "shape": [1, 9, 8], "classes": 4, "noise": 10},
            "holds 10,385 values, and its network has 11,345",
        ),
        (
            "spec",
            {"network": "big", "shape": [1, 8, 8], "classes": 4, "noise": 10},
            "spec: network: is 'big'",
        ),
        ("account", {}, "account: is"),
        ("more", 1, "nothing else"),
    ],
)
def test_documents_that_are_none(small, tmp_path, field, value, words):
    """Each field by itself, with a digest that is right."""
    path = tmp_path / "g.safetensors"
    document = {**small.metadata(), field: value}
    write_sealed(path, small.network.state_dict(), document, FORMAT)
    refused(path, words)


def test_tensors_that_are_none(small, tmp_path):
    """One missing, one more, another shape or type, and values that are not finite."""
    path = tmp_path / "g.safetensors"
    whole = small.network.state_dict()
    for name, value, words in (
        ("first.bias", None, r"holds .* values, and its network has"),
        ("critic", torch.zeros(1), "holds .* values"),
        ("critic", torch.zeros(0), "has the tensor 'critic'"),
        ("ups.1.bias", torch.zeros(1, 1), r"ups.1.bias is \(1, 1\) of float32"),
        ("ups.1.bias", torch.zeros(1, dtype=torch.float64), "of float64"),
        ("ups.1.bias", torch.tensor([float("nan")]), "ups.1.bias holds a value that is not finite"),
        ("ups.1.bias", torch.tensor([float("inf")]), "not finite"),
    ):
        tensors = {**whole, name: value}
        if value is None:
            del tensors[name]
        write_sealed(path, tensors, small.metadata(), FORMAT)
        refused(path, words)


def test_files_that_are_none(small, tmp_path):
    """Other files, other formats, damaged ones, and none."""
    path = tmp_path / "g.safetensors"
    refused(path, "no such file")
    for content in (b"", b"\0" * 7, b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}", b"text"):
        path.write_bytes(content)
        refused(path, "safetensors file")
    save_file(small.network.state_dict(), path)
    refused(path, "without what splitopt writes")
    save_file(small.network.state_dict(), path, {"splitopt": "[]"})
    refused(path, "keys 'format' and 'version'")
    write_sealed(path, small.network.state_dict(), small.metadata(), "splitopt-other")
    refused(path, "splitopt-other")
    small.save(path)
    whole = path.read_bytes()
    begin = whole.index(b'\\"steps\\": 4')
    for damaged in (
        whole[:-4],
        whole + b"\0",
        whole[:-1] + bytes([whole[-1] ^ 1]),
        whole[:begin] + whole[begin:].replace(b'\\"steps\\": 4', b'\\"steps\\": 5', 1),
    ):
        path.write_bytes(damaged)
        refused(path, "digest|whole safetensors")


def test_an_epsilon_cannot_be_written_over(small, tmp_path):
    """The account is under the digest too."""
    path = tmp_path / "g.safetensors"
    small.save(path)
    text = path.read_bytes().replace(b'\\"epsilon\\": null', b'\\"epsilon\\": 0.01')
    length = int.from_bytes(text[:8], "little")
    path.write_bytes(text)
    assert length  # the header keeps its length: four letters for four digits
    refused(path, "digest")
    assert json.loads(json.dumps(replace(small, steps=4).metadata()))["account"]["epsilon"] is None
