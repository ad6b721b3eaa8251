"""Device parts averaged every I rounds, against a loop written out in PyTorch alone."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

LR = 0.1
SIZES = (8, 12, 5, 9)
CUTS = ((3,), (3,), (1,), (3,))
"""The third client cuts earlier: the layer behind belongs to its server."""

pytestmark = pytest.mark.train


def clients(make):
    found = make.clients(SIZES, (3,), dtype=torch.float64)
    for client, cuts in zip(found, CUTS, strict=True):
        object.__setattr__(client, "cuts", cuts)
    return found


def scheme_of(make, name="splitfed_v1", **options):
    given = Options(learning_rate=LR, local_steps=1, **options)
    model = make.cnn(dtype=torch.float64)
    return SCHEMES[name](model, clients(make), given, make.split, seed=3)


def by_hand(make, interval, rounds):
    """Yield the mean model after every round: whole copies, of which parts are set to the mean."""
    model, own_clients = make.cnn(dtype=torch.float64), clients(make)
    copies = [copy.deepcopy(model) for _ in SIZES]
    weights = [size / sum(SIZES) for size in SIZES]
    for number in range(rounds):
        for own, client in zip(copies, own_clients, strict=True):
            ((inputs, targets),) = client.batches.take(1)
            loss = torch.nn.functional.cross_entropy(own(inputs), targets)
            gradients = torch.autograd.grad(loss, list(own.parameters()))
            with torch.no_grad():
                for p, g in zip(own.parameters(), gradients, strict=True):
                    p -= LR * g
        mean = {
            name: sum(w * own.state_dict()[name] for w, own in zip(weights, copies, strict=True))
            for name in model.state_dict()
        }
        yield mean
        for own, cuts in zip(copies, CUTS, strict=True):
            everything = (number + 1) % interval == 0
            for name, value in own.state_dict().items():
                if everything or int(name.split(".")[0]) >= cuts[0]:
                    value.copy_(mean[name])


@pytest.mark.one_quick
@pytest.mark.parametrize("interval", [1, 2, 3])
@pytest.mark.parametrize("batched", [False, True])
def test_it_is_the_loop_written_out(make, interval, batched):
    """Seven rounds in float64, with cuts of their own, side by side as well."""
    scheme = scheme_of(make, aggregation_interval=interval, batched=batched)
    for number, mean in enumerate(by_hand(make, interval, 7)):
        tally = scheme.round(number)
        for name, value in scheme.model.state_dict().items():
            torch.testing.assert_close(value, mean[name], rtol=0, atol=1e-12)
        assert (tally.traffic.model_down > 0) == (number % interval == 0)
        assert (tally.traffic.model_up > 0) == ((number + 1) % interval == 0)


@pytest.mark.slow
def test_an_interval_of_one_is_the_usual_run_bit_for_bit(plan_of):
    """The same weights, losses, traffic and identity as without the option."""
    plan = plan_of("few-splitfed")
    usual = splitopt.train(plan, rounds=3, options=Options(learning_rate=0.1))
    runs = {"learning_rate": 0.1, "aggregation_interval": 1}
    one = splitopt.train(plan, rounds=3, options=Options(**runs))
    assert one.history.to_dict() == usual.history.to_dict()
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, usual.model.state_dict()[name])
    apart = splitopt.train(plan, rounds=3, options=Options(**runs | {"aggregation_interval": 2}))
    assert not all(
        torch.equal(value, usual.model.state_dict()[name])
        for name, value in apart.model.state_dict().items()
    )


@pytest.mark.slow
def test_a_run_goes_on_between_two_aggregations(plan_of, tmp_path):
    """What the devices hold is in the checkpoint, too."""
    plan, options = plan_of("few-splitfed"), Options(aggregation_interval=3)
    whole = splitopt.train(plan, rounds=4, options=options)
    splitopt.train(plan, rounds=2, options=options, checkpoint=tmp_path / "kept")
    rest = splitopt.train(
        plan, rounds=4, options=options, checkpoint=tmp_path / "kept", resume=True
    )
    for name, value in rest.model.state_dict().items():
        assert torch.equal(value, whole.model.state_dict()[name])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"aggregation_interval": 0}, "aggregation_interval: is 0, it must be a whole number >= 1"),
        ({"client_fraction": 0.5}, "client_fraction: does not go together with an aggregation"),
        ({"optimizer_state": "average"}, "optimizer_state: does not go together"),
    ],
)
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        Options(**{"aggregation_interval": 2} | options)


def test_other_schemes_refuse_it(make):
    with pytest.raises(InputError, match="which is for splitfed_v1"):
        scheme_of(make, "federated", aggregation_interval=2)
