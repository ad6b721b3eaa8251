"""Archives of arrays: nothing is unpacked before it is known to fit."""

from __future__ import annotations

import io
import resource
import zipfile

import numpy as np
import pytest

from splitopt.documents.archives import NUMBERS, TEXTS, Archive, read_archive
from splitopt.errors import InputError
from splitopt.problems.registry import load_problem


def npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f8") -> bytes:
    """Return a member whose header claims a shape."""
    stream = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": dtype}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def write(path, members: dict[str, bytes], packed: bool = False):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as out:
        for name, content in members.items():
            out.writestr(f"{name}.npy", content)
    return path


def test_arrays_are_read(tmp_path):
    """Packed or not, of any size, texts where they are asked for."""
    np.savez_compressed(tmp_path / "a.npz", x=np.eye(3), empty=np.zeros((0, 2)), name="text")
    found = read_archive(tmp_path / "a.npz", 2**20, NUMBERS + TEXTS)
    assert found["x"].tolist() == np.eye(3).tolist()
    assert found["empty"].shape == (0, 2)
    assert found["name"].item() == "text"
    assert read_archive(tmp_path / "a.npz", 2**20, only=["x"]).keys() == {"x"}
    with pytest.raises(InputError, match="holds no array 'y'"):
        read_archive(tmp_path / "a.npz", 2**20, only=["y"])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"x": npy((2**38,))}, "claims 2199023255552 bytes of numbers in"),
        ({"x": npy((3,), bytes(16))}, "expected 24 bytes got 16|claims 24 bytes"),
        ({"x": npy((1,), bytes(2**17))}, "claims 8 bytes"),
        ({"x": npy((1,), bytes(8), "|O")}, "only plain numbers are read"),
        ({"x": npy((1,), bytes(8), "<U2")}, "only plain numbers are read"),
        ({"x": b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran"}, "as numpy writes it"),
        ({"x": b"\x93NUMPY\x01\x00\x08\x00{'a': '\n"}, "as numpy writes it"),
        ({"x": b"\x93NUMPY\x09\x00"}, "version .9, 0. of the format"),
        ({"x": b""}, "as numpy writes it"),
        ({"x": b"text"}, "as numpy writes it"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path, members, words):
    """Its claims are held against what is there."""
    with pytest.raises(InputError, match=words):
        read_archive(write(tmp_path / "a.npz", members), 2**30)


@pytest.mark.slow
def test_a_small_file_does_not_become_a_large_one(tmp_path):
    """Zeros pack to a thousandth: the ratio is refused before any is unpacked."""
    path = tmp_path / "bomb.npz"
    block = npy((2**24,)) + bytes(2**27)
    write(path, {f"x{index}": block for index in range(4)}, packed=True)
    assert path.stat().st_size < 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="unpacks to 512 MiB, more than 200 times its size"):
        load_problem(path)
    with pytest.raises(InputError, match="unpacks to 512 MiB, at most 256 MiB are read"):
        Archive(path, 2**28)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2**17  # KiB: not even one of the blocks


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + bytes(100), b"PK\x05\x06"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    """As a problem and as anything else."""
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"is not a whole .npz file"):
        load_problem(tmp_path / "a.npz")


def test_a_damaged_archive_is_refused(tmp_path):
    """Wherever it is cut or changed."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.arange(100.0), y=np.arange(50))
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        for damaged in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :]):
            path.write_bytes(damaged)
            try:
                read_archive(path, 2**20)
            except InputError:
                continue


def test_special_files_are_one_sentence(tmp_path):
    """A folder, nothing, and a path that is none."""
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.npz", "there is no such file"),
        ("a\0.npz", "NUL character"),
    ):
        with pytest.raises(InputError, match=words):
            load_problem(path)


@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800])
def test_a_text_of_no_characters_is_refused(tmp_path, code):
    """Numpy keeps any 32 bits as a character; Python's texts break on them much later."""
    data = np.array([ord("a"), code], dtype="<u4").tobytes()
    path = write(tmp_path / "a.npz", {"name": npy((), data, "<U2")})
    with pytest.raises(InputError, match="'name': holds a text with characters that are none"):
        read_archive(path, 2**20, NUMBERS + TEXTS)


@pytest.mark.parametrize("text", ["", "Grün", "\U0001f600"])
def test_any_other_text_is_read(tmp_path, text):
    path = tmp_path / "a.npz"
    np.savez(path, name=text)
    assert read_archive(path, 2**20, NUMBERS + TEXTS)["name"].item() == text
