"""CPSL's latency model: its equations worked by hand, its published second, and JAX."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt import ClusterAndSpectrum, InputError, Scenario, load_profile
from splitopt.latency.cell import cell_seconds, cut_index
from splitopt.latency.clustered import (
    CutCosts,
    cluster_seconds,
    device_seconds,
    padded_clusters,
    phase_terms,
    round_seconds,
)
from splitopt.latency.precision import double_precision

COSTS = CutCosts(
    device_model_bytes=1000.0,
    smashed_bytes=50.0,
    gradient_bytes=40.0,
    device_forward_flop=2e6,
    device_backward_flop=3e6,
    server_flop=8e6,
)
SETTING = {
    "batch_size": 16,
    "device_speed": 1e8,
    "server_speed": 1e9,
    "downlink": 4000.0,
    "uplink": 2000.0,
    "subcarriers": 10,
}


def test_equations_15_to_23_by_hand():
    """Every part of a round, worked from the printed equations, Eq. 20 with and without B."""
    found = device_seconds(COSTS, **SETTING)
    assert found.broadcast == pytest.approx(8 * 1000 / (10 * 4000))
    assert found.forward == pytest.approx(16 * 2e6 / 1e8)
    assert found.backward == pytest.approx(16 * 3e6 / 1e8)
    assert found.upload_smashed == pytest.approx(16 * 8 * 50 / 2000)
    assert found.download_gradient == pytest.approx(16 * 8 * 40 / 4000)
    assert found.upload_model == pytest.approx(8 * 1000 / 2000)
    assert found.server == pytest.approx(16 * 8e6 / 1e9)
    literal = device_seconds(COSTS, **SETTING, gradient_batch_factor="literal")
    assert literal.download_gradient == pytest.approx(found.download_gradient / 16)
    with pytest.raises(InputError, match="must be 'literal' or 'corrected'"):
        device_seconds(COSTS, **SETTING, gradient_batch_factor="both")


@pytest.mark.parametrize("full_band", [False, True])
def test_equations_19_to_25_by_hand(full_band):
    """Two clusters, three local epochs, straight from the equations."""
    rng = np.random.default_rng(0)
    speed, rate = rng.uniform(1e8, 5e8, 5), rng.uniform(1e3, 5e3, 5)
    setting = {**SETTING, "device_speed": speed, "downlink": rate, "uplink": 2 * rate}
    seconds = device_seconds(COSTS, **setting)
    x, clusters, epochs = np.array([1.0, 2.0, 3.0, 2.0, 4.0]), [[3, 0, 4], [2, 1]], 3
    total = 0.0
    for cluster in clusters:
        server = len(cluster) * 16 * 8e6 / 1e9
        up = [16 * 8 * 50 / (x[k] * 2 * rate[k]) for k in cluster]
        down = [16 * 8 * 40 / (x[k] * rate[k]) for k in cluster]
        fore = [16 * 2e6 / speed[k] for k in cluster]
        back = [16 * 3e6 / speed[k] for k in cluster]
        load = [8000 / (10 * rate[k]) for k in cluster]
        send = [8000 / ((10 if full_band else x[k]) * 2 * rate[k]) for k in cluster]
        starting = max(map(math.fsum, zip(load, fore, up, strict=True))) + server
        inner = max(map(math.fsum, zip(down, back, fore, up, strict=True))) + server
        ending = max(map(math.fsum, zip(down, back, send, strict=True)))
        total += starting + (epochs - 1) * inner + ending
    terms = phase_terms(seconds, 10, full_band)
    found = round_seconds(terms, x, padded_clusters(clusters), [3, 2], seconds.server, epochs)
    assert found == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("full_band", [False, True])
def test_the_problem_scores_what_the_model_says(random_clusters, full_band):
    """`ClusterAndSpectrum.evaluate` is the latency model, for any clusters."""
    data = random_clusters(3, (4, 2, 3), 14, 3).data() | {"device_model_over_full_band": full_band}
    problem = ClusterAndSpectrum.from_data(data, "round")
    decision = problem.complete([[0, 5, 2, 8], [1, 7], [3, 4, 6]])
    found = cluster_seconds(
        problem.terms,
        decision.subcarriers,
        padded_clusters(decision.clusters),
        [4, 2, 3],
        problem.server_s_per_device,
        problem.local_epochs,
    )
    assert found == pytest.approx(problem.cluster_seconds(decision), rel=1e-14)
    assert found.sum() == pytest.approx(problem.evaluate(decision), rel=1e-14)


@pytest.mark.slow
def test_jax_differentiates_and_batches_the_round():
    """The gradient by the devices' speeds, against central differences; a batch at once."""
    import jax
    import jax.numpy as jnp

    clusters, x = padded_clusters([[3, 0], [2, 1]]), np.array([1.0, 2.0, 3.0, 2.0])

    def seconds(speed, xp):
        own = device_seconds(COSTS, **{**SETTING, "device_speed": speed})
        terms = phase_terms(own, xp=xp)
        return round_seconds(terms, xp.asarray(x), clusters, [2, 2], own.server, 2, xp)

    speed = np.array([1e8, 2e8, 1.5e8, 3e8])
    steps = np.diag(1e-5 * speed)
    slope = [(seconds(speed + s, np) - seconds(speed - s, np)) / (2 * s.sum()) for s in steps]
    many = np.random.default_rng(0).uniform(1e8, 3e8, (50, 4))
    with double_precision():
        found = jax.grad(lambda s: seconds(s, jnp))(jnp.asarray(speed))
        batch = jax.jit(jax.vmap(lambda s: seconds(s, jnp)))(jnp.asarray(many))
    assert np.asarray(found) == pytest.approx(np.array(slope), rel=1e-6, abs=1e-16)
    assert np.asarray(batch) == pytest.approx([seconds(one, np) for one in many], rel=1e-12)


