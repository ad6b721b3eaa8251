from __future__ import annotations

import pytest

from splitopt.errors import InputError
from splitopt.profiles import Provenance


def test_plain_data_gives_back_the_provenance():
    """What `to_dict` writes, `from_dict` reads, with and without the optional parts."""
    short = Provenance(kind="user", source="my lab")
    full = Provenance("measured", "my lab", "https://example.org", "MIT", ("n",), ("f", "g"))
    for item in (short, full):
        assert Provenance.from_dict(item.to_dict()) == item
    assert short.to_dict() == {"kind": "user", "source": "my lab"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "rumour"}, "provenance.kind: is 'rumour'; choose one of published"),
        ({"source": ""}, "provenance.source"),
        ({"url": 3}, "provenance.url"),
        ({"notes": "one"}, "provenance.notes: must be a list"),
        ({"fills": [1]}, r"provenance.fills\[0\]"),
        ({"author": "me"}, "unknown key 'author'"),
    ],
)
def test_wrong_provenance_is_refused(changes, message):
    """Each wrong part is refused by its name."""
    with pytest.raises(InputError, match=message):
        Provenance.from_dict({"kind": "user", "source": "my lab", **changes})
