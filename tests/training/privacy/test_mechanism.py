"""Clip, sum, noise: by hand, against plain training, and the distribution of what is added."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")
from scipy.stats import binom, chisquare, kstest  # noqa: E402
from torch import nn  # noqa: E402

from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy.batches import PrivateBatches  # noqa: E402
from splitopt.training.privacy.entropy import Entropy  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import SCHEMES, Client  # noqa: E402
from splitopt.training.tasks.known import LANGUAGE  # noqa: E402

pytestmark = pytest.mark.train

SIZES = (10, 16, 7)
EACH = [
    ("splitfed_v1", (3,)),
    ("splitfed_v2", (3,)),
    ("vanilla", (6,)),
    ("clustered", (3,)),
    ("federated", ()),
    ("multihop", (2, 4, 6)),
    ("u_shaped", (3, 6)),
    ("split_nn", (3, 6)),
]


def same_order(scheme, plain):
    """Have private batches walk in the order in which those of plain training do."""
    for own, other in zip(scheme.clients, plain.clients, strict=True):
        generator = other.batches.generator.clone_state()
        count = own.samples
        own.batches._entropy.order = lambda _, g=generator, n=count: torch.randperm(n, generator=g)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "cuts", "cut_gradient"),
    [*((*one, "mean") for one in EACH), ("clustered", (3,), "rescaled")],
)
def test_without_noise_and_with_a_huge_limit_it_is_plain_training(
    make, private, name, cuts, cut_gradient
):
    """Two rounds of every scheme in float64, with an in-place model, to 1e-10."""
    kind = {"dtype": torch.float64}
    given = {"learning_rate": 0.3, "momentum": 0.5, "cut_gradient": cut_gradient}
    for covers in ("client", "model"):
        if covers == "model" and name == "clustered":
            continue
        clients = make.clients(SIZES, cuts, **kind)
        scheme = private(
            name, make.cnn(**kind), clients, sampling="shuffled", covers=covers, **given
        )
        plain = SCHEMES[name](
            make.cnn(**kind), make.clients(SIZES, cuts, **kind), Options(**given), make.split
        )
        same_order(scheme, plain)
        for number in range(2):
            for one in (plain, scheme):
                if name == "clustered":
                    one.cluster([[0, 2], [1]])
            tallies = plain.round(number), scheme.round(number)
            assert tallies[0].traffic == tallies[1].traffic
            assert tallies[0].loss == pytest.approx(tallies[1].loss, abs=1e-10)
        for key, value in plain.model.state_dict().items():
            torch.testing.assert_close(
                scheme.model.state_dict()[key], value, rtol=1e-10, atol=1e-10, msg=key
            )


def linear(rows, targets, batch=None, cut=1):
    """Return a model of one layer on the device, and its client."""
    model = nn.Sequential(nn.Linear(len(rows[0]), 1, bias=False), nn.Identity())
    nn.init.zeros_(model[0].weight)
    x, y = torch.tensor(rows), torch.tensor(targets).reshape(-1, 1)
    return model, [Client("a", Batches(x, y, batch, 0), Stream(0), (cut,) if cut else ())]


def halves(outputs, targets):
    """Return a loss whose gradient at output 0 is minus the target."""
    return ((outputs - targets) ** 2).mean() / 2


def test_clipping_is_of_the_own_gradient_of_a_sample(private):
    """By hand: gradients (-3, -4), (-.3, 0), (0, -2) in limit 1 are (-.6, -.8), (-.3, 0), (0, -1).

    Their mean is (-.3, -.6). Clipped as they come back from a mean of three they would be (-1/3,
    -4/9), (-.1, 0) and (0, -2/3), or so.
    """
    for noise, sampling in (("per_batch", "shuffled"), ("per_sample", "poisson")):
        model, clients = linear([[3.0, 4.0], [0.3, 0.0], [0.0, 2.0]], [1.0, 1.0, 1.0])
        scheme = private(
            "splitfed_v1",
            model,
            clients,
            loss=halves,
            clip_norm=1.0,
            learning_rate=1.0,
            sampling=sampling,
            noise=noise,
        )
        scheme.round(0)
        torch.testing.assert_close(scheme.model[0].weight.detach(), torch.tensor([[0.3, 0.6]]))


def test_the_norm_is_over_both_parts_of_a_device(private):
    """U-shaped, by hand: (3, 4) over two parts of one number each is (.6, .8) in limit 1."""
    model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3)))
    for layer, value in zip(model, (4.0, 1.0, 3.0), strict=True):
        nn.init.constant_(layer.weight, value)
    clients = [Client("a", Batches(torch.ones(1, 1), torch.ones(1, 1), None, 0), Stream(0), (1, 2))]

    def itself(outputs, _):
        return outputs.mean()

    scheme = private(
        "u_shaped",
        model,
        clients,
        loss=itself,
        clip_norm=1.0,
        learning_rate=1.0,
        sampling="shuffled",
    )
    scheme.round(0)
    moved = [float(layer.weight.detach()) for layer in scheme.model]
    assert moved == pytest.approx([4.0 - 0.6, 1.0 - 12.0, 3.0 - 0.8])


@pytest.mark.parametrize(
    ("noise", "sampling", "factor"),
    [("per_batch", "shuffled", 1), ("per_sample", "shuffled", 3), ("per_sample", "poisson", 3)],
)
def test_the_distribution_of_the_noise(private, noise, sampling, factor):
    """20,000 numbers that nothing but noise moves, by Kolmogorov and Smirnov."""
    samples = factor**2
    model = nn.Sequential(nn.Linear(20_000, 1, bias=False), nn.Identity()).double()
    nn.init.zeros_(model[0].weight)
    x, y = torch.zeros(samples, 20_000).double(), torch.zeros(samples, 1).double()
    clients = [Client("a", Batches(x, y, None, 0), Stream(0), (1,))]
    scheme = private(
        "splitfed_v1",
        model,
        clients,
        loss=halves,
        clip_norm=2.0,
        noise_multiplier=1.5,
        noise=noise,
        sampling=sampling,
        insecure_test_seed=1,
        learning_rate=1.0,
    )
    scheme.round(0)
    drawn = scheme.model[0].weight.detach().flatten().numpy()
    deviation = 1.5 * 2.0 * factor / samples
    assert kstest(drawn, "norm", args=(0.0, deviation)).pvalue > 0.001
    assert kstest(drawn, "norm", args=(0.0, 1.1 * deviation)).pvalue < 0.001


def test_poisson_batches():
    """Sizes are binomial, samples are chosen alike often, and none is a batch too."""
    count, size = 6, 2
    x = torch.arange(count, dtype=torch.float32)
    batches = PrivateBatches(x, x, size, "poisson", Entropy(7))
    drawn = [batches.draw()[0] for _ in range(3000)]
    sizes = torch.tensor([len(one) for one in drawn])
    wanted = 3000 * binom.pmf(range(count + 1), count, size / count)
    assert chisquare(torch.bincount(sizes, minlength=7).numpy(), wanted).pvalue > 0.001
    often = torch.bincount(torch.cat(drawn).long(), minlength=count).numpy()
    assert chisquare(often).pvalue > 0.001
    assert batches.exposures == 3000
    assert 0 in sizes


def test_an_empty_batch_is_noise_alone(private):
    """Nothing is sent, the device part moves and the server's part does not."""
    model, clients = linear([[1.0], [1.0]], [1.0, 1.0], batch=1)
    scheme = private(
        "splitfed_v2", model, clients, loss=halves, clip_norm=1.0, noise_multiplier=1.0
    )
    scheme.clients[0].batches._entropy.chosen = lambda *_: torch.empty(0, dtype=torch.int64)
    tally = scheme.round(0)
    assert (tally.samples, tally.traffic.smashed, tally.loss) == (0, 0, 0.0)
    assert float(scheme.model[0].weight.detach().abs().sum()) > 0


