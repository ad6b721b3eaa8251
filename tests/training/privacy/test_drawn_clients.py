"""Some of the clients with privacy: each device's epsilon is that of its own rounds."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")
from scipy.optimize import brentq  # noqa: E402
from scipy.stats import norm  # noqa: E402

import splitopt  # noqa: E402
from splitopt.errors import TrainingError  # noqa: E402
from splitopt.report.training import training_to_html  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.private import plan_noise, rounds_of_each, spent  # noqa: E402
from splitopt.training.privacy.accounting import epsilon_of  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402

pytestmark = pytest.mark.train

SIGMA, ROUNDS, DELTA = 2.0, 12, 1e-5
SCHEMES = [("splitfed_v1", (3,)), ("splitfed_v2", (3,)), ("federated", ())]


def exact(rounds):
    """Return the least epsilon of so many Gaussian mechanisms (Balle and Wang 2018, Theorem 8)."""
    mu = math.sqrt(rounds) / SIGMA

    def excess(epsilon):
        left = norm.cdf(mu / 2 - epsilon / mu)
        return left - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - DELTA

    return brentq(excess, 0.0, 100.0)


@pytest.mark.one_quick
@pytest.mark.parametrize("sampling", ["poisson", "shuffled"])
@pytest.mark.parametrize(("name", "cuts"), SCHEMES)
def test_choosing_clients_amplifies_nothing(make, private, name, cuts, sampling):
    """With whole data sets as batches a device in r rounds is r Gaussian mechanisms.

    Whoever knows who was drawn, and everybody does, can tell a sample's presence by the closed form
    of these: an epsilon below it is false. That of sampling by the fraction would be.
    """
    clients = make.clients([4, 4, 4], cuts)
    given = {"client_fraction": 0.34, "sampling": sampling, "clip_norm": 1.0}
    scheme = private(name, make.cnn(), clients, noise_multiplier=SIGMA, delta=DELTA, **given)
    rounds = dict.fromkeys(("d0", "d1", "d2"), 0)
    for number in range(ROUNDS):
        for client in scheme.round(number).clients:
            rounds[client] += 1
    assert sum(rounds.values()) == ROUNDS
    assert rounds == rounds_of_each(scheme, ROUNDS)
    found = spent(scheme)
    for client, count in rounds.items():
        assert exact(count) <= found[client] <= 1.25 * exact(count) + 1e-9
        assert found[client] == epsilon_of(SIGMA, 1.0, count, DELTA)
    busiest = max(rounds.values())
    assert epsilon_of(SIGMA, 0.34, ROUNDS, DELTA) < exact(busiest)  # it would be false


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cuts"), SCHEMES)
def test_a_target_is_for_the_rounds_that_a_device_is_drawn_for(make, private, name, cuts):
    """Who is drawn more often gets more noise; nobody gets beyond the target."""
    clients = make.clients([8, 8, 8, 8], cuts)
    given = {"client_fraction": 0.5, "clip_norm": 1.0, "noise_multiplier": None}
    scheme = private(name, make.cnn(), clients, target_epsilon=3.0, **given)
    plan_noise(scheme, 8)
    taken = rounds_of_each(scheme, 8)
    assert len(set(taken.values())) > 1
    by_rounds = sorted(scheme.clients, key=lambda client: taken[client.name])
    noises = [client.guard.noise_multiplier for client in by_rounds]
    assert noises == sorted(noises)
    for number in range(8):
        scheme.round(number)
    found = spent(scheme)
    assert all(2.95 < found[name] <= 3.0 for name, count in taken.items() if count)
    with pytest.raises(TrainingError, match="target_epsilon is spent"):
        [scheme.round(number) for number in range(8, 12)]


def test_who_was_never_drawn_has_spent_nothing(make, private):
    """One of three clients in one round."""
    scheme = private(
        "splitfed_v1", make.cnn(), make.clients([8, 8, 8]), client_fraction=0.3, noise_multiplier=1
    )
    (drawn,) = scheme.round(0).clients
    assert {name for name, epsilon in spent(scheme).items() if epsilon > 0} == {drawn}


@pytest.mark.slow
def test_a_run_from_a_plan_counts_and_says_so(plan_of):
    """The history has every device's epsilon in every round, which grows where it took part."""
    privacy = Privacy(1.0, 2.0)
    options = Options(client_fraction=0.5, privacy=privacy)
    run = splitopt.train(plan_of("few-splitfed"), rounds=3, options=options)
    before = dict.fromkeys(run.history.rows[0].epsilon, 0.0)
    for row in run.history:
        for name, epsilon in row.epsilon.items():
            assert (epsilon > before[name]) == (name in row.clients), (row.round, name)
        before = dict(row.epsilon)
    assert "who is drawn is known to all" in training_to_html({"run": run.history})
