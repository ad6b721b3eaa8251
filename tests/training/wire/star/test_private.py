"""Differential privacy over connections: what one process learns, and what nobody else sees."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

from splitopt.errors import TrainingError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.private import plan_noise, spent  # noqa: E402
from splitopt.training.privacy.accounting import epsilon_of  # noqa: E402
from splitopt.training.privacy.entropy import Entropy  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.wire.star.device import Device  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError  # noqa: E402

pytestmark = pytest.mark.train

STAR = ["splitfed_v1", "clustered", "vanilla", "splitfed_v2", "federated"]
SIZES, BATCH = (10, 16, 7), 5


def options(privacy=(), **given):
    """Return options whose secrets can be repeated, unless they say otherwise."""
    fields = {"clip_norm": 0.5, "noise_multiplier": 1.0, "insecure_test_seed": 3, **dict(privacy)}
    return Options(batch_norm="frozen", privacy=Privacy(**fields), **given)


CASES = {
    "poisson": options(local_epochs=2, momentum=0.9, optimizer_state="keep"),
    "shuffled": options({"sampling": "shuffled"}, local_steps=3),
    "rescaled": options({"noise": "per_sample"}, local_epochs=2, cut_gradient="rescaled"),
    "seldom": options({"insecure_test_seed": 8}, local_steps=6),
}


def with_few(scheme):
    """Make batches so small that some have no sample."""
    for client in scheme.clients:
        client.batches.size = 1
    return scheme


class Few(Device):
    """A device whose batches have one sample on average, and often none."""

    def __init__(self, client, *given):
        client.batches.size = 1
        super().__init__(client, *given)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", STAR)
def test_rounds_are_those_of_one_process(wired, name, case):
    """With secrets from a test seed the whole state is the same, bit by bit."""
    given = CASES[case]
    wanted, found = wired.scheme_of(name, given), wired.scheme_of(name, given)
    devices = {}
    if case == "seldom":
        with_few(wanted), with_few(found)
        devices = dict.fromkeys(range(3), Few)
    tallies = [wanted.round(number) for number in range(2)]
    wired.train(name, given, scheme=found, devices=devices)
    assert wired.errors == {}
    wired.assert_same_state(found, wanted)
    assert wired.tallies == tallies
    assert spent(found) == spent(wanted)
    if case == "seldom":
        trained = sum(tally.samples for tally in tallies)
        assert 0 < trained < 2 * 6 * 3 * 4
        assert any(client.batches.exposures == 12 for client in found.clients)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2", "federated"])
def test_some_of_the_devices(wired, name):
    """Each draws, and is told, for the rounds that it takes part in alone."""
    target = {"noise_multiplier": None, "target_epsilon": 4.0}
    given = options(target, local_steps=2, client_fraction=0.5)
    wanted, found = wired.scheme_of(name, given), wired.scheme_of(name, given)
    for scheme in (wanted, found):
        plan_noise(scheme, 3)
    tallies = [wanted.round(number) for number in range(3)]
    wired.train(name, given, scheme=found, rounds=3)
    assert wired.errors == {}
    wired.assert_same_state(found, wanted)
    assert wired.tallies == tallies
    assert spent(found) == spent(wanted)
    assert max(spent(found).values()) <= 4.0
    assert len(set(spent(found).values())) > 1


@pytest.mark.slow
def test_epsilon_is_that_of_the_batches(wired):
    """By hand: 2 rounds of 3 batches at the rates 5/10, 5/16 and 5/7."""
    wired.train("splitfed_v1", options({"insecure_test_seed": None}, local_steps=3))
    assert wired.errors == {}
    assert spent(wired.scheme) == {
        f"d{k}": epsilon_of(1.0, BATCH / n, 6, 1e-5) for k, n in enumerate(SIZES)
    }


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["poisson", "shuffled"])
@pytest.mark.parametrize("name", STAR)
def test_nothing_that_a_device_draws_is_sent(wired, log, monkeypatch, name, sampling):
    """Noise, choices and orders are looked for in every message; of a walk only a count travels."""
    drawn = []
    for kind in ("normal", "chosen", "order"):
        real = getattr(Entropy, kind)

        def spy(self, *given, real=real):
            drawn.append(real(self, *given))
            return drawn[-1]

        monkeypatch.setattr(Entropy, kind, spy)
    wired.train(name, options({"sampling": sampling, "insecure_test_seed": None}), log=log)
    assert wired.errors == {}
    secrets = [value.double().flatten() for value in drawn if value.numel() > 4]
    assert len(secrets) > 20
    seen = 0
    for _, message in log.messages:
        walks = {key for key in message.tensors if key.startswith("batches.")}
        assert walks <= {"batches.exposures"}
        for tensor in message.tensors.values():
            flat = tensor.detach().double().flatten()
            seen += 1
            assert not any(len(flat) == len(one) and torch.equal(flat, one) for one in secrets)
    assert seen > 50


@pytest.mark.slow
def test_a_target_is_the_devices_own_limit(wired):
    """Each finds the noise by itself, and draws no batch beyond what it is for."""
    given = options({"noise_multiplier": None, "target_epsilon": 4.0}, local_steps=2)
    scheme = wired.scheme_of("splitfed_v1", given)
    plan_noise(scheme, 2)
    found = {}

    class Noted(Device):
        def give_part(self, steps):
            found[self.client.name] = self.client.guard.noise_multiplier
            super().give_part(steps)

    wired.train("splitfed_v1", given, scheme=scheme, devices=dict.fromkeys(range(3), Noted))
    assert wired.errors == {}
    assert found == {c.name: c.guard.noise_multiplier for c in scheme.clients}
    assert all(3.9 < epsilon <= 4.0 for epsilon in spent(scheme).values())
    again = wired.scheme_of("splitfed_v1", given)
    plan_noise(again, 2)
    with pytest.raises(TrainingError, match="target_epsilon is spent"):
        wired.train("splitfed_v1", given, scheme=again, rounds=3)


@pytest.mark.slow
def test_a_server_cannot_make_the_noise_smaller_on_the_way(wired):
    """Another number of batches than before is refused by the device."""
    given = options({"noise_multiplier": None, "target_epsilon": 4.0}, local_steps=2)
    scheme = wired.scheme_of("splitfed_v1", given)
    plan_noise(scheme, 8)

    def less(crew, number):
        scheme.clients[0].guard.planned = 4

    wired.train("splitfed_v1", given, scheme=scheme, between=less)
    assert "another number of batches" in str(wired.errors[0])
    assert wired.tallies[1].dropped == ("d0",)


@pytest.mark.parametrize("name", ["splitfed_v1", "clustered"])
def test_who_is_lost_counts_as_if_it_had_trained(wired, name):
    """Nobody knows what it did with its samples, so that all of it is counted."""

    class Lost(Device):
        def give_part(self, steps):
            raise ChannelClosedError("killed")

    wired.train(name, options(local_steps=3), rounds=1, devices={1: Lost})
    (tally,) = wired.tallies
    assert tally.dropped == ("d1",)
    assert [client.batches.exposures for client in wired.scheme.clients] == [3, 3, 3]


def test_a_device_believes_no_smaller_count(wired):
    """What a server says of it is taken if it is more."""
    (client, *_) = wired.scheme_of("splitfed_v1", options()).clients
    client.batches.exposures = 7
    client.batches.load_state_dict({"exposures": torch.tensor(2)})
    assert client.batches.exposures == 7
    client.batches.load_state_dict({"exposures": torch.tensor(9)})
    assert client.batches.exposures == 9


@pytest.mark.slow
def test_masked_parts_have_noise_too(wired):
    """Secure sums of private devices: what is learned is that of plain sums up to rounding."""
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    wanted = wired.scheme_of("alike", options())
    for number in range(2):
        wanted.round(number)
    wired.train("alike", options(secure_aggregation=True))
    assert wired.errors == {}
    found = wired.scheme.model.state_dict()
    for name, value in wanted.model.state_dict().items():
        assert torch.allclose(found[name].float(), value.float(), atol=1e-5)
