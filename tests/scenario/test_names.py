"""Names that stand twice, against a list of all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from splitopt.scenario.names import clashes
from splitopt.scenario.nodes import expanded_names

NAMES = st.sampled_from(["a", "b", "a-1", "a-2", "a-02", "a-1-1", "b-3", "a-x", "-1", "a-0"])


@given(st.lists(st.tuples(NAMES, st.integers(1, 4)), max_size=6))
def test_clashes_are_those_of_the_expanded_names(named: list[tuple[str, int]]) -> None:
    seen: set[str] = set()
    expected = []
    for entry, (name, count) in enumerate(named):
        own = expanded_names(name, count)
        if twice := [one for one in own if one in seen]:
            expected.append((entry, twice[0]))
        seen.update(own)
    assert [tuple(clash) for clash in clashes(named)] == expected
