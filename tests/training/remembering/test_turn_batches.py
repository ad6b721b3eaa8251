"""Turns of few batches, and batches in which classes are equally frequent."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch.nn.functional import cross_entropy  # noqa: E402

from splitopt import InputError  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.remembering.balanced import Balanced  # noqa: E402
from splitopt.training.remembering_options import Remembering  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.turns import interleaved  # noqa: E402

pytestmark = pytest.mark.train

SIZES = (8, 12, 5)  # 2, 3 and 2 batches of 4
ORDERS = {1: "0 1 2 0 1 2 1", 2: "0 0 1 1 2 2 1", 3: "0 0 1 1 1 2 2"}
TURNS = {1: 7, 2: 4, 3: 3}


def test_who_has_a_turn():
    """Until all have made their own; those who are through are left out."""
    assert interleaved([2, 3, 2], 2) == [(0, 2), (1, 2), (2, 2), (1, 1)]
    assert interleaved([2, 3, 2], None) == interleaved([2, 3, 2], 9) == [(0, 2), (1, 3), (2, 2)]
    assert interleaved([0, 1], 1) == [(1, 1)]


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_it_is_an_unsplit_model_that_visits_batches_in_this_order(make, batches):
    """In float64; the device part is handed on at the end of every turn."""
    options = Options(learning_rate=0.1, remembering=Remembering(turn_batches=batches))
    clients = make.clients(SIZES, dtype=torch.float64)
    scheme = SCHEMES["vanilla"](make.cnn(dtype=torch.float64), clients, options, make.split)
    model, twins = make.cnn(dtype=torch.float64), make.clients(SIZES, dtype=torch.float64)
    for number in range(2):
        traffic = scheme.round(number).traffic
        for place in map(int, ORDERS[batches].split()):
            inputs, targets = twins[place].batches.draw()
            loss = cross_entropy(model(inputs), targets)
            grads = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for p, g in zip(model.parameters(), grads, strict=True):
                    p -= 0.1 * g
        assert traffic.model_down == traffic.model_up == TURNS[batches] * 8 * (4 * 9 + 4)
    for name, value in scheme.model.state_dict().items():
        assert torch.allclose(value, model.state_dict()[name], rtol=1e-10, atol=1e-13), name


def test_turns_of_all_batches_change_no_bit(make):
    """Momentum included."""
    found = []
    for given in (None, Remembering(turn_batches=3)):
        options = Options(learning_rate=0.1, momentum=0.9, remembering=given)
        model = make.cnn(dropout=0.3, batch_norm=True)
        scheme = SCHEMES["vanilla"](model, make.clients(SIZES), options, make.split)
        scheme.round(0)
        found.append(scheme.model.state_dict())
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name


def batches_of(counts, size=7):
    """Batches of so many samples of each class, which know their rows."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return Batches(torch.arange(len(labels))[:, None].float(), labels, size, seed=3)


@pytest.mark.parametrize("counts", [(50, 3, 7), (1, 1, 40), (0, 20, 5)])
def test_oversampling_makes_classes_equal(counts):
    """In every epoch, of as many samples and batches; rare samples are repeated evenly."""
    plain = batches_of(counts)
    own = Balanced(plain)
    present = [count for count in counts if count]
    for _ in range(3):
        drawn = list(own.take(own.per_epoch))
        rows = torch.cat([inputs for inputs, _ in drawn]).flatten().long()
        labels = torch.cat([targets for _, targets in drawn])
        assert len(rows) == sum(counts)
        assert torch.equal(labels, plain.targets[rows])
        seen = torch.bincount(labels, minlength=len(counts))
        seen = seen[torch.tensor(counts) > 0]
        assert int(seen.max() - seen.min()) <= 1
        for label, count in enumerate(counts):
            if count:
                times = torch.bincount(rows[labels == label], minlength=sum(counts))
                times = times[plain.targets == label]
                assert int(times.max() - times.min()) <= 1
    assert len(present) == len(seen)


def test_equal_classes_are_walked_through_once():
    """Each sample once in an epoch, as without."""
    own = Balanced(batches_of((6, 6, 6)))
    rows = torch.cat([inputs for inputs, _ in own.take(own.per_epoch)]).flatten()
    assert sorted(rows.tolist()) == list(range(18))


def test_numbers_are_no_classes():
    """And are refused."""
    with pytest.raises(InputError, match=r"oversample: .* no labels"):
        Balanced(Batches(torch.zeros(4, 1), torch.rand(4), 2, seed=0))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "remembering: asks for nothing"),
        ({"ewc": -1.0}, "ewc: is -1.0"),
        ({"ewc": float("nan")}, "ewc: is nan"),
        ({"ewc": 1.0, "ewc_form": "both"}, "ewc_form"),
        ({"ewc": 1.0, "ewc_decay": 0.0}, "ewc_decay: is 0.0"),
        ({"ewc": 1.0, "ewc_samples": 0}, "ewc_samples: is 0"),
        ({"replay": -1}, "replay: is -1"),
        ({"replay": 1.5}, "replay: is 1.5"),
        ({"turn_batches": 0}, "turn_batches: is 0"),
        ({"oversample": 1}, "oversample: is 1"),
    ],
)
def test_choices_that_are_none_are_refused(given, words):
    """With their name."""
    with pytest.raises(InputError, match=words):
        Remembering(**given)


def test_choices_that_do_not_go_together_are_refused():
    """What keeps samples, with what accounts for them."""
    with pytest.raises(InputError, match="replay: does not go together with privacy"):
        Options(privacy=Privacy(1.0, 1.0), remembering=Remembering(replay=2))
    with pytest.raises(InputError, match="remembering: is of type dict"):
        Options(remembering={"ewc": 1.0})
    assert Options(privacy=Privacy(1.0, 1.0), remembering=Remembering(turn_batches=2))