def test_tokens_that_are_unknown(private):
    """A sample's own loss is the mean of its own known tokens, whatever other samples have."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5)).double()
    x = torch.tensor([[0, 1, 2], [3, 4, 0]])
    y = torch.tensor([[1, 2, 3], [4, -100, -100]])
    clients = [Client("a", Batches(x, y, None, 0), Stream(0), (1,))]
    scheme = private(
        "splitfed_v1",
        model,
        clients,
        loss=LANGUAGE.loss,
        clip_norm=0.05,
        learning_rate=1.0,
        sampling="shuffled",
    )
    total = torch.zeros(5, 4).double()
    for row in range(2):
        loss = LANGUAGE.loss(model(x[row : row + 1]), y[row : row + 1])
        (own,) = torch.autograd.grad(loss, model[0].weight)
        total += own / max(1.0, float(own.norm()) / 0.05)
    before = model[0].weight.detach().clone()
    scheme.round(0)
    torch.testing.assert_close(scheme.model[0].weight.detach(), before - total / 2)


def test_what_was_spent(private):
    """Batches that were drawn with amplification, walks that were begun without."""
    model, clients = linear([[1.0]] * 10, [1.0] * 10, batch=4)
    for sampling, exposures, rate in (("poisson", 6, 0.4), ("shuffled", 2, 1.0)):
        scheme = private(
            "splitfed_v1", model, clients, loss=halves, noise_multiplier=2.0, sampling=sampling
        )
        for number in range(2):
            scheme.round(number)
        own = scheme.clients[0]
        assert (own.batches.exposures, own.batches.rate) == (exposures, rate)
    per_sample = private(
        "splitfed_v1",
        model,
        clients,
        loss=halves,
        noise_multiplier=2.0 / math.sqrt(2),
        sampling="shuffled",
        noise="per_sample",
    )
    for number in range(2):
        per_sample.round(number)
    # The last batch of a walk has two samples, and so the least noise.
    assert per_sample.clients[0].guard.epsilon() == pytest.approx(own.guard.epsilon())
