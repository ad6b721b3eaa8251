"""The sum of whoever is left: of every subset of at least the threshold, and of none below it."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitopt.errors import InputError, TrainingError
from splitopt.secure_sum import keys as own_keys
from splitopt.secure_sum.fixed_point import decode_words, encode_words, most_of
from splitopt.secure_sum.keys import KeyPair, SecureSumError, need_cryptography, seal, unseal
from splitopt.secure_sum.masks import stream
from splitopt.secure_sum.protocol import LEAST, Member, sum_bytes, take_off, usual_threshold

pytest.importorskip("cryptography", reason="needs the extra 'tls'")

MEMBERS, THRESHOLD, LENGTH, LABEL = 5, 3, 7, b"round 1"


class Sum:
    """The members of one sum, whose messages are handed on here."""

    def __init__(self, values, threshold=THRESHOLD, label=LABEL):
        self.threshold, self.label = threshold, label
        self.values = dict(enumerate(values))
        self.members = {n: Member(n, threshold, label) for n in self.values}
        self.keys = {n: own.public_keys() for n, own in self.members.items()}
        self.sealed, self.masked, self.revealed = {}, {}, {}

    def share(self, who=None):
        for n in self.members if who is None else who:
            self.sealed[n] = self.members[n].shares(self.keys)

    def hide(self, who=None):
        for n in self.sealed if who is None else who:
            texts = {m: own[n] for m, own in self.sealed.items() if m != n}
            self.masked[n] = self.members[n].hide(self.values[n], texts)

    def reveal(self, who=None):
        for n in self.masked if who is None else who:
            self.revealed[n] = self.members[n].reveal(self.masked)

    def total(self):
        there = {n: self.keys[n] for n in self.sealed}
        return take_off(self.label, self.threshold, there, self.masked, self.revealed)


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(11)
    return rng.integers(0, 2**64, (MEMBERS, LENGTH), dtype=np.uint64)


def plain(vectors, who):
    """Add up with Python's integers."""
    return [sum(int(vectors[n][i]) for n in who) % 2**64 for i in range(vectors.shape[1])]


@pytest.mark.parametrize(
    "left",
    [
        left
        for size in range(THRESHOLD, MEMBERS + 1)
        for left in itertools.combinations(range(MEMBERS), size)
    ],
)
def test_every_subset_of_survivors_gives_their_plain_sum(vectors, left):
    """Whoever has sent no vector is not in the sum, whoever answers no more is."""
    run = Sum(vectors)
    run.share()
    run.hide(left)
    run.reveal(left[-THRESHOLD:])
    assert run.total().tolist() == plain(vectors, left)


@pytest.mark.parametrize("gone", [(), (0,), (4, 1)])
def test_who_leaves_before_it_shares_needs_nothing_taken_back(vectors, gone):
    """No pair has a mask with it."""
    run, left = Sum(vectors), [n for n in range(MEMBERS) if n not in gone]
    run.share(left)
    run.hide()
    run.reveal()
    assert run.total().tolist() == plain(vectors, left)


def test_below_the_threshold_nothing_comes_out(vectors):
    """Two answers of three, a list of two survivors, shares of two: each is refused by whoever."""
    run = Sum(vectors)
    run.share()
    run.hide()
    run.reveal((0, 1))
    with pytest.raises(SecureSumError, match=r"2 members are left .* threshold is 3"):
        run.total()
    with pytest.raises(SecureSumError, match="2 survivors, and the threshold is 3"):
        run.members[2].reveal((2, 3))
    other = Sum(vectors)
    other.share((0, 1))
    with pytest.raises(SecureSumError, match="shares of 2 members"):
        other.hide((0,))
    with pytest.raises(SecureSumError, match="public keys of 2 members"):
        other.members[2].shares({n: other.keys[n] for n in (2, 3)})


def test_of_nobody_both_secrets_are_revealed(vectors):
    """A second question with another list would bare a vector, and is not answered."""
    run = Sum(vectors)
    run.share()
    run.hide()
    run.reveal()
    with pytest.raises(SecureSumError, match="cannot be those of this sum"):
        run.members[0].reveal((0, 1, 2))
    late = Sum(vectors)
    late.share()
    late.hide((0, 1, 2, 3))
    with pytest.raises(SecureSumError):
        late.members[0].reveal((1, 2, 3))
    with pytest.raises(SecureSumError):
        late.members[0].reveal((0, 1, 2, 7))
    shares = late.members[0].reveal((0, 1, 2, 3))
    held = late.members[0]._shares
    assert shares == {n: held[n][1] if n < 4 else held[n][0] for n in range(MEMBERS)}


def test_one_masked_vector_is_uniform_and_another_run_has_other_bytes():
    """Chi-square over the bytes of zeros that were masked; 0.1 % of uniform bytes are above it."""
    found = []
    for _ in range(2):
        run = Sum(np.zeros((3, 4000), dtype=np.uint64))
        run.share()
        run.hide()
        found.append(run.masked[0].tobytes())
        run.reveal()
        assert not run.total().any()
        counts = np.bincount(np.frombuffer(found[-1], dtype=np.uint8), minlength=256)
        expected = counts.sum() / 256
        assert ((counts - expected) ** 2 / expected).sum() < 330.5  # 255 degrees of freedom
    same = np.frombuffer(found[0], np.uint8) == np.frombuffer(found[1], np.uint8)
    assert same.mean() < 0.01


