"""Clients side by side with a noise layer: the noise of each, by its own weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.model_parts.copies import Split  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.pixel_dp_options import PixelDP  # noqa: E402
from splitopt.training.preparing.pixel import Placed, set_apart  # noqa: E402
from splitopt.training.privacy.pixel.noise import NoisyPart, PixelEntropy  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train

CHAINS = [
    ("splitfed_v1", (3,)),
    ("splitfed_v1", (1,)),
    ("federated", ()),
    ("u_shaped", (2, 6)),
    ("multihop", (1, 4)),
]


def trained(make, name, cuts, keep, batched, rounds=2):
    """Return a scheme of clients that are alike after some rounds, and what was drawn in them."""
    settings = PixelDP("0", 1.0, delta=0.05, insecure_test_seed=3, keep=keep)
    clients = make.clients([8, 8, 8], cuts, dtype=torch.float64)
    entropies = PixelEntropy(3), PixelEntropy(3, 0)
    noise = Placed(settings, 1, Split(make.split), clients[0].batches.inputs[:2], *entropies)
    options = Options(learning_rate=0.1, momentum=0.9, pixel_dp=settings, batched=batched)
    scheme = SCHEMES[name](make.cnn(dtype=torch.float64), clients, options, noise.into())
    scheme.noise = noise
    set_apart(scheme)
    drawn = []
    real = NoisyPart.noise

    def spy(part, like):
        drawn.append((part.entropy, part.scale()))
        return real(part, like)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NoisyPart, "noise", spy)
        for number in range(rounds):
            scheme.round(number)
    scales = {}
    for entropy, scale in drawn:
        scales.setdefault(id(entropy), []).append(scale)
    return scheme, list(scales.values())


@pytest.mark.one_quick
@pytest.mark.parametrize("keep", ["recompute", "normalise"])
@pytest.mark.parametrize(("name", "cuts"), CHAINS)
def test_side_by_side_is_one_by_one(make, name, cuts, keep):
    """The same noise of the same scales, and weights that differ by the order of sums alone."""
    alone, scales = trained(make, name, cuts, keep, batched=False)
    stacked, others = trained(make, name, cuts, keep, batched=True)
    assert len(scales) == len(others) == 3
    for own, other in zip(scales, others, strict=True):
        assert own == pytest.approx(other, rel=1e-9)
    if keep == "recompute":  # each by its own weights, and not by those of another
        assert len({row[-1] for row in scales}) == 3
    known = dict(stacked.model.named_parameters())
    for key, value in alone.model.named_parameters():
        assert torch.allclose(known[key], value, rtol=1e-9, atol=1e-12), key
    if keep == "normalise":
        layer = stacked.noise.whole(stacked.model)
        assert layer.bounds().bounds()[0].bound.value <= 1 + 1e-6
