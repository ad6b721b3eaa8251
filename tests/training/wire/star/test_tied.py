"""Both sides of a cut hold a copy of a weight, over connections: what one process learns."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.options import Options  # noqa: E402
from splitopt.training.wire.star.exchange import add_gradients  # noqa: E402
from splitopt.training.wire.transport.errors import FrameError  # noqa: E402

pytestmark = pytest.mark.train

WEIGHT = 4 * 8 * 9
"""Bytes of the tied weight, of the first convolution."""
STEPS = {"d0": 2 * 2, "d1": 2 * 4}
"""Mini-batches of the clients that are cut: two epochs of 10 and 16 samples in batches of 5."""
OPTIONS = [
    Options(local_epochs=2),
    Options(local_epochs=2, momentum=0.9, optimizer_state="keep", clip_value=0.05),
    Options(local_epochs=2, optimizer="adam", learning_rate=0.01, optimizer_state="average"),
    Options(local_epochs=2, codec="int8", gradient_codec="topk:0.5", server_learning_rate=0.01),
]


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=["sgd", "momentum", "adam", "codecs"])
@pytest.mark.parametrize("name", ["splitfed_v1", "vanilla", "splitfed_v2", "clustered"])
def test_rounds_are_those_of_one_process(wired, options, name):
    """Copies that differed by a bit after any step would lead to other weights, and moments."""
    wanted = wired.scheme_of(name, options, tied=True)
    tallies = [wanted.round(number) for number in range(2)]
    before = wired.scheme_of(name, options, tied=True).model.state_dict()
    wired.train(name, options, tied=True)
    assert wired.errors == {}
    wired.assert_same_state(wired.scheme, wanted)
    assert wired.tallies == tallies
    assert not torch.equal(wanted.model.state_dict()["5.0.weight"], before["5.0.weight"])


def test_bytes_by_hand(wired):
    """Gradients come down for every mini-batch, and go up with all but the first of a round."""
    wired.train("splitfed_v1", OPTIONS[0], rounds=1, tied=True)
    down = sum(STEPS.values()) * WEIGHT
    up = sum(steps - 1 for steps in STEPS.values()) * WEIGHT
    traffic = wired.tallies[0].traffic
    assert (traffic.tied_down, traffic.tied_up) == (down, up)
    sent = wired.server.sent_bytes
    assert sent["tied"] == down + up
    assert (sent["smashed"], sent["gradient"]) == (traffic.smashed, traffic.gradient)


@pytest.mark.slow
def test_copies_are_equal_at_every_use(wired):
    """The server's forward pass of a mini-batch sees the weight that the device had for it."""
    seen = {"device": [], "server": []}

    class Watched(wired.Device):
        def _train(self, batch, start_s):
            seen["device"].append(self.own.parts[0].module[0][0].weight.detach().clone())
            return super()._train(batch, start_s)

    options, scheme = OPTIONS[1], wired.scheme_of("splitfed_v1", OPTIONS[1], tied=True)
    part = scheme.copies()[0].parts[1].module
    part.register_forward_pre_hook(
        lambda module, _: seen["server"].append(module[-1][0].weight.detach().clone())
    )
    wired.train("splitfed_v1", options, scheme=scheme, tied=True, devices={0: Watched})
    assert len(seen["device"]) == 2 * STEPS["d0"]
    assert all(map(torch.equal, seen["device"], seen["server"]))
    assert not torch.equal(seen["device"][0], seen["device"][1])


@pytest.mark.parametrize(
    "others",
    [{}, {"b": torch.zeros(2)}, {"a": torch.zeros(3)}, {"a": torch.zeros(2, dtype=torch.float64)}],
    ids=["none", "name", "shape", "type"],
)
def test_gradients_of_other_weights_are_refused(others):
    """A party that sends what does not belong to the weight is dropped, not believed."""
    weight = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(FrameError, match="gradient"):
        add_gradients({"a": weight}, others)
    assert weight.grad is None