def test_pair_masks_alone_would_not_hide_a_slow_member(vectors):
    """With the seeds known and without the pair keys, what is left is still not the vector."""
    run = Sum(vectors)
    run.share()
    run.hide()
    run.reveal()
    from splitopt.secure_sum import shamir
    from splitopt.secure_sum.masks import words_of

    seed = shamir.combine({n: own[0] for n, own in run.revealed.items()})
    bare = run.masked[0] - words_of(seed, LABEL, LENGTH)
    assert not set(bare.tolist()) & set(vectors[0].tolist())


@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=3, max_size=3),
        min_size=3,
        max_size=3,
    )
)
@settings(max_examples=60, deadline=None)
def test_sums_of_numbers_are_theirs_within_half_a_unit_each(rows):
    """Rationals say what the sum is; negative numbers and zeros wrap around as they should."""
    words = [encode_words(np.array(row), len(rows)) for row in rows]
    total = decode_words(np.sum(words, axis=0, dtype=np.uint64))
    for i, value in enumerate(total.tolist()):
        exact = sum(Fraction(row[i]) for row in rows)
        # Half a unit for each, and the rounding of a float64 of that size.
        assert abs(Fraction(value) - exact) <= Fraction(3, 2**33) + abs(exact) / 2**52


@given(st.integers(3, 200), st.floats(0.999, 1.0))
@settings(max_examples=60, deadline=None)
def test_the_largest_sum_that_is_taken_does_not_wrap(summands, part):
    """All of one sign, at the limit or just below it; one above it is refused before it is sent."""
    largest = most_of(summands)
    for sign in (1, -1):
        values = np.array([sign * part * largest])
        words = encode_words(values, summands)
        total = decode_words(np.sum([words] * summands, axis=0, dtype=np.uint64))
        assert total[0] == pytest.approx(summands * values[0], rel=1e-12)
    with pytest.raises(TrainingError, match="secure sum of"):
        encode_words(np.array([0.0, math.nextafter(largest, math.inf)]), summands)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(value):
    """It would be some number in the sum."""
    with pytest.raises(TrainingError, match="secure sum"):
        encode_words(np.array([1.0, value]), 3)


def test_what_was_changed_on_its_way_is_refused(vectors):
    """Shares, keys that are double, missing or none; each by its own sentence."""
    run = Sum(vectors)
    run.share()
    text = bytearray(run.sealed[1][0])
    text[3] ^= 1
    run.sealed[1][0] = bytes(text)
    with pytest.raises(SecureSumError, match="changed on its way"):
        run.hide((0,))
    for change, why in (
        (lambda keys: {**keys, 1: keys[2]}, "not all different"),
        (lambda keys: {**keys, 0: keys[2]}, "one's own are not"),
        (lambda keys: {**keys, 1: b"short"}, "another length"),
        (lambda keys: {**keys, 1: bytes(32) + keys[1][32:]}, "public key that is none"),
    ):
        fresh = Sum(vectors)
        with pytest.raises(SecureSumError, match=why):
            fresh.members[0].shares(change(fresh.keys))
    swapped = Sum(vectors)
    swapped.share()
    swapped.hide((1, 2, 3, 4))
    swapped.reveal()
    for own in swapped.revealed.values():
        own[0] = own[1]
    with pytest.raises(SecureSumError, match="do not give the key of member 0"):
        swapped.total()


def test_shares_of_one_sum_are_no_use_in_another(vectors):
    """The label is in every key that pairs derive."""
    one, other = KeyPair.new(), KeyPair.new()
    assert one.agree(other.public, b"a") == other.agree(one.public, b"a")
    assert one.agree(other.public, b"a") != one.agree(other.public, b"b")
    key = one.agree(other.public, b"a")
    with pytest.raises(SecureSumError):
        unseal(one.agree(other.public, b"b"), seal(key, b"text"))
    assert stream(key, b"a", 128) != stream(key, b"b", 128)


def test_secrets_stay_out_of_what_is_printed():
    """A key pair that stands in a log or an error says its public key alone."""
    pair = KeyPair.new()
    assert str(pair.private) not in repr(pair)
    assert pair.private.hex() not in repr(Member(0, 3, LABEL))


def test_bytes_of_messages_as_counted(vectors):
    """What a sum without drop-outs sends, by adding up what was handed on."""
    run = Sum(vectors)
    run.share()
    run.hide()
    run.reveal()
    found = sum_bytes(MEMBERS, LENGTH)
    assert found.public_keys == sum(map(len, run.keys.values()))
    assert found.public_keys_down == MEMBERS * found.public_keys
    sealed = [text for own in run.sealed.values() for text in own.values()]
    assert found.key_shares == found.key_shares_down == sum(map(len, sealed))
    assert found.masked == sum(own.nbytes for own in run.masked.values())
    assert found.unmasking == sum(
        len(text) for own in run.revealed.values() for text in own.values()
    )


@pytest.mark.parametrize(("members", "wanted"), [(3, 3), (4, 3), (5, 4), (6, 4), (10, 7), (30, 20)])
def test_the_usual_threshold(members, wanted):
    """Two thirds, rounded up, and never two."""
    assert usual_threshold(members) == wanted >= LEAST


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    """One sentence and exit code 2."""
    monkeypatch.setattr(own_keys.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"secure: needs .* cryptography.*splitopt\[tls\]"
    ) as found:
        need_cryptography("secure")
    assert found.value.exit_code == 2
