"""Testing the common model, and numbers that are none."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.training.options import Options  # noqa: E402
from splitopt.training.rounds.evaluate import check_finite, evaluate  # noqa: E402
from splitopt.training.schemes import SCHEMES, TrainingError  # noqa: E402

pytestmark = pytest.mark.train


def test_scores_are_those_of_one_call(make):
    """Batch by batch gives the loss and accuracy of all at once, in evaluation mode."""
    model = make.cnn(dropout=0.5, batch_norm=True).double()
    inputs, targets = torch.randn(50, 1, 8, 8, dtype=torch.float64), torch.randint(0, 3, (50,))
    model.train()
    model[1].eval()  # as frozen statistics are
    modes = [part.training for part in model.modules()]
    score = evaluate(model, inputs, targets, batch=7)
    assert [part.training for part in model.modules()] == modes
    model.eval()
    outputs = model(inputs).detach()
    assert score.loss == pytest.approx(float(nn.functional.cross_entropy(outputs, targets)))
    assert score.accuracy == pytest.approx(float((outputs.argmax(1) == targets).double().mean()))


@pytest.mark.parametrize(
    ("name", "broken", "whose"),
    [
        ("splitfed_v1", 1, "the copy of client d1"),
        ("clustered", 2, "the copy of client d1"),
        ("clustered", 0, "the server's part"),
    ],
)
def test_a_weight_that_is_no_number_is_found(make, name, broken, whose):
    """Tensor and client are named."""
    scheme = SCHEMES[name](make.cnn(), make.clients([8, 8], (3,)), Options(), make.split)
    check_finite(scheme)
    with torch.no_grad():
        for model in (scheme.model, scheme.copies()[broken].model):
            next(model.parameters())[0] = float("inf")
    with pytest.raises(TrainingError, match=f"'0.weight' has a value .* {whose}"):
        check_finite(scheme)
