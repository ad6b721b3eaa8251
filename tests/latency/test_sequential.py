"""Sequential schemes: DP-MORA's Tables 2 and 3 and the reductions of its section 7.2."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError, Scenario
from splitopt.latency.precision import double_precision
from splitopt.latency.sequential import device_round, sequential_round, wait_for_last
from splitopt.latency.split_federated import PhaseSeconds, phase_seconds

DP_MORA_CUTS = np.array([5, 9, 9, 5, 9, 9, 5, 9, 9, 5])
SAME_CUT = np.full(10, 5)
PUBLISHED_DP_MORA_S = 38_240.0
REPLAYED_DP_MORA_S = 38_542.9


@pytest.fixture(scope="module")
def published():
    """Return the seconds of DP-MORA's section 7.2 with ResNet-18 and the proportional shares."""
    scenario = Scenario.load("dp-mora-resnet18")
    batches = np.array([device.batch_size for device in scenario.fleet()])
    return phase_seconds(scenario, scenario.load_model()), batches / batches.sum()


def less(seconds, than):
    return 100 * (1 - seconds / than)


def test_sf1af_starts_as_in_table_2(published):
    """Table 2 prints when each device's turn comes as SF1AF's waiting latency."""
    table = [0, 20.99, 44.69, 61.15, 103.12, 131.57, 146.19, 196.56, 220.27, 238.55]
    found = sequential_round(published[0], SAME_CUT, np.full(10, 0.1))
    assert found.wait_for_turn / 1000 == pytest.approx(table, abs=0.02)


def test_sf2af_starts_as_in_table_2(published):
    """The same for SF2AF, with DP-MORA's own cuts."""
    table = [0, 20.99, 42.26, 52.69, 94.66, 120.19, 129.46, 179.82, 201.09, 212.68]
    found = sequential_round(published[0], DP_MORA_CUTS, np.full(10, 0.1))
    assert found.wait_for_turn / 1000 == pytest.approx(table, abs=0.3)


@pytest.mark.parametrize(
    ("cuts", "proportional", "printed", "replayed"),
    [
        (SAME_CUT, False, 86.02, 85.9),
        (SAME_CUT, True, 86.35, 86.3),
        (DP_MORA_CUTS, False, 84.56, 84.5),
        (DP_MORA_CUTS, True, 85.14, 85.0),
    ],
    ids=["SF1AF", "SF1PF", "SF2AF", "SF2PF"],
)
def test_reductions_of_section_7_2(published, cuts, proportional, printed, replayed):
    """With shares kept, the sequential rounds are as much longer as section 7.2 prints."""
    seconds, batch_share = published
    share = batch_share if proportional else np.full(10, 0.1)
    round_s = sequential_round(seconds, cuts, share).round_s
    assert less(PUBLISHED_DP_MORA_S, round_s) == pytest.approx(printed, abs=0.03)
    assert less(REPLAYED_DP_MORA_S, round_s) == pytest.approx(replayed, abs=0.06)


def test_full_resources_leave_less_to_gain(published):
    """With all resources for whoever runs, the reduction would be 74 or 79 %."""
    rounds = [sequential_round(published[0], cuts).round_s for cuts in (SAME_CUT, DP_MORA_CUTS)]
    assert [less(REPLAYED_DP_MORA_S, r) for r in rounds] == pytest.approx([74, 79], abs=0.5)


def test_by_hand():
    """Two devices, one after the other, in either order and reading."""
    tables = PhaseSeconds(*(np.array([[row], [2 * row]]) for row in (1.0, 2.0, 3.0, 4.0)))
    kept = sequential_round(tables, [1, 1], np.array([0.5, 0.5]))
    assert kept.finish.tolist() == [16.0, 48.0]  # 6 / 0.5 + 4, then twice that
    full = sequential_round(tables, [1, 1])
    assert (full.start.tolist(), full.finish.tolist(), full.round_s) == ([0, 10], [10, 30], 30)
    assert full.wait_for_last.tolist() == [20, 0]
    turned = sequential_round(tables, [1, 1], order=[1, 0])
    assert (turned.start.tolist(), turned.round_s) == ([20, 0], 30)
    uneven = device_round(tables, [1, 1], np.array([[0.5, 1.0, 0.1], [1.0, 1.0, 0.0]]))
    assert uneven.tolist() == [1 / 0.5 + 2 + 3 / 0.1 + 4, np.inf]
    assert wait_for_last(np.array([3.0, 5.0])).tolist() == [2.0, 0.0]
    with pytest.raises(InputError, match="each of the devices"):
        sequential_round(tables, [1, 1], order=[0, 0])


@pytest.mark.slow
def test_jax_gives_the_same_and_a_gradient(published):
    """The schedule can be compiled and differentiated by the shares, in double precision."""
    import jax

    seconds, share = published
    with double_precision():
        import jax.numpy as jnp

        tables = PhaseSeconds(*map(jnp.asarray, vars(seconds).values()))

        def length(part):
            return sequential_round(tables, SAME_CUT, part, xp=jnp).round_s

        assert float(jax.jit(length)(share)) == pytest.approx(
            sequential_round(seconds, SAME_CUT, share).round_s, rel=1e-12
        )
        slope = np.asarray(jax.grad(length)(jnp.asarray(share)))
    step = 1e-6
    for n in (0, 6):
        moved = share.copy()
        moved[n] += step
        above = sequential_round(seconds, SAME_CUT, moved).round_s
        moved[n] -= 2 * step
        below = sequential_round(seconds, SAME_CUT, moved).round_s
        assert slope[n] == pytest.approx((above - below) / (2 * step), rel=1e-5)
