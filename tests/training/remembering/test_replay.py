"""Replay of smashed data against loops written out by hand."""

from __future__ import annotations

from collections import defaultdict

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch.nn.functional import cross_entropy  # noqa: E402

from splitopt import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.remembering.replay import Replay  # noqa: E402
from splitopt.training.remembering_options import Remembering  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train

LR = 0.1


def step(parameters, loss):
    with torch.no_grad():
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p -= LR * g


@pytest.mark.parametrize("cut_gradient", ["mean", "rescaled"])
def test_the_server_learns_from_what_it_kept(make, cut_gradient):
    """Batches of at least as many samples as are kept, so that all of them are replayed."""
    sizes, batch = (9, 9, 9), 9
    options = Options(
        learning_rate=LR, cut_gradient=cut_gradient, remembering=Remembering(replay=3)
    )
    clients = make.clients(sizes, batch=batch, dtype=torch.float64)
    scheme = SCHEMES["vanilla"](make.cnn(dtype=torch.float64), clients, options, make.split)
    model, twins = (
        make.cnn(dtype=torch.float64),
        make.clients(sizes, batch=batch, dtype=torch.float64),
    )
    device, server = model[:3], model[3:]
    kept = defaultdict(list)
    for number in range(2):
        tally = scheme.round(number)
        for client in twins:
            inputs, targets = client.batches.draw()
            smashed = device(inputs)
            sent = smashed.detach().requires_grad_()
            stored = [(x, y) for y, rows in kept.items() for x in rows]
            every = torch.cat([sent, *(x[None] for x, _ in stored)])
            labels = torch.cat([targets, torch.tensor([y for _, y in stored], dtype=torch.int64)])
            loss = cross_entropy(server(every), labels)
            parameters = list(server.parameters())
            *grads, back = torch.autograd.grad(loss, [*parameters, sent])
            if cut_gradient == "rescaled":
                back = back * len(labels) / len(targets)
            step(list(device.parameters()), (smashed * back).sum())
            with torch.no_grad():
                for p, g in zip(parameters, grads, strict=True):
                    p -= LR * g
            for x, y in zip(sent.detach(), targets.tolist(), strict=True):
                kept[y] = [*kept[y], x][-3:]
        for name, value in scheme.model.state_dict().items():
            assert torch.allclose(value, model.state_dict()[name], rtol=1e-9, atol=1e-12), name
        assert tally.samples == sum(sizes)
    assert scheme.replay.samples == sum(map(len, kept.values()))


def test_an_empty_buffer_changes_no_bit_and_a_full_one_no_byte(make):
    """With layers that draw and normalise; what is replayed crosses no link again."""
    found = []
    for given in (None, Remembering(replay=0), Remembering(replay=5)):
        options = Options(learning_rate=LR, momentum=0.9, remembering=given)
        model = make.cnn(dropout=0.3, batch_norm=True)
        scheme = SCHEMES["vanilla"](model, make.clients((8, 12, 5)), options, make.split)
        traffic = [scheme.round(number).traffic for number in range(2)]
        found.append((traffic, scheme.model.state_dict()))
    assert found[0][0] == found[1][0] == found[2][0]
    for name, value in found[0][1].items():
        assert torch.equal(value, found[1][1][name]), name
    assert any(not torch.equal(value, found[2][1][name]) for name, value in found[0][1].items())


def test_it_keeps_the_last_of_each_class_of_turns_that_are_over():
    """Against a list; nothing of a turn is replayed in that turn."""
    torch.manual_seed(0)
    buffer, kept = Replay(3, 4, torch.zeros(1, 2), seed=1), defaultdict(list)
    for turn in range(5):
        pending = defaultdict(list)
        for _ in range(4):
            smashed, targets = torch.rand(5, 2), torch.randint(0, 4, (5,))
            drawn = buffer.draw(99)
            there = sorted((y, *x.tolist()) for y, rows in kept.items() for x in rows)
            mine = (
                []
                if drawn is None
                else sorted((int(y), *x.tolist()) for x, y in zip(*drawn, strict=True))
            )
            assert mine == there, turn
            buffer.see([smashed], [targets])
            for x, y in zip(smashed, targets.tolist(), strict=True):
                pending[y].append(x)
        buffer.turn_ends()
        for y, rows in pending.items():
            kept[y] = [*kept[y], *rows[-3:]][-3:]
    smashed, labels = buffer.draw(4)
    assert len(labels) == 4
    assert len({tuple(x.tolist()) for x in smashed}) == 4
    other = Replay(3, 4, torch.zeros(1, 2), seed=7)
    other.load_state_dict(buffer.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(buffer.draw(5), other.draw(5), strict=True))


def test_what_is_damaged_or_has_no_classes_is_refused(make):
    """In one sentence."""
    buffer = Replay(3, 4, torch.zeros(1, 2), seed=1)
    state = buffer.state_dict() | {"counts": torch.tensor([4, 0, 0, 0])}
    with pytest.raises(InputError, match="not 0 to 3 of each class"):
        buffer.load_state_dict(state)
    clients = make.clients((8, 8))
    clients[0].batches.targets = clients[0].batches.targets.float()
    options = Options(remembering=Remembering(replay=2))
    with pytest.raises(InputError, match="replay: keeps samples by class, and the targets are no"):
        SCHEMES["vanilla"](make.cnn(), clients, options, make.split)
