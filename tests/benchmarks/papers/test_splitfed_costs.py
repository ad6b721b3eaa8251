"""SplitFed's Table 2 by hand, and the conditions against the times they are about."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.papers.splitfed.costs import (
    Conditions,
    FourSchemes,
    UniformSetting,
    communication_per_client,
    derived_conditions,
    derived_time,
    fastest,
    printed_conditions,
    printed_time,
    total_communication,
)
from splitopt.latency.precision import double_precision

HAND = UniformSetting(
    clients=5,
    samples=100,
    smashed=3,
    model=50,
    client_share=0.2,
    rate=10,
    full_pass_s=30,
    aggregation_s=4,
    client_work=0.5,
)


def draw(count: int, seed: int = 7) -> UniformSetting:
    """Return random settings over several decades."""
    rng = np.random.default_rng(seed)
    decades = 10.0 ** rng.uniform(-2, 3, (6, count))
    samples, smashed, model, rate, full, aggregation = decades
    shares = rng.uniform(0, 1, (2, count))
    return UniformSetting(
        rng.integers(1, 100, count),
        samples,
        smashed,
        model,
        shares[0],
        rate,
        full,
        aggregation,
        shares[1],
    )


def test_by_hand():
    """A client moves 2 x 20 x 3 = 120 over the cut and 2 x 0.2 x 50 = 20 of the model."""
    assert communication_per_client(HAND) == pytest.approx((100, 140, 140, 140))
    assert total_communication(HAND) == pytest.approx((500, 700, 700, 700))
    assert printed_time(HAND) == pytest.approx((30 + 10 + 4, 30 + 70, 30 + 14 + 4, 30 + 14 + 2))
    # Side by side, 30 s become 6 s; in SFLV2 the server's half of them stays 15 s.
    assert derived_time(HAND) == pytest.approx((6 + 10 + 4, 100, 6 + 14 + 4, 3 + 15 + 14 + 2))


def test_derived_time_by_a_schedule():
    """Walk through an epoch client by client, with nothing but the definitions."""
    k, per_client = 5, 30 / 5
    own, at_server, moved = per_client * 0.5, per_client * 0.5, (120 + 20) / 10
    in_turn = sum(own + at_server + moved for _ in range(k))
    side_by_side = max(own + at_server + moved for _ in range(k)) + 4
    one_server = max(own + moved for _ in range(k)) + sum(at_server for _ in range(k)) + 2
    found = derived_time(HAND)
    assert found[1:] == pytest.approx((in_turn, side_by_side, one_server))


@pytest.mark.parametrize(
    ("times", "conditions"),
    [(printed_time, printed_conditions), (derived_time, derived_conditions)],
)
def test_conditions_are_the_differences_of_the_times(times, conditions):
    """Closed forms against subtraction, on random settings."""
    setting = draw(2000)
    fl, sl, v1, v2 = times(setting)
    expected = Conditions(sl - v1, v1 - v2, sl - v2, fl - v1)
    scale = np.max(np.abs([fl, sl, v1, v2]), axis=0)
    for margin, difference in zip(conditions(setting), expected, strict=True):
        assert np.abs(margin - difference).max() <= 1e-9 * scale.max()
        assert (np.abs(margin - difference) <= 1e-9 * scale).all()


def test_the_printed_order_fails_where_it_should():
    """SFLV1 before SL is false for one client, and for a slow aggregation; derived V2 is slower."""
    assert printed_conditions(HAND._replace(clients=1)).sflv1_before_sl < 0
    assert printed_conditions(HAND._replace(aggregation_s=57)).sflv1_before_sl < 0
    assert printed_conditions(HAND._replace(aggregation_s=55)).sflv1_before_sl > 0
    assert printed_conditions(HAND).sflv2_before_sflv1 > 0
    assert derived_conditions(HAND).sflv2_before_sflv1 < 0
    alone = HAND._replace(clients=1)
    assert derived_time(alone) == pytest.approx(printed_time(alone))


def test_derived_never_exceeds_printed_and_more_clients_help():
    """Derived times are at most the printed ones, and fall with K where all is side by side."""
    setting = draw(500)
    for printed, derived in zip(printed_time(setting), derived_time(setting), strict=True):
        assert (derived <= printed * (1 + 1e-12)).all()
    more = setting._replace(clients=setting.clients * 2)
    for scheme in ("fl", "sflv1", "sflv2"):
        assert (getattr(derived_time(more), scheme) <= getattr(derived_time(setting), scheme)).all()
    assert (derived_time(more).sl >= derived_time(setting).sl).all()
    for times in (printed_time, derived_time):
        slower = times(setting._replace(rate=setting.rate / 2))
        for after, before in zip(slower, times(setting), strict=True):
            assert (after >= before).all()


def test_conditions_for_traffic_and_time_against_federated_learning_agree():
    """SFLV1 moves less than FL exactly where its epoch is shorter."""
    setting = draw(500)
    fl, _, v1, _ = communication_per_client(setting)
    assert ((v1 < fl) == (printed_conditions(setting).sflv1_before_fl > 0)).all()


@pytest.mark.slow
def test_fastest_and_gradients():
    """The shortest of four, and a derivative: d T_SL / d R = -K (2 p q / K + 2 beta W) / R^2."""
    import jax

    assert fastest(derived_time(HAND)) == 0
    assert fastest(FourSchemes(np.array([3.0, 1.0]), 2.0, 2.0, 5.0)).tolist() == [1, 0]
    with double_precision():
        slope = jax.grad(lambda rate: derived_time(HAND._replace(rate=rate)).sl)(10.0)
    assert float(slope) == pytest.approx(-5 * 140 / 100)
