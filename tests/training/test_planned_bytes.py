"""Bytes by the profile are those that real tensors have."""

from __future__ import annotations

import pytest
import torch

import splitopt
from splitopt.models.cnn import cnn
from splitopt.training.batches import Batches
from splitopt.training.matching import match
from splitopt.training.planned_bytes import KINDS, planned_bytes
from splitopt.training.program import program_of
from splitopt.training.randomness import Stream
from splitopt.training.schemes import Client
from splitopt.training.setup import build_scheme


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