def test_leading_axes_are_samples():
    """Many samples of the speeds at once: the same as one by one."""
    clusters = padded_clusters([[3, 0], [2, 1]])
    speed = np.random.default_rng(0).uniform(1e8, 3e8, (6, 4))
    own = device_seconds(COSTS, **{**SETTING, "device_speed": speed})
    terms = phase_terms(own)
    assert terms.shape == (6, 4, 6)
    together = round_seconds(terms, np.ones((6, 4)), clusters, [2, 2], own.server, 1)
    alone = [round_seconds(t, np.ones(4), clusters, [2, 2], own.server, 1) for t in terms]
    assert together == pytest.approx(np.array(alone), rel=1e-15)


def cell(**changes):
    """Change sections of the shipped scenario."""
    return Scenario.from_dict({**Scenario.load("cpsl-identical").to_dict(), **changes})


def test_the_published_round():
    """The shipped scenario gives CPSL's 3.78 s, and clusters of one device its 13.90 s of SL."""
    for size, published in ((5, 3.78), (1, 13.90)):
        clusters = {"size": size, "cut": "CONV1-POOL1", "gradient_batch_factor": "literal"}
        problem = ClusterAndSpectrum.from_scenario(cell(clusters=clusters))
        decision = problem.complete(np.arange(30).reshape(-1, size))
        assert problem.evaluate(decision) == pytest.approx(published, abs=0.006)
        assert problem.bound() == pytest.approx(problem.evaluate(decision), rel=1e-12)


def test_a_scenario_is_its_known_instance(five_identical):
    """Table II read with KiB, Eq. 20 and 23 as printed: the known instance of five devices."""
    document = cell(
        spectrum={"subcarriers": 30, "bandwidth": "1 MHz"},
        clusters={"size": 5, "cut": 1, "gradient_batch_factor": "literal"},
    ).to_dict()
    document["devices"][0]["count"] = 5
    problem = ClusterAndSpectrum.from_scenario(Scenario.from_dict(document))
    for name, value in five_identical["data"].items():
        assert problem.data()[name] == pytest.approx(np.array(value), rel=1e-14), name


def test_signals_follow_from_powers():
    """Eq. 14: P |h|^2 / (N0 W) of one subcarrier, by direction; fading lowers the mean rate."""
    radio = {"channel_gain": 1e-9, "noise_density_dbm_per_hz": -150}
    links = {
        "downlink": {"transmit_power": "1 W", **radio},
        "uplink": {"transmit_power": "0.1 W", **radio},
    }
    document = cell(links=links).to_dict()
    del document["devices"][0]["snr"]
    scenario = Scenario.from_dict(document)
    profile = scenario.load_model()
    found = cell_seconds(scenario, profile, 1)
    model_bits = 8 * 0.67e6
    down = 1e6 * math.log2(1 + 1e-9 / (1e-18 * 1e6))
    up = 1e6 * math.log2(1 + 1e-10 / (1e-18 * 1e6))
    assert found.broadcast == pytest.approx(np.full(30, model_bits / (30 * down)), rel=1e-9)
    assert found.upload_model == pytest.approx(np.full(30, model_bits / up), rel=1e-9)
    given = cell_seconds(scenario, profile, 1, snr=np.full((2, 30), 50.0), speed=np.full(30, 2e9))
    assert given.upload_model.shape == (2, 30)
    assert given.upload_model[0, 0] == pytest.approx(model_bits / (1e6 * math.log2(51)))
    assert given.forward == pytest.approx(np.full(30, 16 * 5.6e6 / 1e9))


