"""Differential privacy with two servers: each device its own secrets, and neither server any."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

from splitopt.errors import TrainingError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.private import plan_noise, spent  # noqa: E402
from splitopt.training.privacy.accounting import epsilon_of  # noqa: E402
from splitopt.training.privacy.entropy import Entropy  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.star.fed.device import FedDevice  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError  # noqa: E402

pytestmark = pytest.mark.train

SIZES, BATCH = (10, 16, 7), 5
WAYS = {
    "side by side": ("fed", {}),
    "client": ("in_turn", {"server_order": "client"}),
    "batch": ("in_turn", {"server_order": "batch"}),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)


def options(privacy=(), **given):
    """Return options whose secrets can be repeated, unless they say otherwise."""
    fields = {"clip_norm": 0.5, "noise_multiplier": 1.0, "insecure_test_seed": 3, **dict(privacy)}
    return Options(fed_server=True, batch_norm="frozen", privacy=Privacy(**fields), **given)


CASES = {
    "poisson": options(local_epochs=2, momentum=0.9, optimizer_state="keep"),
    "shuffled": options({"sampling": "shuffled"}, local_steps=3),
    "some": options(local_steps=2, client_fraction=0.5),
    "model": options({"covers": "model"}, local_steps=3, momentum=0.9, optimizer_state="keep"),
    "seldom": options({"insecure_test_seed": 8}, local_steps=6),
}


@pytest.fixture
def run(request, way):
    """Return a training with a fed server, and options made for it from others."""
    name, order = WAYS[way]
    return request.getfixturevalue(name), lambda given: replace(given, **order)


def few(fed, monkeypatch):
    """Make batches so small that some have no sample."""
    real = fed.clients_for

    def clients_for(given):
        clients = real(given)
        for client in clients:
            client.batches.size = 1
        return clients

    monkeypatch.setattr(fed, "clients_for", clients_for)


@pytest.mark.slow
@EVERY_WAY
@pytest.mark.parametrize("case", ["poisson", "shuffled", "some", "seldom", "model"])
def test_rounds_are_those_of_one_process(run, case, monkeypatch):
    """With secrets from a test seed both parts are the same, bit by bit, and so is epsilon."""
    fed, of = run
    given = of(CASES[case])
    if case == "seldom":
        few(fed, monkeypatch)
    wanted = fed.scheme_of(given)
    tallies = [wanted.round(number) for number in range(2)]
    fed.train(given)
    assert fed.errors == {}
    assert fed.tallies == tallies
    assert spent(fed.scheme) == spent(wanted) != {}
    client_part, server_part = fed.parts(wanted)
    known = wanted.model.state_dict()
    for scheme, names in ((fed.scheme, server_part), (fed.fed_server.scheme, client_part)):
        for name in names:
            assert torch.equal(scheme.model.state_dict()[name], known[name]), name
    if case == "seldom":
        assert 0 < sum(tally.samples for tally in tallies) < 2 * 6 * 3 * 4


@pytest.mark.slow
@EVERY_WAY
@pytest.mark.parametrize("sampling", ["poisson", "shuffled"])
def test_nothing_that_a_device_draws_is_sent(run, log, monkeypatch, sampling):
    """Noise, choices and orders are looked for in every message that any party receives.

    Of a walk through the data only a count travels, to rank 0 alone.
    """
    fed, of = run
    drawn = []
    for kind in ("normal", "chosen", "order"):
        real = getattr(Entropy, kind)

        def spy(self, *given, real=real):
            drawn.append(real(self, *given))
            return drawn[-1]

        monkeypatch.setattr(Entropy, kind, spy)
    given = of(options({"sampling": sampling, "insecure_test_seed": None}))
    fed.train(given, log=log)
    assert fed.errors == {}
    secrets = [value.double().flatten() for value in drawn if value.numel() > 4]
    assert len(secrets) > 20
    seen = {"server": 0, "fed": 0, "d0": 0, "d1": 0, "d2": 0}
    counts = set()
    for party, message in log.messages:
        seen[party] += len(message.tensors)
        walks = {key for key in message.tensors if key.startswith("batches.")}
        assert walks <= {"batches.exposures"}
        counts |= {(party, message.kind) for _ in walks}
        for tensor in message.tensors.values():
            flat = tensor.detach().double().flatten()
            assert not any(len(flat) == len(one) and torch.equal(flat, one) for one in secrets)
    assert all(count > 5 for count in seen.values())
    assert counts == {("server", "state"), *((f"d{k}", "begin") for k in range(3))}


@pytest.mark.slow
@EVERY_WAY
def test_neither_server_gets_what_is_the_others(run, log):
    """As without privacy: kinds of messages, and names of what is control."""
    fed, of = run
    given = of(options(momentum=0.9, optimizer_state="keep"))
    fed.train(given, log=log)
    assert fed.errors == {}
    assert not {"model", "masked"} & set(log.received("server"))
    assert not {"smashed", "labels", "gradient"} & set(log.received("fed"))
    for party, own in (
        ("server", {"batches", "stream", "crossing"}),
        ("fed", {"buffers", "moments"}),
    ):
        states = [m for who, m in log.messages if who == party and m.kind == "state"]
        assert len(states) == 6
        assert {name.split(".")[0] for m in states for name in m.tensors} <= own


@pytest.mark.slow
@EVERY_WAY
def test_epsilon_is_that_of_the_batches(run):
    """By hand: 2 rounds of 3 batches at the rates 5/10, 5/16 and 5/7, as rank 0 has counted."""
    fed, of = run
    fed.train(of(options({"insecure_test_seed": None}, local_steps=3)))
    assert fed.errors == {}
    wanted = {f"d{k}": epsilon_of(1.0, BATCH / n, 6, 1e-5) for k, n in enumerate(SIZES)}
    assert spent(fed.scheme) == wanted


@pytest.mark.one_quick
@EVERY_WAY
def test_who_is_lost_counts_as_if_it_had_trained(run):
    """For whichever server it is lost."""
    fed, of = run

    class Lost(FedDevice):
        def give_part(self, steps):
            raise ChannelClosedError("killed")

    class Withholding(FedDevice):
        def give_part(self, steps):
            pass

    devices = {0: Lost, 1: Withholding}
    given = of(options(local_steps=3))
    fed.train(given, rounds=1, devices=devices, deadline=Deadline(None, 10.0))
    assert fed.tallies[0].dropped == ("d0", "d1")
    assert [client.batches.exposures for client in fed.scheme.clients] == [3, 3, 3]


@pytest.mark.slow
@EVERY_WAY
def test_a_target_is_the_devices_own_limit(run, monkeypatch):
    """Each finds the noise by itself, and draws no batch beyond what it is for."""
    fed, of = run
    given = of(options({"noise_multiplier": None, "target_epsilon": 4.0}, local_steps=2))
    real, found = fed.scheme_of, {}

    def planned(options, seed=0):
        scheme = real(options, seed)
        plan_noise(scheme, 2)
        return scheme

    class Noted(FedDevice):
        def give_part(self, steps):
            found[self.client.name] = self.client.guard.noise_multiplier
            super().give_part(steps)

    monkeypatch.setattr(fed, "scheme_of", planned)
    fed.train(given, devices=dict.fromkeys(range(3), Noted))
    assert fed.errors == {}
    assert found == {c.name: c.guard.noise_multiplier for c in fed.scheme.clients}
    assert all(3.9 < epsilon <= 4.0 for epsilon in spent(fed.scheme).values())
    with pytest.raises(TrainingError, match="target_epsilon is spent"):
        fed.train(given, rounds=3)


@pytest.mark.slow
def test_masked_parts_have_noise_too(fed):
    """The fed server sees sums of noisy parts alone, and learns what plain sums would give."""
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    wanted = fed.scheme_of(options())
    for number in range(2):
        wanted.round(number)
    fed.train(replace(options(), secure_aggregation=True))
    assert fed.errors == {}
    found = fed.fed_server.scheme.model.state_dict()
    client_part, _ = fed.parts(wanted)
    for name in client_part:
        assert torch.allclose(
            found[name].float(), wanted.model.state_dict()[name].float(), atol=1e-5
        )
