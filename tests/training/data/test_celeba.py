"""CelebA in IoTSL's eight classes, from faces and a list written here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splitopt.errors import InputError

image = pytest.importorskip("PIL.Image")
torch = pytest.importorskip("torch")

from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.celeba import read_celeba_folder  # noqa: E402

pytestmark = pytest.mark.train

# IoTSL section V-H lists its eight classes in this order: smiling, black hair, male.
PRINTED = [
    (1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, 1), (1, 1, -1), (-1, 1, -1), (1, -1, -1),
    (-1, -1, -1),
]  # fmt: skip
HEAD = "5_o_Clock_Shadow Black_Hair Male Smiling Young"


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """Write three faces of each class, each in a grey of its own between black bands."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    lines = ["24", HEAD]
    for number in range(24):
        smiling, black, male = PRINTED[number % 8]
        face = np.zeros((48, 32, 3), np.uint8)
        face[8:40] = 10 * number  # the middle square
        name = f"{number + 1:06}.jpg"
        image.fromarray(face).save(folder / "img_align_celeba" / name, quality=95)
        lines.append(f"{name}  1 {black:2} {male:2} {smiling:2} -1")
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_classes_are_in_the_order_of_the_paper(celeba: Path) -> None:
    data = load_data(f"celeba:{celeba}")
    assert (data.shape, data.classes) == ((3, 32, 32), 8)
    assert data.train_targets.tolist() == [label for label in range(8) for _ in range(2)]
    assert data.test_targets.tolist() == list(range(8))
    greys = (255 * data.train_inputs).mean(dim=(1, 2, 3)).tolist()
    wanted = [10 * number for label in range(8) for number in (label, label + 8)]
    assert greys == pytest.approx(wanted, abs=2)  # JPEG, and nothing of the bands
    assert load_data(str(celeba)).digest() == data.digest()


def test_a_list_with_commas_and_other_sizes(celeba: Path) -> None:
    text = (celeba / "list_attr_celeba.txt").read_text().splitlines()
    rows = [",".join(line.split()) for line in text[2:]]
    (celeba / "list_attr_celeba.csv").write_text(
        "\n".join([",".join(["image_id", *HEAD.split()]), *rows])
    )
    one = read_celeba_folder(celeba, 8, 2)
    (celeba / "list_attr_celeba.txt").unlink()
    other = read_celeba_folder(celeba, 8, 2)
    assert one[0].shape == (8, 3, 8, 8)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "img_align_celeba" / "000003.jpg").unlink(), "there is no such file"),
        (lambda f: (f / "img_align_celeba" / "000003.jpg").write_bytes(b"x"), "no|not a whole"),
        (lambda f: (f / "list_attr_celeba.txt").write_text("1\nMale Smiling\n"), "no column Black"),
        (
            lambda f: (f / "list_attr_celeba.txt").write_text(f"1\n{HEAD}\n../a.jpg 1 1 1 1 1\n"),
            "image 1: is '../a.jpg",
        ),
        (
            lambda f: (f / "list_attr_celeba.txt").write_text(
                f"1\n{HEAD}\na\u202eb.jpg 1 1 1 1 1\n", encoding="utf-8"
            ),
            r"image 1: is 'a\\u202eb.jpg",
        ),
        (
            lambda f: (f / "list_attr_celeba.txt").write_text(f"1\n{HEAD}\na.jpg 1 1 0 1 1\n"),
            "1 or -1 for each",
        ),
        (lambda f: (f / "list_attr_celeba.txt").write_text(f"0\n{HEAD}\n"), "0 images of class 0"),
    ],
)
def test_what_is_damaged_is_named(celeba: Path, spoil: object, words: str) -> None:
    spoil(celeba)  # type: ignore[operator]
    with pytest.raises(InputError, match=words) as caught:
        load_data(f"celeba:{celeba}")
    assert "\n" not in str(caught.value)