def test_measured_machines_have_their_own_seconds():
    """Forward, and backward with the update, add up over the layers before the cut."""
    document = cell(model={"profile": "resnet101-cifar", "fill": "flop_ratio"}).to_dict()
    document["devices"] = [
        {"name": "pi", "machine": "d1", "samples": 100, "batch_size": 8, "snr_db": 10},
        {"name": "fast", "compute": "1 TFLOP/s", "samples": 100, "batch_size": 4, "snr_db": 20},
    ]
    document["clusters"] = {"sizes": [2], "cut": 7}
    scenario = Scenario.from_dict(document)
    profile = scenario.load_model()
    found = cell_seconds(scenario, profile, 7)
    times = profile.machines["d1"]
    assert found.forward[0] == pytest.approx(8 * times.forward_s[:7].sum())
    assert (found.forward + found.backward)[0] == pytest.approx(8 * profile.device_seconds("d1")[6])
    assert found.backward[1] == pytest.approx(4 * profile.device_backward_flop[6] / 1e12)
    work = profile.server_forward_flop[6] + profile.server_backward_flop[6]
    assert found.server == pytest.approx(6 * work / scenario.servers[0].compute)
    with pytest.raises(InputError, match="'d1' is a measured machine, whose speed does not vary"):
        cell_seconds(scenario, profile, 7, speed=np.ones(2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clusters": None}, "needs the sections 'spectrum' .* and 'clusters'"),
        ({"clusters": {"size": 5}}, "clusters.cut: is 'auto', but this problem takes the cut as"),
        ({"clusters": {"size": 5, "cut": "POOL9"}}, "cut: is 'POOL9', the layers are CONV1-POOL1"),
        ({"clusters": {"size": 5, "cut": 3}}, "cut: is 3, cpsl-lenet-paper has 2 layers"),
        ({"clusters": {"size": 7, "cut": 1}}, "size: is 7, but 30 devices do not divide"),
        ({"clusters": {"sizes": [9, 20]}}, "sizes: add up to 29, they must add up to the 30"),
        ({"clusters": {"cut": 1}}, "clusters: needs either 'size'"),
        ({"spectrum": None}, "there is no 'spectrum' to share"),
        ({"spectrum": {"subcarriers": 0, "bandwidth": "1 MHz"}}, "spectrum.subcarriers: is 0"),
        (
            {"links": {"downlink": "9 Mbit/s", "uplink": {"snr_db": 3}}},
            "its downlink has a rate, but a subcarrier needs a signal-to-noise ratio",
        ),
    ],
)
def test_wrong_cells_are_one_sentence(changes, words):
    """What a cell lacks or contradicts is named with the mend."""
    document = Scenario.load("cpsl-identical").to_dict()
    if "links" in changes:
        del document["devices"][0]["snr"]
    merged = {**document, **changes}
    given = {key: value for key, value in merged.items() if value is not None}
    with pytest.raises(InputError, match=words):
        ClusterAndSpectrum.from_scenario(Scenario.from_dict(given))


def test_a_batch_size_is_needed():
    """A local epoch is one mini-batch, so its size must be known."""
    document = Scenario.load("cpsl-identical").to_dict()
    del document["devices"][0]["batch_size"]
    with pytest.raises(InputError, match=r"devices\[0\] \(device-1\): has no batch_size"):
        ClusterAndSpectrum.from_scenario(Scenario.from_dict(document))


def test_cuts_by_name_and_number():
    """A layer's name is the cut behind it."""
    profile = load_profile("cpsl-lenet-valid")
    assert cut_index(profile, "POOL1") == cut_index(profile, 3) == 3
    assert cut_index(profile, "FC3") == profile.layer_count == 12
