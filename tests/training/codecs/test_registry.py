"""Codecs by name: what is unknown, what other packages bring, and what they do wrong."""

from __future__ import annotations

from importlib import metadata
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt import plugins  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.training.codecs.base import Codec  # noqa: E402
from splitopt.training.codecs.registry import codec_names, make_codec  # noqa: E402
from splitopt.training.kinds import CODEC  # noqa: E402
from splitopt.training.options import Options  # noqa: E402

pytestmark = pytest.mark.train


class Sign(Codec):
    """The sign of every value alone, as somebody else's package may have it."""

    name = "sign"

    @classmethod
    def read(cls, arguments):
        return cls()

    def layout(self, shape, dtype):
        return {"signs": (torch.int8, tuple(shape))}

    def encode(self, tensor):
        return {"signs": tensor.sign().to(torch.int8)}

    def decode(self, message, shape, dtype):
        return message["signs"].to(dtype)


NOT_A_CODEC = 3


@pytest.fixture
def brought(monkeypatch):
    """Return a function that makes entry points of names and places."""

    def bring(**places):
        points = [metadata.EntryPoint(*item, CODEC.group) for item in places.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group: tuple(points))

    return bring


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int", r"^codec: 'int' is unknown here; known are none, fp16, .*; did you mean 'int8'\?$"),
        ("FP-16", r"did you mean 'fp16'\?$"),
        ("none:1", r"^codec: none takes nothing behind a colon; write it alone$"),
        ("", r"^codec: '' is unknown here"),
        ("fp16:channel", r"^codec: fp16 takes nothing behind a colon; write 'fp16' alone$"),
        ("int8:chanel", r"int8 takes ':channel' and ':stochastic', not 'chanel'; did you mean"),
        ("topk", r"^codec: topk needs the fraction that it sends; write topk:FRACTION"),
        ("topk:half", r"^codec: topk of 'half', which is no number; write topk:FRACTION"),
        ("topk:0", r"^codec: topk of '0', it must be above 0 and at most 1$"),
        ("topk:1.5", r"must be above 0 and at most 1$"),
        ("topk:nan", r"must be above 0 and at most 1$"),
        ("topk:1e-999999999", r"must be above 0"),
        ("topk:0.1:", r"^codec: topk:0.1 with ''; write topk:FRACTION"),
        ("topk:0.1:keep", r"^codec: topk:0.1 with 'keep'; write topk:FRACTION"),
        (None, r"^codec: is None, it must be the name of a codec$"),
        (8, r"^codec: is 8, it must be the name of a codec$"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        make_codec(text)
    with pytest.raises(InputError, match=words):
        Options(codec=text)


def test_the_other_way_has_its_own_name_in_messages():
    with pytest.raises(InputError, match=r"^gradient_codec: 'int' is unknown here"):
        Options(gradient_codec="int")


def test_another_package_brings_one(brought):
    """By an entry point; a name of splitopt's own stays splitopt's."""
    brought(sign=f"{__name__}:Sign", int8="nowhere:Int8", none="nowhere:None")
    import sys

    sys.modules.setdefault(__name__, SimpleNamespace(Sign=Sign))
    assert codec_names()[-1] == "sign"
    assert codec_names().count("int8") == 1
    assert make_codec("int8").bytes((4,), torch.float32) == 4 + 5
    made = Options(codec="sign").up_codec()
    assert made.name == "sign"
    assert made.bytes((3, 2), torch.float32) == 6


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("no_such_module:Sign", "its package fails to load no_such_module:Sign .ModuleNotFound"),
        ("math:pi", "math:pi is not a class of codecs"),
        ("math:no_such", "fails to load math:no_such .AttributeError"),
        ("fractions:Fraction", "fractions:Fraction is not a class of codecs"),
    ],
)
def test_what_another_package_does_wrong(brought, place, words):
    brought(sign=place)
    with pytest.raises(InputError, match=f"^codec: 'sign': .*{words}|^codec: 'sign': {words}"):
        make_codec("sign")
