"""Bytes by the profile are those that real tensors have."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
import splitopt  # noqa: E402
from splitopt.models.cnn import cnn  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.matching import match  # noqa: E402
from splitopt.training.preparing.setup import build_scheme  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import Client  # noqa: E402
from splitopt.training.validation.planned_bytes import KINDS, planned_bytes  # noqa: E402

pytestmark = pytest.mark.train


BYTES = {"none": 1.0, "fp16": 0.5, "bf16": 0.5}
"""Of those that each value has."""


@pytest.mark.parametrize(
    ("codec", "gradients"),
    [("none", None), ("fp16", None), ("int8:channel", "none"), ("topk:0.07", "int4")],
)
@pytest.mark.parametrize("name", ["digits-splitfed", "digits-clusters", "digits-pipeline"])
@pytest.mark.one_quick
def test_bytes_of_a_round_are_those_of_its_tensors(name, codec, gradients):
    """A round in one process counts what it would send; the table says the same to the byte."""
    program = program_of(splitopt.plan(splitopt.Scenario.load(name), time_limit_s=10.0))
    clients = []
    for plan in program.clients:
        inputs, targets = torch.rand(plan.samples, 1, 8, 8), torch.zeros(plan.samples).long()
        clients.append(Client(plan.name, Batches(inputs, targets, plan.batch_size, 1), Stream(1)))
    options = Options(codec=codec, gradient_codec=gradients)
    split = match(cnn((1, 8, 8), 10), torch.zeros(8, 1, 8, 8), program.profile)
    scheme = build_scheme(program, split, clients, options)
    traffic = scheme.round(0).traffic
    found = planned_bytes(program, scheme)
    assert found == {kind: getattr(traffic, kind) for kind in KINDS}
    whole = planned_bytes(program)
    for kind, text in (("smashed", codec), ("gradient", gradients or codec)):
        if text in BYTES:
            assert found[kind] == whole[kind] * BYTES[text]
        else:
            assert 0 < found[kind] < 0.6 * whole[kind]
