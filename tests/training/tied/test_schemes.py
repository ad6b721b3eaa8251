"""Tied weights: a language model whose head is its embedding, trained split as whole."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt import InputError  # noqa: E402
from splitopt.training.remembering_options import Remembering  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.schemes.shared_server import SharedServer  # noqa: E402
from tests.training.tied.cases import (  # noqa: E402
    EPOCHS,
    KNOWN,
    SAMPLES,
    SHARED,
    STEPS,
    TOKENS,
    WEIGHT,
    WIDTH,
    Models,
    assert_equal,
    network,
    scheme_of,
    trained_whole,
    turns_of,
)

pytestmark = pytest.mark.train

CHAINS = [
    ("splitfed_v1", ("tokens",)),
    ("splitfed_v1", ("blocks.0",)),
    ("splitfed_v1", ("norm",)),
    ("u_shaped", ("add", "norm")),
    ("multihop", ("add", "blocks.0", "norm")),
    ("split_nn", ("tokens", "norm")),
    ("vanilla", ("blocks.0",)),
    ("splitfed_v2", ("tokens",)),
    ("clustered", ("norm",)),
]


@pytest.mark.parametrize("optimizer", KNOWN)
@pytest.mark.parametrize(("name", "cuts"), CHAINS, ids=lambda value: "-".join([*value][:3]))
@pytest.mark.one_quick
def test_split_is_whole(name, cuts, optimizer):
    """Bit by bit what PyTorch alone makes of the whole model, as both copies or in one hand."""
    own, kind, keywords = KNOWN[optimizer]
    scheme = scheme_of(name, cuts, **own)
    for number in range(2):
        scheme.round(number)
    assert_equal(scheme.model.state_dict(), trained_whole(kind, keywords, 2))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", KNOWN)
@pytest.mark.parametrize(
    ("name", "more"), SHARED, ids=["vanilla", "clients", "batches", "mean", "rescaled"]
)
def test_one_server_part_is_whole_models_that_share_layers(name, more, optimizer):
    """Each device with the server's copy of its weight is a model; the other layers are one."""
    own, kind, keywords = KNOWN[optimizer]
    scheme = scheme_of(name, ("blocks.0",), count=3, **own, **more)
    if name == "clustered":
        scheme.cluster([[2, 0], [1]])
    whole = Models(3, kind, keywords)
    for number in range(2):
        traffic = scheme.round(number).traffic
        for members, steps in turns_of(name, scheme, number):
            whole.hand_out(members)
            for clients in steps:
                whole.step(clients, rescaled=more.get("cut_gradient") == "rescaled")
            whole.collect(members)
    found, wanted = scheme.model.state_dict(), whole.common.state_dict()
    for key, value in wanted.items():
        assert torch.allclose(found[key], value, rtol=1e-10, atol=1e-10), key
    begun = network().state_dict()
    assert not torch.allclose(found["tokens.weight"], begun["tokens.weight"], atol=1e-3)
    assert traffic.tied_down == 3 * STEPS * WEIGHT
    assert traffic.tied_up == 3 * (STEPS - 1) * WEIGHT


@pytest.mark.slow
def test_turns_of_some_batches_and_replay_train_tied_weights():
    """Each turn ends with the weight itself; what is replayed is computed with the same copy."""
    remembering = Remembering(turn_batches=2)
    scheme = scheme_of("vanilla", ("blocks.0",), count=2, remembering=remembering)
    traffic = scheme.round(0).traffic
    assert traffic.tied_down == 2 * STEPS * WEIGHT
    assert traffic.tied_up == 2 * (STEPS // 2) * WEIGHT
    with pytest.raises(InputError, match="ewc: penalises the weights of each part by itself"):
        scheme_of("vanilla", ("blocks.0",), count=2, remembering=Remembering(ewc=1.0))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", KNOWN)
@pytest.mark.parametrize(
    ("name", "cuts"), [*CHAINS[1:5:2], *CHAINS[6:]], ids=lambda value: "-".join([*value][:3])
)
def test_a_state_is_all_that_the_next_round_needs(name, cuts, optimizer):
    """Moments of the tied weight above all: they are those of one party's optimizer."""
    own = KNOWN[optimizer][0]
    wanted, begun = scheme_of(name, cuts, count=2, **own), scheme_of(name, cuts, count=2, **own)
    for number in range(3):
        wanted.round(number)
    begun.round(0)
    resumed = scheme_of(name, cuts, count=2, **own)
    resumed.load_state_dict(begun.state_dict())
    for number in (1, 2):
        resumed.round(number)
    assert_equal(resumed.state_dict(), wanted.state_dict())


@pytest.mark.slow
def test_bytes_by_hand():
    """Down with every mini-batch, up with all but the first; in one hand nothing, once a model."""
    traffic = scheme_of("splitfed_v1", ("blocks.0",), count=3).round(0).traffic
    assert traffic.tied_down == 3 * STEPS * WEIGHT
    assert traffic.tied_up == 3 * (STEPS - 1) * WEIGHT
    crossed = 3 * EPOCHS * SAMPLES * TOKENS * WIDTH * 8
    assert (traffic.smashed, traffic.gradient) == (crossed, crossed)
    alone = scheme_of("u_shaped", ("add", "norm"), count=3).round(0).traffic
    assert "tied_down" in traffic.to_dict()
    assert "tied_down" not in alone.to_dict()
    # Embedding and head are one weight; the positions are beside them, and the head has no bias.
    assert alone.model_down == alone.model_up == 3 * (WEIGHT + 8 * TOKENS * WIDTH)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.slow
def test_stacked_clients_are_those_one_by_one():
    """Sums are taken in another order, which 1e-10 allows in float64."""
    alone = scheme_of("splitfed_v1", ("blocks.0",), count=3, momentum=0.9)
    together = scheme_of("splitfed_v1", ("blocks.0",), count=3, momentum=0.9, batched=True)
    for number in range(2):
        assert alone.round(number).traffic == together.round(number).traffic
    for name, value in alone.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(together.state_dict()[name], value, atol=1e-10), name


class Unaware(SharedServer):
    """A scheme of somebody else, which says nothing of tied weights."""

    name = "unaware"

    def round(self, number):
        raise NotImplementedError


def test_schemes_that_exchange_nothing_are_refused(monkeypatch):
    """A server part that nobody keeps equal to the devices' would train another model."""
    monkeypatch.setitem(SCHEMES, "unaware", Unaware)
    with pytest.raises(InputError, match=r"tokens\.weight to several parties; train by splitfed"):
        scheme_of("unaware", ("norm",))
    scheme_of("unaware", ("norm",), network(tied=False))
