"""Rounds whose averages are secure sums: what is learned, who is lost, and what is seen."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cryptography", reason="needs the extra 'tls'")
import numpy as np  # noqa: E402

from splitopt.errors import TrainingError  # noqa: E402
from splitopt.secure_sum import protocol  # noqa: E402
from splitopt.secure_sum.protocol import sum_bytes  # noqa: E402
from splitopt.training.history import History  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.saving import checkpoint  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.wire.star.device import Device  # noqa: E402
from splitopt.training.wire.star.secure.vectors import averaged  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError  # noqa: E402

pytestmark = pytest.mark.train

PLAIN = Options(momentum=0.9)
SECURE = Options(momentum=0.9, secure_aggregation=True)
LOOSE = Options(momentum=0.9, secure_aggregation=True, threshold=2)
SIZES = (10, 16, 7)
FLOAT = 2.0**-23
NAMES = ("alike", "federated", "splitfed_v2")


class LostBeforeKeys(Device):
    """Its process is killed when the round begins."""

    def take_part(self):
        raise ChannelClosedError("killed")


class LostBeforeShares(Device):
    """Its process is killed between its keys and its shares."""

    def take_part(self):
        receive = self._receive

        def killed(*kinds):
            if "public_keys" in kinds:
                raise ChannelClosedError("killed")
            return receive(*kinds)

        self._receive = killed
        return super().take_part()


class LostBeforeItsMask(Device):
    """Its process is killed when it should send its vector: others have masks with it."""

    def give_part(self, steps):
        raise ChannelClosedError("killed")


class LostBehindItsMask(Device):
    """Its process is killed when its vector is there and it should answer."""

    def take_masks_off(self, sums):
        raise ChannelClosedError("killed")


def one_process(wired, name, left_out=((), ())):
    """Train in one process, with some clients left out of the average of some rounds."""
    scheme = wired.scheme_of(name, PLAIN)
    for number, gone in enumerate(left_out):
        clients = [c for k, c in enumerate(scheme.clients) if k not in gone]
        if name == "splitfed_v2":
            assert not gone
            scheme.round(number)
            continue
        tally = Round()
        scheme.begin(clients, tally)
        for client in clients:
            scheme._train_alone(client, tally)
        scheme.end(clients, tally)
    return scheme


def assert_near(found, wanted, rounds=2, weight=33):
    """Compare weights: of every round an average may differ by its quantisation and rounding."""
    found, wanted = found.state_dict(), wanted.state_dict()
    for name, value in wanted.items():
        if value.is_floating_point():
            # What one round differs by, the next one trains on: some times as much after it.
            bound = 3 / (2**33 * weight) + 4 * FLOAT * value.abs().max().item()
            assert (found[name] - value).abs().max() <= 10**rounds * bound, name
        else:
            assert (found[name] - value).abs().max() <= rounds, name


@pytest.mark.one_quick
@pytest.mark.parametrize("name", NAMES)
def test_what_is_learned_is_the_plain_average_within_quantisation(wired, name):
    """Weights and statistics beside those of one process, which sends nothing."""
    wired.train(name, SECURE)
    assert_near(wired.scheme.model, one_process(wired, name).model)
    assert all(not tally.dropped for tally in wired.tallies)
    assert not wired.errors


def test_one_round_differs_by_no_more_than_the_stated_bound(wired):
    """Exact rationals of what devices have, weighted by samples, against what is in the model."""
    seen = {}

    class Noting(Device):
        def part(self):
            seen[self.index] = {k: v.double().clone() for k, v in averaged(self.own).items()}
            return super().part()

    wired.train("federated", SECURE, rounds=1, devices=dict.fromkeys(range(3), Noting))
    total = sum(SIZES)
    for name, value in wired.scheme.model.state_dict().items():
        exact = sum(n * seen[k][name] for k, n in enumerate(SIZES)) / total
        if not value.is_floating_point():
            exact = exact.round()
        bound = 3 / (2**33 * total) + exact.abs() * (FLOAT / 2 + 2**-50)
        assert ((value.double() - exact).abs() <= bound).all(), name
    assert any(
        not torch.equal(value, other)
        for value, other in zip(
            wired.scheme.model.state_dict().values(),
            one_process(wired, "federated", ((),)).model.state_dict().values(),
            strict=True,
        )
    )  # near, and not bit for bit


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", [LostBeforeKeys, LostBeforeShares, LostBeforeItsMask])
def test_a_device_lost_before_its_mask_is_not_in_the_sum(wired, kind):
    """The rest is averaged, in this round and the next one, as if it had not been there."""
    wired.train("alike", LOOSE, devices={1: kind})
    assert [tally.dropped for tally in wired.tallies] == [("d1",), ("d1",)]
    wanted = one_process(wired, "alike", ((1,), (1,)))
    assert_near(wired.scheme.model, wanted.model, weight=17)


def test_a_device_lost_behind_its_mask_is_in_the_sum(wired):
    """Its vector came, so that it counts; from the next round on it does not."""
    wired.train("alike", LOOSE, devices={1: LostBehindItsMask})
    assert [tally.dropped for tally in wired.tallies] == [(), ("d1",)]
    assert [item.client for item in wired.server.dropped] == ["d1"]
    wanted = one_process(wired, "alike", ((), (1,)))
    assert_near(wired.scheme.model, wanted.model, weight=17)


@pytest.mark.parametrize("kind", [LostBeforeItsMask, LostBehindItsMask])
def test_in_turn_it_is_the_same(wired, kind):
    """One server part that learned from it, and an average of the others."""
    wired.train("splitfed_v2", LOOSE, devices={1: kind})
    lost = ("d1",) if kind is LostBeforeItsMask else ()
    assert [tally.dropped for tally in wired.tallies] == [lost, ("d1",)]
    assert all(value.isfinite().all() for value in wired.scheme.model.state_dict().values())


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", [LostBeforeKeys, LostBeforeItsMask, LostBehindItsMask])
def test_too_few_end_the_run_in_one_sentence(wired, kind):
    """With the usual threshold of three devices none may be lost; nothing is unmasked."""
    before = {}

    def keep(crew, number):
        before.update({k: v.clone() for k, v in wired.scheme.model.state_dict().items()})

    class Late(kind):
        def round(self, begin):
            if begin.fields["round"] == 0:
                return Device.round(self, begin)
            return super().round(begin)

        def take_part(self):
            return (kind if self._number else Device).take_part(self)

        def give_part(self, steps):
            return (kind if self._number else Device).give_part(self, steps)

        def take_masks_off(self, sums):
            return (kind if self._number else Device).take_masks_off(self, sums)

    with pytest.raises(TrainingError, match=r"2 of 3 devices .* threshold is 3") as found:
        wired.train("alike", SECURE, devices={1: Late}, between=keep)
    assert found.value.exit_code == 1
    for name, value in wired.scheme.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_value_that_would_wrap_is_refused_before_it_is_sent(wired, log):
    """The device says so, and its vector never leaves it."""

    class Large(Device):
        def part(self):
            next(iter(averaged(self.own).values())).fill_(1e12)
            return super().part()

    with pytest.raises(TrainingError, match="a secure sum of 3 takes those up to"):
        wired.train("alike", SECURE, devices={1: Large}, log=log)
    assert sum(m.kind == "masked" for who, m in log.messages if who == "server") < 3


@pytest.mark.one_quick
@pytest.mark.parametrize("name", NAMES)
def test_the_server_never_receives_a_plain_client_side_model(wired, log, name):
    """Over all messages to it: no kind, shape or value that a device's part has."""
    sent = []

    class Noting(Device):
        def part(self):
            sent.extend(value.clone() for value in averaged(self.own).values())
            return super().part()

    wired.train(name, SECURE, devices=dict.fromkeys(range(3), Noting), log=log)
    kinds = set(log.received("server"))
    assert kinds >= {"public_keys", "key_shares", "masked", "unmasking", "state"}
    assert "model" not in kinds
    received = log.values("server")
    telling = {v.double().numpy().tobytes() for v in sent if v.numel() > 4 and v.abs().sum()}
    seen = {v.double().numpy().tobytes() for v in received}
    assert telling
    assert not telling & seen
    scaled = {
        (np.rint(np.ldexp(v.double().numpy().ravel() * n, 32))).astype(np.int64).tobytes()
        for v in sent
        for n in SIZES
        if v.numel() > 4 and v.abs().sum()
    }
    plain = b"".join(
        m.tensors["values"].numpy().tobytes() for who, m in log.messages if m.kind == "masked"
    )
    assert not any(one in plain for one in scaled)
    states = [m for who, m in log.messages if who == "server" and m.kind == "state"]
    assert not any("buffers" in key or "moments" in key for m in states for key in m.tensors)
    masked = [m for who, m in log.messages if who == "server" and m.kind == "masked"]
    assert len(masked) == 6
    for message in masked:  # each by itself is uniform: 0.01 % of uniform bytes are above
        counts = np.bincount(message.tensors["values"].numpy().view(np.uint8), minlength=256)
        expected = counts.sum() / 256
        assert ((counts - expected) ** 2 / expected).sum() < 347.7
    assert len({m.tensors["values"].numpy().tobytes() for m in masked}) == 6


