"""Bytes by the profile are those that real tensors have."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
import splitopt  # noqa: E402
from splitopt.models.cnn import cnn  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.preparing.matching import match  # noqa: E402
from splitopt.training.preparing.setup import build_scheme  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import Client  # noqa: E402
from splitopt.training.validation.planned_bytes import KINDS, planned_bytes  # noqa: E402

pytestmark = pytest.mark.train


@pytest.mark.parametrize("name", ["digits-splitfed", "digits-clusters", "digits-pipeline"])
def test_bytes_of_a_round_are_those_of_its_tensors(name):
    """A round in one process counts what it would send; the table says the same to the byte."""
    program = program_of(splitopt.plan(splitopt.Scenario.load(name), time_limit_s=10.0))
    clients = []
    for plan in program.clients:
        inputs, targets = torch.rand(plan.samples, 1, 8, 8), torch.zeros(plan.samples).long()
        clients.append(Client(plan.name, Batches(inputs, targets, plan.batch_size, 1), Stream(1)))
    split = match(cnn((1, 8, 8), 10), torch.zeros(8, 1, 8, 8), program.profile)
    traffic = build_scheme(program, split, clients).round(0).traffic
    assert planned_bytes(program) == {kind: getattr(traffic, kind) for kind in KINDS}
