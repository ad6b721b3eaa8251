"""Several tensors of samples of any length in one: back bit for bit, with their gradients."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.profiles.tracing.cuts.packing import layout_of  # noqa: E402
from splitopt.profiles.tracing.cuts.varying import along, of_words, packer, unpacker  # noqa: E402
from splitopt.training.codecs.crossing import UP, Crossing  # noqa: E402
from splitopt.training.codecs.registry import make_codec  # noqa: E402

pytestmark = pytest.mark.train

ROOM, WIDTH = 11, 3
SHAPES = {
    "values": lambda n, length: ((n, length, WIDTH), torch.float32),
    "narrow": lambda n, length: ((n, length), torch.bfloat16),
    "mask": lambda n, length: ((n, length), torch.bool),
    "pairs": lambda n, length: ((n, 1, length, length), torch.bool),
    "row": lambda n, length: ((n * length, WIDTH), torch.float32),
    "longer": lambda n, length: ((n, 2 * length + 1), torch.int64),
    "steps first": lambda n, length: ((length, n, WIDTH), torch.float32),
    "steady": lambda n, length: ((n, 5), torch.float32),
}
"""Tensor -> shape and type of so many samples of a length."""
TOGETHER = [
    ("values", "mask"),
    ("row", "mask"),
    ("values", "steady"),
    ("narrow", "values", "pairs"),
    ("mask", "longer"),
    ("steps first", "mask", "steady"),
    ("steady", "row"),
]


def seen(names, samples, length):
    return [SHAPES[name](samples, length) for name in names]


def layout(names, room=ROOM, short=ROOM - 1):
    pairs = zip(seen(names, 2, room), seen(names, 5, room), strict=True)
    found = layout_of([(torch.Size(a), torch.Size(b), kind) for (a, kind), (b, _) in pairs], (2, 5))
    return along(found, [shape for shape, _ in seen(names, 2, short)], 2, room, short)


def drawn(names, samples, length):
    torch.manual_seed(length)
    return [
        torch.randn(shape).to(kind)
        if kind.is_floating_point
        else torch.randint(0, 2 if kind is torch.bool else 99, shape).to(kind)
        for shape, kind in seen(names, samples, length)
    ]


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_they_come_back_at_every_length(names):
    """Nothing says how long samples are but how much there is of them; bytes by hand."""
    found = layout(names)
    for length in (1, 2, 5, ROOM):
        for samples in (1, 3):
            values = drawn(names, samples, length)
            real = [own.requires_grad_() for own in values if own.is_floating_point()]
            packed = packer(found)(*values)
            back = unpacker(found)(packed)
            for own, wanted in zip(back, values, strict=True):
                assert own.dtype == wanted.dtype
                assert torch.equal(own, wanted)
            if real:
                sum((own.float() ** 2).sum() for own in back if own.is_floating_point()).backward()
                for own in real:
                    assert torch.equal(own.grad, (2 * own.float()).to(own.dtype))
            size = sum(
                math.ceil(own.numel() // samples * own.element_size() / found.dtype.itemsize)
                * found.dtype.itemsize
                if not own.is_floating_point()
                else own.numel() // samples * own.element_size()
                for own in values
            )
            assert of_words(found, packed.shape[1]).bytes == size


def test_what_cannot_be_told_is_no_cut():
    """Masks of few lengths take as many whole numbers, and half numbers are none."""
    with pytest.raises(ValueError, match="samples of several lengths take as many words"):
        layout(("mask", "steady"))
    with pytest.raises(ValueError, match="nothing tells samples from their positions"):
        layout(("row", "row"))
    with pytest.raises(ValueError, match="no sample takes 6 words"):
        of_words(layout(("values", "mask")), 6)


def test_what_topk_leaves_out_waits_for_its_place():
    """All that came and what is kept add up to all that was to be sent, number by number."""
    names = ("values", "narrow")
    found = layout(names)
    crossing = Crossing({UP: make_codec("topk:0.3:feedback")}, layouts={0: found})
    given = {name: torch.zeros(SHAPES[name](2, ROOM)[0]) for name in names}
    came = {name: torch.zeros_like(own) for name, own in given.items()}
    for length in (4, 9, 4, ROOM):
        values = drawn(names, 2, length)
        back = unpacker(found)(crossing.up(0, packer(found)(*values)))
        for name, sent, value in zip(names, back, values, strict=True):
            front = tuple(slice(side) for side in value.shape)
            given[name][front] += value.float()
            came[name][front] += sent.float()
            assert 0 < float((sent != 0).float().mean()) < 0.5
    kept = unpacker(found)(crossing.state_dict()["up.0"])
    for name, own in zip(names, kept, strict=True):
        close = 1e-5 if name == "values" else 0.05  # sums in bfloat16
        assert torch.allclose(came[name] + own.float(), given[name], atol=close), name
