"""Rounds in the time of what really travels: a plan's bytes over its cuts as codecs write them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splitopt.planning.explaining import explainer_of
from splitopt.profiles import ModelProfile
from splitopt.training.codecs.base import DOWN, UP
from splitopt.training.program import Program, read_program
from splitopt.training.schemes import Scheme


def with_codecs_timed(program: Program, scheme: Scheme, source: str) -> Program:
    """Return a program whose profile and predicted rounds have the bytes of the scheme's codecs.

    The decision stays the plan's; what it takes is evaluated anew, with less to send. A whole
    mini-batch counts, so that a smaller one is a little larger than its share.
    """
    profile = encoded_profile(program, scheme)
    opened = program.opened
    plan = opened.plan
    pose = explainer_of(plan.problem, source)(opened.scenario, profile, plan.objective).pose
    timed = opened._replace(profile=profile, problem=pose())
    predict = read_program(timed, plan, source)._predict
    own = timed._replace(profile=opened.profile)  # the plan's own, to hold bytes against
    return replace(program, profile=profile, opened=own, _predict=predict)


def encoded_profile(program: Program, scheme: Scheme) -> ModelProfile:
    """Return the plan's profile with the bytes that cross the cuts of its clients encoded.

    Where clients cut at the same layer in batches of different sizes, the largest part counts.
    """
    profile = program.profile
    parts = np.zeros((2, profile.layer_count))
    for plan, client in zip(program.clients, scheme.clients, strict=True):
        crossed = scheme.about.crossed(client.cuts)
        for cut, (name, (shape, dtype, _)) in enumerate(zip(plan.cuts, crossed, strict=True)):
            batch, at = (client.batches.size, *shape), profile.layers.index(name)
            for row, way in enumerate((UP, DOWN)):
                written, whole = client.crossing.planned(way, batch, dtype, cut)
                parts[row, at] = max(parts[row, at], written / whole if whole else 1.0)
    parts[parts == 0] = 1.0  # where nobody cuts
    return replace(
        profile,
        smashed_bytes=profile.smashed_bytes * parts[0],
        gradient_bytes=profile.gradient_bytes * parts[1],
    )
