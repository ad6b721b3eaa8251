"""The fed server as the one that averages: it gets masked client parts, and never their values."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cryptography", reason="needs the extra 'tls'")

from splitopt.errors import TrainingError  # noqa: E402
from splitopt.secure_sum.protocol import sum_bytes  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.two_servers import received  # noqa: E402
from splitopt.training.wire.star.fed.device import FedDevice  # noqa: E402
from splitopt.training.wire.star.secure.vectors import averaged  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError  # noqa: E402

pytestmark = pytest.mark.train

SECURE = Options(momentum=0.9, fed_server=True, secure_aggregation=True)
LOOSE = Options(momentum=0.9, fed_server=True, secure_aggregation=True, threshold=2)


class LostBeforeItsMask(FedDevice):
    """Its process is killed when it should give its vector."""

    def give_part(self, steps):
        raise ChannelClosedError("killed")


class LostBehindItsMask(FedDevice):
    """Its process is killed when its vector is there and it should answer."""

    def take_masks_off(self, sums):
        raise ChannelClosedError("killed")


def client_part(fed):
    """Return the averaged client part, which the fed server alone has."""
    return fed.fed_server.halves.client.state_dict()


def assert_near(found, wanted):
    """Compare weights within some times the rounding of a float32 and the quantisation."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (found[name] - value).abs().max() <= (
            1e-4 * max(value.abs().max().item(), 1e-2) if value.is_floating_point() else 2
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fed", "in_turn"])
def test_the_fed_server_learns_the_sum_alone(request, log, name):
    """What is learned is the plain average; kinds and bytes are those of the formula."""
    fed, sent = request.getfixturevalue(name), []

    class Noting(FedDevice):
        def part(self):
            sent.extend(value.clone() for value in averaged(self.own).values())
            return super().part()

    fed.train(Options(momentum=0.9, fed_server=True))
    wanted = {name: value.clone() for name, value in client_part(fed).items()}
    log.messages.clear()
    fed.train(SECURE, log=log, devices=dict.fromkeys(range(3), Noting))
    assert_near(client_part(fed), wanted)
    assert not fed.errors
    for party in ("fed", "server"):
        kinds = log.received(party)
        assert "model" not in kinds
        assert ("masked" in kinds) == (party == "fed")
    telling = {v.numpy().tobytes() for v in sent if v.numel() > 4 and v.abs().sum()}
    seen = {v.numpy().tobytes() for who in ("fed", "server") for v in log.values(who)}
    assert telling
    assert not telling & seen
    own = fed.fed_server.scheme.copies()[-1]
    numbers = sum(v.numel() for v in averaged(own).values())
    planned = sum_bytes(3, numbers)
    counted, traffic = fed.server.sent_bytes, fed.tallies[0].traffic
    assert counted["masked"] == 2 * planned.masked == 2 * traffic.model_up
    assert counted["public_keys"] == 2 * (planned.public_keys + planned.public_keys_down)
    assert counted["key_shares"] == 2 * (planned.key_shares + planned.key_shares_down)
    assert counted["unmasking"] == 2 * planned.unmasking
    assert traffic.secure_up == planned.public_keys + planned.key_shares + planned.unmasking
    assert log.received("fed")["masked"] == 2 * received(traffic)["fed"]["masked"]
    ours = ("public_keys", "key_shares", "unmasking")
    assert sum(log.received("fed")[kind] for kind in ours) == 2 * received(traffic)["fed"]["secure"]


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["fed", "in_turn"])
@pytest.mark.parametrize("kind", [LostBeforeItsMask, LostBehindItsMask])
def test_a_device_that_is_lost_does_not_lose_the_round(request, kind, name):
    """Before its vector came it is not in the sum, behind it it is; both servers agree."""
    fed = request.getfixturevalue(name)
    fed.train(LOOSE, devices={1: kind})
    lost = ("d1",) if kind is LostBeforeItsMask else ()
    assert [tally.dropped for tally in fed.tallies] == [lost, ("d1",)]
    learned = {"d0", "d2"} if lost and name == "fed" else {"d0", "d1", "d2"}
    assert set(fed.tallies[0].clients) == learned  # in turn the server has learned of all
    assert all(value.isfinite().all() for value in client_part(fed).values())


def test_too_few_end_the_run_in_one_sentence(fed):
    """The fed server says why, and rank 0 ends with it."""
    with pytest.raises(TrainingError, match=r"fed server: .*2 of 3 devices .* threshold is 3"):
        fed.train(SECURE, devices={1: LostBeforeItsMask})