def test_another_run_of_the_same_seed_sends_other_bytes(wired, log):
    """Keys are the operating system's, and so nobody who knows the seed knows a mask."""
    found = []
    for _ in range(2):
        log.messages.clear()
        wired.train("alike", SECURE, rounds=1, log=log)
        found.append(
            {
                kind: [
                    value.numpy().tobytes()
                    for who, m in log.messages
                    if who == "server" and m.kind == kind
                    for value in m.tensors.values()
                ]
                for kind in ("public_keys", "key_shares", "masked", "unmasking")
            }
        )
    for kind, rows in found[0].items():
        assert not set(rows) & set(found[1][kind]), kind


def test_secrets_stand_in_no_message_file_or_log(wired, log, monkeypatch, tmp_path, caplog):
    """Whatever the system draws for keys and seeds is searched for, as bytes and as text."""
    drawn, draw = [], protocol.secrets.token_bytes

    def noting(size):
        drawn.append(draw(size))
        return drawn[-1]

    monkeypatch.setattr(protocol.secrets, "token_bytes", noting)
    caplog.set_level(0)
    writer = checkpoint.Writer(tmp_path)
    wired.train("alike", LOOSE, devices={1: LostBeforeItsMask}, log=log)
    writer.save(wired.scheme.state_dict(), {"options": LOOSE.identity()}, History())
    writer.close()
    secret = [value for value in drawn if len(value) == 32]
    assert len(secret) >= 3 * (3 + 2)  # two private keys and a seed for each member of each round
    places = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    places += [caplog.text.encode(), repr(wired.errors).encode()]
    for _, message in log.messages:
        places.append(repr(message.fields).encode())
        places += [np.ascontiguousarray(v.numpy()).tobytes() for v in message.tensors.values()]
    every = b"|".join(places)
    assert len(every) > 10_000
    for value in secret:
        for text in (value, value.hex().encode(), value[::-1]):
            assert text not in every


@pytest.mark.one_quick
@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_those_of_the_formula(wired, name):
    """Of every kind of message, in the counts of the server and in the traffic of rounds."""
    wired.train(name, SECURE)
    own = wired.server.copy(0)
    numbers = sum(value.numel() for value in averaged(own).values())
    planned = sum_bytes(3, numbers)
    sent, traffic = wired.server.sent_bytes, wired.tallies[0].traffic
    assert sent["public_keys"] == 2 * (planned.public_keys + planned.public_keys_down)
    assert sent["key_shares"] == 2 * (planned.key_shares + planned.key_shares_down)
    assert sent["masked"] == 2 * planned.masked == 2 * traffic.model_up
    assert sent["unmasking"] == 2 * planned.unmasking
    assert traffic.secure_down == planned.public_keys_down + planned.key_shares_down
    assert traffic.secure_up == planned.public_keys + planned.key_shares + planned.unmasking
    assert traffic.statistics_up == 0
